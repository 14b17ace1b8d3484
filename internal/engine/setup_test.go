package engine_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/worker"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/grapnel/grapnel/internal/engine"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
	"github.com/grapnel/grapnel/internal/event"
)

// outcomes returns the outcome of each subject.
func outcomes(r engine.Report) map[string]engine.StepOutcome {
	all := map[string]engine.StepOutcome{}
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

func TestSetupSaysThatTemporalDidNotAnswer(t *testing.T) {
	c, err := engine.Dial(engine.Settings{Address: "127.0.0.1:1", Namespace: "default"}, engine.DialOptions{})
	require.NoError(t, err)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	report, err := engine.Setup(ctx, c, engine.SetupOptions{})
	require.ErrorIs(t, err, engine.ErrUnreachable)
	require.Empty(t, report.Steps)
}

func TestAServerThatIsNoTemporalIsTold(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusUnauthorized, http.StatusNotFound} {
		var h2c http.Protocols
		h2c.SetUnencryptedHTTP2(true)
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
		}))
		s.Config.Protocols = &h2c
		s.Start()
		t.Cleanup(s.Close)
		c, err := engine.Dial(engine.Settings{Address: s.Listener.Addr().String(), Namespace: "default"}, engine.DialOptions{})
		require.NoError(t, err)
		t.Cleanup(c.Close)
		require.ErrorIs(t, engine.Answers(within(t), c), engine.ErrUnreachable, status)
		report, err := engine.Setup(within(t), c, engine.SetupOptions{})
		require.ErrorIs(t, err, engine.ErrUnreachable, status)
		require.Empty(t, report.Steps, status)
	}
}

func TestSetupMakesWhatIsMissing(t *testing.T) {
	server := enginetest.Shared(t)
	o := engine.SetupOptions{Namespace: "made"}
	require.ErrorIs(t, engine.Ready(within(t), server.Client, "made"), engine.ErrNotSetUp)

	report, err := engine.Setup(within(t), server.Client, o)
	require.NoError(t, err)
	require.Equal(t, "made", report.Namespace)
	require.Equal(t, map[string]engine.StepOutcome{
		"namespace made": engine.Made, "search attribute EventSource": engine.Made,
		"search attribute EventSubject": engine.Made, "search attribute EventTime": engine.Made,
		"search attribute EventType": engine.Made, "search attribute EventReason": engine.Made, "search attribute EventRoute": engine.Made,
	}, outcomes(report))
	require.Equal(t, engine.DefaultRetention, retention(t, server.Client, "made"))
	require.NoError(t, engine.Ready(within(t), server.Client, "made"))
	startWorkflow(t, dial(t, engine.Settings{Address: server.Address, Namespace: "made"}), "first")

	t.Run("a second time it finds all as it should be", func(t *testing.T) {
		report, err := engine.Setup(within(t), server.Client, o)
		require.NoError(t, err)
		require.True(t, report.Complete())
		require.Len(t, report.Steps, 8)
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
	require.Equal(t, engine.Kept, outcomes(report)["retention"], "others may share the namespace")
	require.Contains(t, report.String(), "It is 24h, and 48h is configured; `grapnel setup --update` changes it")
	require.Equal(t, engine.Already, outcomes(report)["search attribute EventType"])
	require.Equal(t, engine.Made, outcomes(report)["search attribute EventTime"])
	require.Equal(t, 24*time.Hour, retention(t, server.Client, "half"))

	report, err = engine.Setup(within(t), server.Client, engine.SetupOptions{Namespace: "half", Retention: 48 * time.Hour, Update: true})
	require.NoError(t, err)
	require.Equal(t, engine.Changed, outcomes(report)["retention"])
	require.Contains(t, report.String(), "It was 24h and is 48h.")
	require.Equal(t, 48*time.Hour, retention(t, server.Client, "half"))
}

func TestSetupThatFailsChangesNothingThatIsThere(t *testing.T) {
	server := enginetest.Shared(t)
	register(t, server.Client, "shared", 24*time.Hour)
	addAttributes(t, server.Client, "shared", map[string]enumspb.IndexedValueType{
		event.AttributeTime: enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	})
	before := aliases(t, server.Client, "shared")
	report, err := engine.Setup(within(t), server.Client, engine.SetupOptions{Namespace: "shared", Retention: 48 * time.Hour, Update: true})
	require.ErrorIs(t, err, engine.ErrIncomplete)
	require.Equal(t, engine.Failed, outcomes(report)["search attribute EventTime"])
	require.Equal(t, 24*time.Hour, retention(t, server.Client, "shared"))
	require.Equal(t, before, aliases(t, server.Client, "shared"), "no search attribute was added")
}

func TestSetupShortensARetentionOnlyWhenAllowed(t *testing.T) {
	server := enginetest.Shared(t)
	register(t, server.Client, "long", 2000*time.Hour)
	report, err := engine.Setup(within(t), server.Client, engine.SetupOptions{Namespace: "long", Update: true})
	require.NoError(t, err)
	require.Equal(t, engine.Kept, outcomes(report)["retention"])
	require.Equal(t, 2000*time.Hour, retention(t, server.Client, "long"))

	report, err = engine.Setup(within(t), server.Client, engine.SetupOptions{Namespace: "long", Update: true, AllowShorter: true})
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
	require.NotContains(t, outcomes(report), "search attribute EventType", "nothing is added beside one that is of no use")
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
	require.Len(t, aliases(t, server.Client, "crowd"), 6, "an attribute has two columns")
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
	require.Len(t, columns, 7)
	require.Equal(t, event.AttributeSource, columns["Keyword05"])
	require.Equal(t, "Customer", columns["Keyword03"])
}

func aliases(t *testing.T, s engine.Services, namespace string) map[string]string {
	t.Helper()
	found, err := s.WorkflowService().DescribeNamespace(within(t), &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	require.NoError(t, err)
	return found.GetConfig().GetCustomSearchAttributeAliases()
}

// guarded is a Temporal that answers a call with a given error, as Temporal Cloud or an authorizer
// does. A nil error lets the call through.
type guarded struct {
	workflowservice.WorkflowServiceClient
	operatorservice.OperatorServiceClient
	describe, register, update, count, list, add error
	state                                        enumspb.NamespaceState
	attributes                                   map[string]enumspb.IndexedValueType
}

func (g guarded) WorkflowService() workflowservice.WorkflowServiceClient { return g }
func (g guarded) OperatorService() operatorservice.OperatorServiceClient { return g }

func (g guarded) DescribeNamespace(context.Context, *workflowservice.DescribeNamespaceRequest, ...grpc.CallOption) (*workflowservice.DescribeNamespaceResponse, error) {
	return &workflowservice.DescribeNamespaceResponse{
		NamespaceInfo: &namespacepb.NamespaceInfo{State: g.state},
		Config:        &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(engine.DefaultRetention / 2)},
	}, g.describe
}

func (g guarded) RegisterNamespace(context.Context, *workflowservice.RegisterNamespaceRequest, ...grpc.CallOption) (*workflowservice.RegisterNamespaceResponse, error) {
	return nil, g.register
}

func (g guarded) UpdateNamespace(context.Context, *workflowservice.UpdateNamespaceRequest, ...grpc.CallOption) (*workflowservice.UpdateNamespaceResponse, error) {
	return nil, g.update
}

func (g guarded) CountWorkflowExecutions(context.Context, *workflowservice.CountWorkflowExecutionsRequest, ...grpc.CallOption) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	return nil, g.count
}

func (g guarded) ListSearchAttributes(context.Context, *operatorservice.ListSearchAttributesRequest, ...grpc.CallOption) (*operatorservice.ListSearchAttributesResponse, error) {
	return &operatorservice.ListSearchAttributesResponse{CustomAttributes: g.attributes}, g.list
}

func (g guarded) AddSearchAttributes(context.Context, *operatorservice.AddSearchAttributesRequest, ...grpc.CallOption) (*operatorservice.AddSearchAttributesResponse, error) {
	return nil, g.add
}

func denied() error  { return serviceerror.NewPermissionDenied("request unauthorized", "") }
func absent() error  { return serviceerror.NewUnimplemented("unknown method") }
func invalid() error { return serviceerror.NewInvalidArgument("EventSource is not a search attribute") }
func nobody() error  { return serviceerror.NewNamespaceNotFound("events") }

func TestSetupSaysWhatItMayNotDo(t *testing.T) {
	for _, c := range []struct {
		name    string
		server  guarded
		outcome map[string]engine.StepOutcome
		say     []string
	}{
		{
			"a namespace may not be looked at",
			guarded{describe: denied()},
			map[string]engine.StepOutcome{"namespace events": engine.Denied},
			[]string{"tcld namespace create --namespace events --region REGION --retention-days 30", "temporal operator namespace create --namespace events --retention 720h"},
		},
		{
			"a namespace may not be made",
			guarded{describe: nobody(), register: denied()},
			map[string]engine.StepOutcome{"namespace events": engine.Denied},
			[]string{"tcld namespace create", "Then repeat `grapnel setup`"},
		},
		{
			"the retention may not be changed, which comes last",
			guarded{update: denied(), attributes: engine.SearchAttributes()},
			map[string]engine.StepOutcome{
				"namespace events": engine.Already, "retention": engine.Denied,
				"search attribute EventSource": engine.Already, "search attribute EventSubject": engine.Already,
				"search attribute EventTime": engine.Already, "search attribute EventType": engine.Already, "search attribute EventReason": engine.Already, "search attribute EventRoute": engine.Already,
			},
			[]string{"It is 360h and should be 720h", "tcld namespace retention set --namespace events --retention-days 30"},
		},
		{
			"attributes cannot be added there",
			guarded{add: absent()},
			map[string]engine.StepOutcome{
				"namespace events":             engine.Already,
				"search attribute EventSource": engine.Denied, "search attribute EventSubject": engine.Denied,
				"search attribute EventTime": engine.Denied, "search attribute EventType": engine.Denied, "search attribute EventReason": engine.Denied, "search attribute EventRoute": engine.Denied,
			},
			[]string{"tcld namespace search-attributes add --namespace events", "--search-attribute EventTime=Datetime", "--name EventTime --type Datetime"},
		},
		{
			"attributes may not be listed and are not known",
			guarded{list: denied(), count: invalid()},
			map[string]engine.StepOutcome{"namespace events": engine.Already, "search attributes": engine.Denied},
			[]string{"tcld namespace search-attributes add"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, err := engine.Setup(within(t), c.server, engine.SetupOptions{Namespace: "events", Update: true})
			require.ErrorIs(t, err, engine.ErrIncomplete)
			require.False(t, report.Complete())
			require.Equal(t, c.outcome, outcomes(report))
			for _, say := range c.say {
				require.ErrorContains(t, err, say)
			}
		})
	}
}

func TestSetupIsContentWithWhatItMayNotListButUse(t *testing.T) {
	report, err := engine.Setup(within(t), guarded{list: denied()}, engine.SetupOptions{Namespace: "events"})
	require.NoError(t, err)
	require.Equal(t, engine.Already, outcomes(report)["search attributes"])
}

func TestReadyTellsWhy(t *testing.T) {
	registered, good := enumspb.NAMESPACE_STATE_REGISTERED, engine.SearchAttributes()
	for _, c := range []struct {
		name   string
		server guarded
		is     error
		say    string
	}{
		{"all is there", guarded{state: registered, attributes: good}, nil, ""},
		{"Temporal is away", guarded{describe: serviceerror.NewUnavailable("connection refused")}, engine.ErrUnreachable, "connection refused"},
		{"there is no namespace", guarded{describe: nobody()}, engine.ErrNotSetUp, "run `grapnel setup`"},
		{"the namespace is deleted", guarded{state: enumspb.NAMESPACE_STATE_DELETED}, engine.ErrNotSetUp, "is Deleted"},
		{"there are no attributes", guarded{state: registered}, engine.ErrNotSetUp, "EventSource, EventSubject, EventTime, EventType"},
		{"attributes cannot be listed for a fault", guarded{state: registered, list: serviceerror.NewInternal("broken")}, engine.ErrUnreachable, "broken"},
		{"nothing may be described and a query works", guarded{describe: denied()}, nil, ""},
		{"attributes may not be listed and a query works", guarded{state: registered, list: denied()}, nil, ""},
		{"attributes may not be listed and a query is refused", guarded{state: registered, list: denied(), count: invalid()}, engine.ErrNotSetUp, "EventSource is not"},
		{"not even a query is permitted", guarded{describe: denied(), count: denied()}, engine.ErrUnreachable, "unauthorized"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := engine.Ready(within(t), c.server, "events")
			if c.is == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, c.say)
		})
	}
}

func TestWorkersAreThoseThatPollTheQueue(t *testing.T) {
	server := enginetest.Shared(t)
	n, err := engine.Workers(within(t), server.Client, server.Namespace, "nobody-polls-this")
	require.NoError(t, err)
	require.Zero(t, n)
	w := worker.New(server.Client, "somebody-polls-this", worker.Options{})
	require.NoError(t, w.Start())
	defer w.Stop()
	require.Eventually(t, func() bool {
		n, err := engine.Workers(within(t), server.Client, server.Namespace, "somebody-polls-this")
		return err == nil && n == 1
	}, time.Minute, 50*time.Millisecond)
}
