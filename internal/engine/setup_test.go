package engine_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
	"github.com/grapnel/grapnel/internal/event"
)

// outcomes gives what became of each subject.
func outcomes(r engine.Report) map[string]engine.Outcome {
	all := map[string]engine.Outcome{}
	for _, s := range r.Steps {
		all[s.Subject] = s.Outcome
	}
	return all
}

// register makes a namespace without anything that grapnel needs.
func register(t *testing.T, s engine.Services, namespace string, retention time.Duration) {
	t.Helper()
	_, err := s.WorkflowService().RegisterNamespace(within(t), &workflowservice.RegisterNamespaceRequest{
		Namespace: namespace, WorkflowExecutionRetentionPeriod: durationpb.New(retention),
	})
	require.NoError(t, err)
}

func addAttributes(t *testing.T, s engine.Services, namespace string, attributes map[string]enumspb.IndexedValueType) {
	t.Helper()
	_, err := s.OperatorService().AddSearchAttributes(within(t), &operatorservice.AddSearchAttributesRequest{
		Namespace: namespace, SearchAttributes: attributes,
	})
	require.NoError(t, err)
}

func TestSetupMakesWhatIsMissing(t *testing.T) {
	server := enginetest.Shared(t)
	o := engine.SetupOptions{Namespace: "made"}
	require.ErrorIs(t, engine.Ready(within(t), server.Client, "made"), engine.ErrNotSetUp)

	report, err := engine.Setup(within(t), server.Client, o)
	require.NoError(t, err)
	require.Equal(t, map[string]engine.Outcome{
		"namespace made": engine.Made, "search attribute EventSource": engine.Made,
		"search attribute EventSubject": engine.Made, "search attribute EventTime": engine.Made,
		"search attribute EventType": engine.Made,
	}, outcomes(report))
	require.Equal(t, engine.DefaultRetention, retention(t, server.Client, "made"))
	require.NoError(t, engine.Ready(within(t), server.Client, "made"))
	startWorkflow(t, dial(t, engine.Settings{Address: server.Address, Namespace: "made"}), "first")

	t.Run("a second time it finds all as it should be", func(t *testing.T) {
		report, err := engine.Setup(within(t), server.Client, o)
		require.NoError(t, err)
		require.True(t, report.Complete())
		require.Len(t, report.Steps, 6)
		for _, step := range report.Steps {
			require.Equal(t, engine.Already, step.Outcome, step.String())
		}
	})
}

func TestSetupCompletesANamespaceThatIsThere(t *testing.T) {
	server := enginetest.Shared(t)
	register(t, server.Client, "half", 24*time.Hour)
	addAttributes(t, server.Client, "half", map[string]enumspb.IndexedValueType{
		"Customer": enumspb.INDEXED_VALUE_TYPE_KEYWORD, event.AttributeType: enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	})
	require.ErrorContains(t, engine.Ready(within(t), server.Client, "half"), "EventSource, EventSubject, EventTime; run `grapnel setup`")

	report, err := engine.Setup(within(t), server.Client, engine.SetupOptions{Namespace: "half", Retention: 48 * time.Hour})
	require.NoError(t, err)
	require.Equal(t, engine.Changed, outcomes(report)["retention"])
	require.Contains(t, report.String(), "It was 24h and is 48h.")
	require.Equal(t, engine.Already, outcomes(report)["search attribute EventType"])
	require.Equal(t, engine.Made, outcomes(report)["search attribute EventTime"])
	require.Equal(t, 48*time.Hour, retention(t, server.Client, "half"))
}

func TestSetupShortensARetentionOnlyWhenAllowed(t *testing.T) {
	server := enginetest.Shared(t)
	register(t, server.Client, "long", 2000*time.Hour)
	report, err := engine.Setup(within(t), server.Client, engine.SetupOptions{Namespace: "long"})
	require.NoError(t, err)
	require.Equal(t, engine.Kept, outcomes(report)["retention"])
	require.Equal(t, 2000*time.Hour, retention(t, server.Client, "long"))

	report, err = engine.Setup(within(t), server.Client, engine.SetupOptions{Namespace: "long", AllowShorter: true})
	require.NoError(t, err)
	require.Equal(t, engine.Changed, outcomes(report)["retention"])
	require.Equal(t, engine.DefaultRetention, retention(t, server.Client, "long"))
}

func TestSetupRefusesARetentionThatTemporalRefuses(t *testing.T) {
	server := enginetest.Shared(t)
	_, err := engine.Setup(within(t), server.Client, engine.SetupOptions{Namespace: "brief", Retention: time.Minute})
	require.ErrorIs(t, err, engine.ErrIncomplete)
	require.ErrorContains(t, err, "A day is the least")
	_, err = engine.Setup(within(t), server.Client, engine.SetupOptions{Retention: -time.Hour})
	require.ErrorContains(t, err, "negative")
}

func TestSetupReportsAnAttributeOfTheWrongType(t *testing.T) {
	server := enginetest.Shared(t)
	register(t, server.Client, "wrong", 720*time.Hour)
	addAttributes(t, server.Client, "wrong", map[string]enumspb.IndexedValueType{
		event.AttributeTime: enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	})
	report, err := engine.Setup(within(t), server.Client, engine.SetupOptions{Namespace: "wrong"})
	require.ErrorIs(t, err, engine.ErrIncomplete)
	require.ErrorContains(t, err, "EventTime of namespace wrong is of type Keyword and must be Datetime")
	require.Equal(t, engine.Failed, outcomes(report)["search attribute EventTime"])
	require.Equal(t, engine.Made, outcomes(report)["search attribute EventType"])
	err = engine.Ready(within(t), server.Client, "wrong")
	require.ErrorIs(t, err, engine.ErrNotSetUp)
	require.ErrorContains(t, err, "must be Datetime")
}

func TestSetupReportsThatThereIsNoRoom(t *testing.T) {
	server := enginetest.Shared(t)
	register(t, server.Client, "full", 720*time.Hour)
	crowd := map[string]enumspb.IndexedValueType{}
	for i := range 10 {
		crowd[fmt.Sprintf("Other%d", i)] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
	}
	addAttributes(t, server.Client, "full", crowd)
	_, err := engine.Setup(within(t), server.Client, engine.SetupOptions{Namespace: "full"})
	require.ErrorIs(t, err, engine.ErrIncomplete)
	require.ErrorContains(t, err, "cannot have more than 10")
	require.ErrorContains(t, err, "Use a namespace of its own")
}

func TestManySetupsAtOnceAgree(t *testing.T) {
	server := enginetest.Shared(t)
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			if _, err := engine.Setup(within(t), server.Client, engine.SetupOptions{Namespace: "crowd"}); err != nil {
				t.Errorf("set up in a crowd: %v", err)
			}
		})
	}
	all.Wait()
	require.NoError(t, engine.Ready(within(t), server.Client, "crowd"))
	require.Len(t, aliases(t, server.Client, "crowd"), 4, "an attribute has two columns")
}

func TestSetupFreesAColumnThatHoldsAnAttributeTwice(t *testing.T) {
	server := enginetest.Shared(t)
	register(t, server.Client, "twice", 720*time.Hour)
	_, err := server.Client.WorkflowService().UpdateNamespace(within(t), &workflowservice.UpdateNamespaceRequest{
		Namespace: "twice",
		Config: &namespacepb.NamespaceConfig{CustomSearchAttributeAliases: map[string]string{
			"Keyword03": "Customer", "Keyword07": event.AttributeSource, "Keyword05": event.AttributeSource,
		}},
	})
	require.NoError(t, err)
	_, err = engine.Setup(within(t), server.Client, engine.SetupOptions{Namespace: "twice"})
	require.NoError(t, err)
	columns := aliases(t, server.Client, "twice")
	require.Len(t, columns, 5)
	require.Equal(t, event.AttributeSource, columns["Keyword05"])
	require.Equal(t, "Customer", columns["Keyword03"])
}

func aliases(t *testing.T, s engine.Services, namespace string) map[string]string {
	t.Helper()
	found, err := s.WorkflowService().DescribeNamespace(within(t), &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	require.NoError(t, err)
	return found.GetConfig().GetCustomSearchAttributeAliases()
}
