package engine_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/grapnel/grapnel/internal/engine"
)

// guarded is a Temporal that answers each call with a given error, the way a
// Temporal Cloud namespace or an authorizer does. Nil lets a call through.
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
		outcome map[string]engine.Outcome
		say     []string
	}{
		{
			"a namespace may not be looked at",
			guarded{describe: denied()},
			map[string]engine.Outcome{"namespace events": engine.Denied},
			[]string{"tcld namespace create --namespace events --region REGION --retention-days 30", "temporal operator namespace create --namespace events --retention 720h"},
		},
		{
			"a namespace may not be made",
			guarded{describe: nobody(), register: denied()},
			map[string]engine.Outcome{"namespace events": engine.Denied},
			[]string{"tcld namespace create", "Then repeat `grapnel setup`"},
		},
		{
			"the retention may not be changed, which stops nothing else",
			guarded{update: denied(), attributes: engine.SearchAttributes()},
			map[string]engine.Outcome{
				"namespace events": engine.Already, "retention": engine.Denied,
				"search attribute EventSource": engine.Already, "search attribute EventSubject": engine.Already,
				"search attribute EventTime": engine.Already, "search attribute EventType": engine.Already,
			},
			[]string{"It is 360h and should be 720h", "tcld namespace retention set --namespace events --retention-days 30"},
		},
		{
			"attributes cannot be added there",
			guarded{add: absent()},
			map[string]engine.Outcome{
				"namespace events": engine.Already, "retention": engine.Changed,
				"search attribute EventSource": engine.Denied, "search attribute EventSubject": engine.Denied,
				"search attribute EventTime": engine.Denied, "search attribute EventType": engine.Denied,
			},
			[]string{"tcld namespace search-attributes add --namespace events", "--search-attribute EventTime=Datetime", "--name EventTime --type Datetime"},
		},
		{
			"attributes may not be listed and are not known",
			guarded{list: denied(), count: invalid()},
			map[string]engine.Outcome{"namespace events": engine.Already, "retention": engine.Changed, "search attributes": engine.Denied},
			[]string{"tcld namespace search-attributes add"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, err := engine.Setup(within(t), c.server, engine.SetupOptions{Namespace: "events"})
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
