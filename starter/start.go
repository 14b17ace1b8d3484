package starter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/grapnel/grapnel/internal/event"
)

// Temporal is what the door needs of a Temporal client.
type Temporal interface {
	ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
	DescribeWorkflowExecution(ctx context.Context, id, run string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
	ResetWorkflowExecution(ctx context.Context, r *workflowservice.ResetWorkflowExecutionRequest) (*workflowservice.ResetWorkflowExecutionResponse, error)
}

// Incoming is an event that its source vouches for, on its way to Temporal.
type Incoming struct {
	Event event.Event
	// Digest tells events apart that share an ID; empty where the ID alone does.
	Digest string
	Body   []byte
	// Live is set for a request from the sender and not for what the spool
	// drains: only a live one revives a dead letter.
	Live bool
}

// Outcome is what became of an event at Temporal's door.
type Outcome string

// The outcomes. Of all of them the sender hears success.
const (
	Started   Outcome = "started"
	Duplicate Outcome = "duplicate"
	Abandoned Outcome = "abandoned" // a duplicate of a run that somebody ended by hand
	Replayed  Outcome = "replayed"  // a duplicate of a dead letter, which is played again
)

// ErrRefused is an event that Temporal will never take.
var ErrRefused = errors.New("temporal refuses the event for good")

// largeBody is the size in bytes from which it pays to ask first: a start that
// is refused costs as much as one that is not, and its body stays in the
// engine's history store for weeks.
const largeBody = 32 << 10

// engine hands events to Temporal, each at most once.
type engine struct {
	temporal  Temporal
	namespace string
	taskQueue string
	seen      *seen
	now       func() time.Time
}

// start starts the workflow of an event, or finds that it was started before.
// It gives the ID under which the event is known, which differs from the
// event's own when another event has that one.
func (s *engine) start(ctx context.Context, in Incoming) (id string, o Outcome, err error) {
	o, err = s.startAs(ctx, in.Event.ID, in)
	if errors.Is(err, errCollision) {
		in.Event.ID = event.IDOfCollision(in.Event.ID, in.Digest)
		o, err = s.startAs(ctx, in.Event.ID, in)
	}
	return in.Event.ID, o, err
}

// errCollision says that another event has the ID.
var errCollision = errors.New("another event has this ID")

func (s *engine) startAs(ctx context.Context, id string, in Incoming) (Outcome, error) {
	known, often := s.seen.note(id, in.Digest)
	if often {
		return Duplicate, nil
	}
	if known || len(in.Body) > largeBody {
		o, err := s.judge(ctx, id, in)
		if _, gone := errors.AsType[*serviceerror.NotFound](err); !gone {
			return o, err
		}
	}
	err := s.execute(ctx, in)
	if _, already := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); already {
		return s.judge(ctx, id, in)
	}
	if err != nil {
		return "", err
	}
	s.seen.add(id, in.Digest)
	return Started, nil
}

// execute starts the workflow. What Temporal calls invalid is tried once more
// without the metadata, which must never cost an event.
func (s *engine) execute(ctx context.Context, in Incoming) error {
	o := s.options(in)
	_, err := s.temporal.ExecuteWorkflow(ctx, o, event.ProcessEvent, in.Event, payload(in))
	var invalid *serviceerror.InvalidArgument
	if errors.As(err, &invalid) {
		o.TypedSearchAttributes, o.StaticSummary, o.StaticDetails = temporal.SearchAttributes{}, "", ""
		_, err = s.temporal.ExecuteWorkflow(ctx, o, event.ProcessEvent, in.Event, payload(in))
	}
	if errors.As(err, &invalid) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err //nolint:wrapcheck // The caller wraps what is not ordinary.
}

func (s *engine) options(in Incoming) client.StartWorkflowOptions {
	e := in.Event
	m := map[string]any{event.MemoSummary: e.Summary()}
	if in.Digest != "" {
		m[event.MemoDigest] = in.Digest
	}
	return client.StartWorkflowOptions{
		ID:                                       e.ID,
		TaskQueue:                                s.taskQueue,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		EnableEagerStart:                         true,
		Memo:                                     m,
		TypedSearchAttributes:                    attributes(e),
		StaticSummary:                            event.Cut(e.Summary(), maxSummaryBytes),
		StaticDetails:                            details(e),
	}
}

// payload is the body as an argument of its own: its bytes stay as they were
// sent, and the Web UI still shows JSON.
func payload(in Incoming) converter.RawValue {
	encoding := converter.MetadataEncodingBinary
	if json.Valid(in.Body) {
		encoding = converter.MetadataEncodingJSON
	}
	return converter.NewRawValue(&common.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte(encoding)},
		Data:     in.Body,
	})
}
