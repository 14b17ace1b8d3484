package engine

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // The pure Go driver that the Temporal CLI itself is built with.
)

// Temporal's SQLite schema keeps what can be listed in one table with 45 indexes, one for each
// column that anyone might search by, each over every run. An event's two records there (started,
// closed) write all of them: 1,020 KB, and two thirds of the CPU of these writes, mostly for empty
// columns.
//
// Trimming removes no column and no query; it changes how fast some queries are:
//
//   - wholeIndex stays as Temporal makes it: the columns that grapnel, the Web UI and the CLI
//     search by and that every run has.
//   - presentIndex is made again for those rows only that have a value in the column. SQLite uses
//     such an index for any comparison of the column with a value, so a query is as fast as before;
//     only `… IS NULL` reads the whole table. All custom search attributes have this form, ours
//     too: which numbered column holds which attribute is random, and an unused column costs
//     nothing.
//   - noIndex is dropped: sizes and durations of a closed run, its task queue, and its root run. A
//     query on them alone reads the whole table; docs/performance.md says how long that takes.
//
// Trimming is safe because an index is no data: SQLite keeps indexes up to date by itself and
// answers the same without them, and Temporal names none in its statements. It is one transaction,
// under the engine's lock, while no engine runs. It is done only if the table, its triggers and
// each of its indexes are exactly those of the schema that was tested, trimmed or not. Another
// schema, of a later Temporal, is left as it is.
const (
	wholeIndex indexForm = iota
	presentIndex
	noIndex
)

type indexForm int

// visibilityIndex is one index of Temporal's visibility table.
type visibilityIndex struct {
	name string
	// column is the indexed column; the index of the default order has none.
	column string
	form   indexForm
}

// visibilitySchema is the SHA-256 of the table and triggers that trimming was tested with, those of
// Temporal 1.29; see schemaOf.
const visibilitySchema = "c414cc6da1d95517844e5e82a89bc5f5d548cdc44d5a10620f171dbfa4be4ab8"

// visibilityIndexes returns all indexes of that schema.
func visibilityIndexes() []visibilityIndex {
	all := []visibilityIndex{
		{"default_idx", "", wholeIndex},
		{"by_workflow_id", "workflow_id", wholeIndex},
		{"by_workflow_type", "workflow_type_name", wholeIndex},
		{"by_status", "status", wholeIndex},
		{"by_execution_time", "execution_time", noIndex},
		{"by_history_length", "history_length", noIndex},
		{"by_history_size_bytes", "history_size_bytes", noIndex},
		{"by_execution_duration", "execution_duration", noIndex},
		{"by_state_transition_count", "state_transition_count", noIndex},
		{"by_task_queue", "task_queue", noIndex},
		{"by_root_workflow_id", "root_workflow_id", noIndex},
		{"by_root_run_id", "root_run_id", noIndex},
		{"by_parent_workflow_id", "parent_workflow_id", presentIndex},
		{"by_parent_run_id", "parent_run_id", presentIndex},
		{"by_batcher_user", "BatcherUser", presentIndex},
		{"by_temporal_scheduled_start_time", "TemporalScheduledStartTime", presentIndex},
		{"by_temporal_scheduled_by_id", "TemporalScheduledById", presentIndex},
		{"by_temporal_schedule_paused", "TemporalSchedulePaused", presentIndex},
		{"by_temporal_namespace_division", "TemporalNamespaceDivision", presentIndex},
		{"by_temporal_pause_info", "TemporalPauseInfo", presentIndex},
		{"by_temporal_worker_deployment_version", "TemporalWorkerDeploymentVersion", presentIndex},
		{"by_temporal_workflow_versioning_behavior", "TemporalWorkflowVersioningBehavior", presentIndex},
		{"by_temporal_worker_deployment", "TemporalWorkerDeployment", presentIndex},
	}
	for _, kind := range []struct {
		column string
		count  int
	}{{"Bool", 3}, {"Datetime", 3}, {"Double", 3}, {"Int", 3}, {"Keyword", 10}} {
		for n := range kind.count {
			all = append(all, visibilityIndex{
				name:   fmt.Sprintf("by_%s_%02d", strings.ToLower(kind.column), n+1),
				column: fmt.Sprintf("%s%02d", kind.column, n+1),
				form:   presentIndex,
			})
		}
	}
	return all
}

// statement returns the statement that makes the index: Temporal's own, or the trimmed one, which
// is empty if the index is dropped.
func (i visibilityIndex) statement(trimmed bool) string {
	column, where := "", ""
	if i.column != "" {
		column = i.column + ", "
	}
	if trimmed {
		switch i.form {
		case noIndex:
			return ""
		case presentIndex:
			where = " WHERE " + i.column + " IS NOT NULL"
		case wholeIndex:
		}
	}
	return "CREATE INDEX " + i.name + " ON executions_visibility (namespace_id, " + column +
		"(COALESCE(close_time, '9999-12-31 23:59:59+00:00')) DESC, start_time DESC, run_id)" + where
}

func (o EmbeddedOptions) keepsIndexes() bool { return o.KeepIndexes || o.Stock }

// trim trims the indexes or makes them again, as the options say. The engine serves without it too,
// so an error is only logged.
func (o EmbeddedOptions) trim(ctx context.Context) {
	if o.InMemory {
		return
	}
	began := time.Now()
	changed, err := trimVisibility(ctx, o.DataDir, !o.keepsIndexes())
	switch {
	case errors.Is(err, errOtherSchema) && o.keepsIndexes():
	case errors.Is(err, errOtherSchema):
		o.Logger.Warn("the engine's visibility indexes are all kept, which costs speed: this grapnel does not know the engine's version", "cause", err)
	case err != nil:
		o.Logger.Warn("the engine's visibility indexes are left as they are", "error", err)
	case changed > 0 && o.keepsIndexes():
		o.Logger.Info("made the engine's visibility indexes again", "indexes", changed, "took", time.Since(began))
	case changed > 0:
		o.Logger.Info("trimmed the engine's visibility indexes", "indexes", changed, "took", time.Since(began))
	}
}

// errOtherSchema says that a database does not have the schema that trimming knows.
var errOtherSchema = errors.New("the visibility table is not of the schema that this grapnel knows")

// trimVisibility brings the indexes of a database into their trimmed form, or back into Temporal's
// own, and returns how many it changed. No engine may have the database open. The error wraps
// errOtherSchema if the schema is another one; the file is unchanged then.
func trimVisibility(ctx context.Context, dir string, trim bool) (changed int, err error) {
	path := filepath.Join(dir, databaseName)
	if _, err := os.Stat(path); err != nil {
		return 0, fmt.Errorf("look at the engine's database: %w", err)
	}
	// The path is part of a URI. synchronous=full is the engine's own setting.
	db, err := sql.Open("sqlite", "file:"+uriPath(path)+"?mode=rw&_pragma=synchronous=full&_txlock=exclusive")
	if err != nil {
		return 0, fmt.Errorf("open the engine's database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("open the engine's database: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // It does nothing after Commit.
	statements, err := trimStatements(ctx, tx, trim)
	if err != nil || len(statements) == 0 {
		return 0, err
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return 0, fmt.Errorf("%s: %w", statement, err)
		}
		if strings.HasPrefix(statement, "DROP") {
			changed++
		}
	}
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("write the engine's database: %w", err)
	}
	return max(changed, len(statements)-changed), nil
}

// trimStatements returns the statements that bring a database into the wanted form, none if it has
// it.
func trimStatements(ctx context.Context, tx *sql.Tx, trim bool) ([]string, error) {
	have, schema, err := schemaOf(ctx, tx)
	if err != nil {
		return nil, err
	}
	if schema != visibilitySchema {
		return nil, fmt.Errorf("%w (%.12s)", errOtherSchema, schema)
	}
	var statements []string
	for _, index := range visibilityIndexes() {
		full, trimmed := index.statement(false), index.statement(true)
		now, want := have[index.name], full
		if trim {
			want = trimmed
		}
		delete(have, index.name)
		if now != full && now != trimmed {
			return nil, fmt.Errorf("%w: its index %s is %q", errOtherSchema, index.name, now)
		}
		if now == want {
			continue
		}
		if now != "" {
			statements = append(statements, "DROP INDEX "+index.name)
		}
		if want != "" {
			statements = append(statements, want)
		}
	}
	for name := range have {
		return nil, fmt.Errorf("%w: it has an index %s", errOtherSchema, name)
	}
	return statements, nil
}

// schemaOf returns the statements that made the indexes of the visibility table, by name, and the
// SHA-256 of those that made the table and the rest of it. Runs of spaces count as one.
func schemaOf(ctx context.Context, tx *sql.Tx) (indexes map[string]string, sum string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT type, name, sql FROM sqlite_master
		WHERE sql IS NOT NULL AND (tbl_name = 'executions_visibility' OR name IN
			('executions_visibility_fts_text', 'executions_visibility_fts_keyword_list'))
		ORDER BY type, name`)
	if err != nil {
		return nil, "", fmt.Errorf("read the schema of the engine's database: %w", err)
	}
	defer func() { _ = rows.Close() }()
	indexes, hash := map[string]string{}, sha256.New()
	for rows.Next() {
		var kind, name, statement string
		if err := rows.Scan(&kind, &name, &statement); err != nil {
			return nil, "", fmt.Errorf("read the schema of the engine's database: %w", err)
		}
		statement = strings.Join(strings.Fields(statement), " ")
		if kind == "index" {
			indexes[name] = statement
			continue
		}
		_, _ = fmt.Fprintln(hash, statement)
	}
	if err := rows.Err(); err != nil {
		return nil, "", fmt.Errorf("read the schema of the engine's database: %w", err)
	}
	return indexes, hex.EncodeToString(hash.Sum(nil)), nil
}

// uriPath escapes a path for SQLite's URI.
func uriPath(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
}
