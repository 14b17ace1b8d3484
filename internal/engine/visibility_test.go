package engine_test

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert" //nolint:depguard // EventuallyWithT has its type.
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/grapnel/grapnel/internal/engine"
)

// indexes counts the indexes of a stopped engine's visibility table: all, and the partial ones.
func indexes(t *testing.T, dir string, more ...string) (all, partial int) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "engine.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	for _, statement := range more {
		_, err := db.ExecContext(within(t), statement)
		require.NoError(t, err)
	}
	rows, err := db.QueryContext(within(t), "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'executions_visibility' AND sql IS NOT NULL")
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var statement string
		require.NoError(t, rows.Scan(&statement))
		all++
		if strings.HasSuffix(statement, "IS NOT NULL") {
			partial++
		}
	}
	require.NoError(t, rows.Err())
	return all, partial
}

// The life of a database: made and trimmed at the first start, left trimmed, given all its indexes
// back, trimmed again, and left as it is when its schema is unknown.
func TestVisibilityIndexesAreTrimmedAndGivenBack(t *testing.T) {
	o := options(t)
	run := func(keep bool, during func(e *engine.Embedded)) string {
		var said bytes.Buffer
		o.KeepIndexes, o.Logger = keep, slog.New(slog.NewTextHandler(&said, nil))
		e, err := engine.Start(within(t), o)
		require.NoError(t, err, said.String())
		if during != nil {
			during(e)
		}
		require.NoError(t, e.Stop(within(t)))
		return said.String()
	}
	said := run(false, func(e *engine.Embedded) {
		c := dial(t, e.Settings())
		startWorkflow(t, c, "one")
		startWorkflow(t, c, "other")
	})
	require.Contains(t, said, "trimmed")
	all, partial := indexes(t, o.DataDir)
	require.Equal(t, []int{37, 33}, []int{all, partial})

	said = run(false, func(e *engine.Embedded) { requireFindable(t, e) })
	require.NotContains(t, said, "trimmed", "it is so already")

	said = run(true, func(e *engine.Embedded) { requireFindable(t, e) })
	require.Contains(t, said, "made the engine's visibility indexes again")
	all, partial = indexes(t, o.DataDir)
	require.Equal(t, []int{45, 0}, []int{all, partial})

	run(false, func(e *engine.Embedded) { requireFindable(t, e) })
	all, partial = indexes(t, o.DataDir, "CREATE INDEX by_whatever ON executions_visibility (memo)")
	require.Equal(t, []int{38, 33}, []int{all, partial})

	said = run(true, func(e *engine.Embedded) { requireFindable(t, e) })
	require.NotContains(t, said, "made the engine's", "another hand was here: nothing is changed any more")
	said = run(false, func(e *engine.Embedded) { requireFindable(t, e) })
	require.Contains(t, said, "by_whatever")
	all, partial = indexes(t, o.DataDir)
	require.Equal(t, []int{38, 33}, []int{all, partial})
}

// requireFindable finds the two workflows by columns with a whole, with a partial and without an
// index.
func requireFindable(t *testing.T, e *engine.Embedded) {
	t.Helper()
	c := dial(t, e.Settings())
	for query, want := range map[string]int64{
		``:                                 2,
		`WorkflowId = "one"`:               1,
		`WorkflowType = "Nothing"`:         2,
		`ExecutionStatus = "Running"`:      2,
		`ExecutionStatus = "Failed"`:       0,
		`EventSource = "zoom"`:             2,
		`EventSource != "zoom"`:            0,
		`EventSource IS NULL`:              0,
		`EventType STARTS_WITH "meeting."`: 2,
		`EventSubject IN ("weekly", "x")`:  2,
		`EventTime > "2020-01-01T00:00:00Z" AND EventSource = "zoom"`: 2,
		`StartTime > "2020-01-01T00:00:00Z"`:                          2,
		`ExecutionTime > "2020-01-01T00:00:00Z"`:                      2,
		`TaskQueue = "nobody"`:                                        2,
		`RootWorkflowId = "other"`:                                    1,
		`ParentWorkflowId IS NULL`:                                    2,
		`ParentWorkflowId = "one"`:                                    0,
		`HistoryLength > 1`:                                           0,
		`CloseTime IS NULL`:                                           2,
	} {
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			found, err := c.CountWorkflow(context.Background(), &workflowservice.CountWorkflowExecutionsRequest{Query: query})
			require.NoError(t, err, query)
			require.Equal(t, want, found.GetCount(), query)
			listed, err := c.ListWorkflow(context.Background(), &workflowservice.ListWorkflowExecutionsRequest{Query: query})
			require.NoError(t, err, query)
			require.Len(t, listed.GetExecutions(), int(want), query)
		}, limit, 20*time.Millisecond)
	}
}

func TestAStockEngineKeepsItsIndexes(t *testing.T) {
	o := options(t)
	o.Stock = true
	e, err := engine.Start(within(t), o)
	require.NoError(t, err)
	require.NoError(t, e.Stop(within(t)))
	all, partial := indexes(t, o.DataDir)
	require.Equal(t, []int{45, 0}, []int{all, partial})
}
