package starter

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/payload"
	"github.com/grapnel/grapnel/internal/tracing"
)

// Temporal is what the receiver needs of a Temporal client.
type Temporal interface {
	ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
	DescribeWorkflowExecution(ctx context.Context, id, run string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
	ResetWorkflowExecution(ctx context.Context, r *workflowservice.ResetWorkflowExecutionRequest) (*workflowservice.ResetWorkflowExecutionResponse, error)
}

// Incoming is a verified event on its way to Temporal.
type Incoming struct {
	Event event.Event
	// Digest tells apart events that share an ID; empty if the ID alone does.
	Digest string
	Body   []byte
	// Live is set for an event that comes from a sender's request, and not set for one from the
	// spool: only a live request replays a dead letter.
	Live bool
	// Again is the time after which a handled event that comes again is handled once more; zero
	// is never. It is for senders that say only that something has changed.
	Again time.Duration
}

// numbered tells whether the sender's ID alone identifies the event, whatever the body.
func (in *Incoming) numbered() bool { return in.Digest == "" && in.Event.SenderID != "" }

// Acceptance says what became of an event that was not refused. The sender hears success in every
// case.
type Acceptance string

// The values of Acceptance.
const (
	Started   Acceptance = "started"
	Duplicate Acceptance = "duplicate"
	Abandoned Acceptance = "abandoned" // A duplicate of a run that somebody ended by hand.
	Replayed  Acceptance = "replayed"  // A duplicate of a dead letter, which is replayed.
	Changed   Acceptance = "changed"   // A duplicate by its sender's ID, with another body.
	Queued    Acceptance = "queued"    // The spool has it on disk.
	Ignored   Acceptance = "ignored"   // The source does not take its type.
)

// ErrRefused says that Temporal will never take the event.
var ErrRefused = errors.New("temporal refuses the event for good")

// errAgain says that the event was handled so long ago that it now counts as a new one.
var errAgain = errors.New("the event was handled, and has happened again")

// errCollision says that another event has the same ID.
var errCollision = errors.New("another event has this ID")

// largeBody is the size in bytes from which Temporal is asked whether it knows the event before
// the event is started. A start that is refused as a duplicate costs as much as any other, and
// leaves its body in Temporal's history store for weeks.
const largeBody = 32 << 10

// intake hands events to Temporal, each at most once.
type intake struct {
	temporal  Temporal
	namespace string
	taskQueue string
	seen      *seenEvents
	now       func() time.Time
}

// start starts the workflow of an event, or finds that it was started before. It gives the ID
// under which the event is known, which is not the event's own ID if another event has that one.
func (s *intake) start(ctx context.Context, in Incoming) (id string, o Acceptance, err error) {
	o, err = s.startAs(ctx, in.Event.ID, in)
	if errors.Is(err, errCollision) {
		in.Event.ID = event.IDOfCollision(in.Event.ID, in.Digest)
		o, err = s.startAs(ctx, in.Event.ID, in)
	}
	return in.Event.ID, o, err
}

func (s *intake) startAs(ctx context.Context, id string, in Incoming) (Acceptance, error) {
	known, often := s.seen.note(id, in.Digest)
	if often {
		return Duplicate, nil
	}
	if known || len(in.Body) > largeBody {
		o, err := s.judge(ctx, id, in)
		if errors.Is(err, errAgain) {
			return s.startAgain(ctx, in)
		}
		if _, gone := errors.AsType[*serviceerror.NotFound](err); !gone {
			return o, err
		}
	}
	err := s.execute(ctx, in, enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE)
	if _, already := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); already {
		o, err := s.judge(ctx, id, in)
		if errors.Is(err, errAgain) {
			return s.startAgain(ctx, in)
		}
		return o, err
	}
	if err != nil {
		return "", err
	}
	s.seen.add(id, in.Digest)
	return Started, nil
}

// startAgain starts an event that was handled before. If the event is under way by now, this is a
// duplicate.
func (s *intake) startAgain(ctx context.Context, in Incoming) (Acceptance, error) {
	err := s.execute(ctx, in, enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE)
	if _, already := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); already {
		return Duplicate, nil
	}
	if err != nil {
		return "", err
	}
	return Started, nil
}

// execute starts the workflow. A start that Temporal calls invalid is tried once more without
// metadata, so that no event is lost because of its metadata.
func (s *intake) execute(ctx context.Context, in Incoming, reuse enums.WorkflowIdReusePolicy) error {
	ctx = tracing.Context(ctx, in.Event)
	o := s.options(in)
	o.WorkflowIDReusePolicy = reuse
	_, err := s.temporal.ExecuteWorkflow(ctx, o, event.ProcessEvent, in.Event, payload.Body(in.Body))
	var invalid *serviceerror.InvalidArgument
	if errors.As(err, &invalid) {
		o.TypedSearchAttributes, o.StaticSummary, o.StaticDetails = temporal.SearchAttributes{}, "", ""
		_, err = s.temporal.ExecuteWorkflow(ctx, o, event.ProcessEvent, in.Event, payload.Body(in.Body))
	}
	if errors.As(err, &invalid) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err //nolint:wrapcheck // The caller wraps what is not ordinary.
}

func (s *intake) options(in Incoming) client.StartWorkflowOptions {
	e := in.Event
	m := map[string]any{event.MemoSummary: e.Summary()}
	if in.Digest != "" {
		m[event.MemoDigest] = in.Digest
	}
	if in.numbered() {
		m[event.MemoBody] = event.IDByBody(e.Source, in.Body)
	}
	return client.StartWorkflowOptions{
		ID:                                       e.ID,
		TaskQueue:                                s.taskQueue,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		EnableEagerStart:                         true,
		Memo:                                     m,
		TypedSearchAttributes:                    searchAttributes(e),
		StaticSummary:                            event.Cut(e.Summary(), maxSummaryBytes),
		StaticDetails:                            staticDetails(e),
	}
}

// judge says what an event is whose ID Temporal knows: a duplicate, a dead letter to be replayed,
// or another event.
func (s *intake) judge(ctx context.Context, id string, in Incoming) (Acceptance, error) {
	d, err := s.temporal.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return "", fmt.Errorf("look up event %s: %w", id, err)
	}
	info := d.GetWorkflowExecutionInfo()
	if digest := payload.Memo[string](info.GetMemo(), event.MemoDigest); in.Digest != "" && digest != "" && digest != in.Digest {
		return "", errCollision
	}
	s.seen.add(id, in.Digest)
	switch info.GetStatus() {
	case enums.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		if in.Again > 0 && in.Event.Received.Sub(info.GetStartTime().AsTime()) >= in.Again {
			return "", errAgain
		}
	case enums.WORKFLOW_EXECUTION_STATUS_TERMINATED, enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
		enums.WORKFLOW_EXECUTION_STATUS_CANCELED:
		return Abandoned, nil
	case enums.WORKFLOW_EXECUTION_STATUS_FAILED:
		if info.GetType().GetName() == event.DeadLetter && in.Live && s.mayRevive(id, info.GetMemo()) {
			return s.revive(ctx, id, info.GetExecution().GetRunId(), firstTask(info))
		}
	default:
	}
	if in.changed(info.GetMemo()) {
		return Changed, nil
	}
	return Duplicate, nil
}

// changed tells whether the event came before under the same ID of the sender, but with another
// body.
func (in *Incoming) changed(m *common.Memo) bool {
	before := payload.Memo[string](m, event.MemoBody)
	return in.numbered() && before != "" && before != event.IDByBody(in.Event.Source, in.Body)
}

// reviveEvery is the least time between two replays of a dead letter by a sender's repeats.
const reviveEvery = 5 * time.Minute

func (s *intake) mayRevive(id string, m *common.Memo) bool {
	last := payload.Memo[time.Time](m, event.MemoReplayed)
	// A time in the future was written under a clock that is set otherwise.
	return s.now().Sub(last).Abs() >= reviveEvery && s.seen.revive(id, reviveEvery)
}

// firstTask gives the ID of the history event that ends the first workflow task of a dead letter,
// to which a reset goes. A letter of an earlier version does not tell it; such a letter has
// nothing but its failure after that event.
func firstTask(info *workflowpb.WorkflowExecutionInfo) int64 {
	if task := payload.Memo[event.Outline](info.GetMemo(), event.MemoOutline).Task; task > 0 {
		return task
	}
	return info.GetHistoryLength() - 1
}

// revive replays a dead letter by a reset to its first workflow task.
func (s *intake) revive(ctx context.Context, id, run string, task int64) (Acceptance, error) {
	_, err := s.temporal.ResetWorkflowExecution(ctx, &workflowservice.ResetWorkflowExecutionRequest{
		Namespace:                 s.namespace,
		WorkflowExecution:         &common.WorkflowExecution{WorkflowId: id, RunId: run},
		Reason:                    "the sender sent the event again",
		WorkflowTaskFinishEventId: task,
		RequestId:                 "replay-" + run,
	})
	var notFound *serviceerror.NotFound
	switch {
	case errors.As(err, &notFound):
		return Duplicate, nil // Somebody else has just replayed it.
	case err != nil:
		s.seen.unrevive(id)
		return "", fmt.Errorf("replay dead letter %s: %w", id, err)
	}
	return Replayed, nil
}

// seenEvents remembers events that Temporal has. It only saves calls: an event that it has
// forgotten costs one call more, and an event that it remembers is looked up in Temporal before
// it is called a duplicate, unless it is repeated so often that looking it up would do harm.
type seenEvents struct {
	mu    sync.Mutex
	now   func() time.Time
	began time.Time
	// When recent is full, it becomes the older half, and what the older half held and nobody
	// asked for again is forgotten. Two maps without pointers take less than half of the memory
	// of a linked list, and the garbage collector does not look into them.
	recent, older map[seenKey]sighting
}

// seenKey stands for an event ID or a digest in half the bytes of one: the process has
// tens of thousands of them in memory, and two never share 128 bits of a SHA-256.
type seenKey [16]byte

func keyOf(text string) (k seenKey) {
	sum := sha256.Sum256([]byte(text))
	copy(k[:], sum[:])
	return k
}

type sighting struct {
	digest  seenKey
	repeats int32
	// Both are times since the process began, which a clock that is set back does not touch:
	// when the minute began in which repeats are counted, and when the dead letter was last
	// replayed by a request.
	since, revived time.Duration
}

const (
	// seenSize is how many events each half remembers. At 26,000 a map of Go fills what it has
	// taken, and both take 4 MB; at 28,000 they take half as much again.
	seenSize = 26_000
	// repeatsPerMinute is how many repeats of one ID are looked up in a minute; further ones are
	// called duplicates without asking.
	repeatsPerMinute = 10
)

func newSeenEvents(now func() time.Time) *seenEvents {
	return &seenEvents{now: now, began: now(), recent: map[seenKey]sighting{}, older: map[seenKey]sighting{}}
}

// neverRevived is the time of a replay that was not made: long before the process began.
const neverRevived = time.Duration(math.MinInt64 / 2)

// elapsed gives the time since the process began.
func (s *seenEvents) elapsed() time.Duration { return s.now().Sub(s.began) }

// get finds an event that is remembered.
func (s *seenEvents) get(k seenKey) (g sighting, ok bool) {
	if g, ok = s.recent[k]; !ok {
		g, ok = s.older[k]
	}
	return g, ok
}

// put remembers an event as the latest.
func (s *seenEvents) put(k seenKey, g sighting) {
	if _, ok := s.recent[k]; !ok && len(s.recent) >= seenSize {
		s.recent, s.older = s.older, s.recent
		clear(s.recent)
	}
	s.recent[k] = g
}

// note counts a request for an ID. known tells whether Temporal had the event lately, often
// whether the same event was repeated too often to be looked up again.
func (s *seenEvents) note(id, digest string) (known, often bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := keyOf(id)
	g, ok := s.get(k)
	if !ok {
		return false, false
	}
	if now := s.elapsed(); now-g.since >= time.Minute {
		g.since, g.repeats = now, 0
	}
	g.repeats++
	s.put(k, g)
	return true, g.digest == keyOf(digest) && g.repeats > repeatsPerMinute
}

// add remembers that Temporal has the event.
func (s *seenEvents) add(id, digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := keyOf(id)
	if _, ok := s.get(k); !ok {
		s.put(k, sighting{digest: keyOf(digest), since: s.elapsed(), revived: neverRevived})
	}
}

// revive tells whether the dead letter of an ID may be replayed now, which is at most once in the
// given time.
func (s *seenEvents) revive(id string, every time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, now := keyOf(id), s.elapsed()
	g, ok := s.get(k)
	switch {
	case !ok:
		return true
	case now-g.revived < every:
		return false
	}
	g.revived = now
	s.put(k, g)
	return true
}

// unrevive forgets that a dead letter was replayed, because the replay has failed.
func (s *seenEvents) unrevive(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := keyOf(id)
	if g, ok := s.get(k); ok {
		g.revived = neverRevived
		s.put(k, g)
	}
}
