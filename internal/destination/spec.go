package destination

import (
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/netguard"
)

// Spec is a destination as grapnel.yaml describes it.
type Spec struct {
	// Name is its key in the file. It is part of the webhook-id, by which a
	// receiver drops repeats, so it has to stay as it is.
	Name string `yaml:"-"`
	// Events are source/type patterns of what it takes.
	Events []string `yaml:"events"`
	// When is a condition over an event, in CEL; it takes those events alone for
	// which it holds. Empty is always.
	When string `yaml:"when"`
	// Transform shapes what goes out. Without it that is the body as it came.
	Transform *Transform `yaml:"transform"`
	// HTTP is the endpoint that events are posted to.
	HTTP *HTTP `yaml:"http"`
	// Activity is an activity on another task queue, which runs it in place of us.
	Activity *Activity `yaml:"activity"`
	// Workflow is another workflow, which events start, signal or update.
	Workflow *Workflow `yaml:"workflow"`
	// Retry is when a failed delivery is tried again.
	Retry event.Retry `yaml:"retry"`
	// Breaker says when it is left alone for a while. There is none by default where
	// an event has one attempt.
	Breaker Breaker `yaml:"breaker"`
	// Limit bounds what it is given at once.
	Limit Limit `yaml:"limit"`
	// AllowPrivate names hosts, addresses and CIDRs that may be private,
	// loopback or link-local.
	AllowPrivate []string `yaml:"allow_private"`
}

// SetDefaults fills in what holds when a key is not given.
func (s *Spec) SetDefaults() {
	s.Retry = DefaultRetry()
	s.Breaker.SetDefaults()
	s.Limit.Concurrency = 50
}

// DefaultRetry recovers within seconds from what happens most, a restart of the
// other side, and then follows the example schedule of the Standard Webhooks
// specification over 28 hours.
func DefaultRetry() event.Retry {
	return event.Retry{
		Attempts: 11, Initial: time.Second, Max: 10 * time.Hour, Jitter: 0.2,
		Schedule: []time.Duration{
			time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute,
			2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour,
		},
	}
}

// Report takes what is wrong with the description of a destination. Paths start
// at the destination itself, as http.url.
type Report interface {
	// Fault is what is wrong with a setting, and what to do about it.
	Fault(path, message string)
	// Given tells whether the file has a setting.
	Given(path string) bool
	// Broken tells whether a fault of a setting, or of one within it, is known.
	Broken(path string) bool
	// Duration reports a setting that is not within its bounds, and Count the same
	// of a number.
	Duration(path string, d, low, high time.Duration)
	Count(path string, n, low, high int)
}

// kindSpec is what the configuration says of one kind of target.
type kindSpec interface {
	// check reports what is wrong with it.
	check(s *Spec, r Report)
	// open makes the kind; it has the last word on what can be used.
	open(s *Spec, d Deps) (Kind, error)
}

// kind is the one kind that is given, with its key in the file; nil without one.
func (s *Spec) kind() (key string, spec kindSpec) {
	switch {
	case s.HTTP != nil:
		return "http", s.HTTP
	case s.Activity != nil:
		return "activity", s.Activity
	case s.Workflow != nil:
		return "workflow", s.Workflow
	}
	return "", nil
}

// Kind is the key of its kind in the file: http, activity or workflow.
func (s *Spec) Kind() string {
	key, _ := s.kind()
	return key
}

// Where is where events go that stay in Temporal.
func (s *Spec) Where() string {
	switch {
	case s.Activity != nil:
		return s.Activity.target()
	case s.Workflow != nil:
		return s.Workflow.target()
	}
	return ""
}

// Queue is the task queue that a worker of somebody else has to poll for the destination's
// events, and whether for activities or for workflows; empty where there is none.
func (s *Spec) Queue() (name string, of enumspb.TaskQueueType) {
	switch {
	case s.Activity != nil:
		return s.Activity.TaskQueue, enumspb.TASK_QUEUE_TYPE_ACTIVITY
	case s.Workflow != nil:
		return s.Workflow.TaskQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW
	}
	return "", enumspb.TASK_QUEUE_TYPE_UNSPECIFIED
}

// Timeout is how long one attempt may take.
func (s *Spec) Timeout() time.Duration {
	switch {
	case s.HTTP != nil:
		return s.HTTP.Timeout
	case s.Activity != nil:
		return s.Activity.Timeout
	case s.Workflow != nil:
		return s.Workflow.Timeout
	}
	return 0
}

// Check reports everything that is wrong with the description. What it looks at
// by itself has a place in the file; the kind's own constructor has the last word.
func (s *Spec) Check(r Report) {
	if len(s.Events) == 0 {
		r.Fault("events", "name what goes there, source/type with * for any text, as [\"zoom/meeting.*\"]")
	}
	for i, e := range s.Events {
		if !strings.Contains(e, "/") && e != "*" {
			r.Fault(fmt.Sprintf("events[%d]", i), "must be source/type, as zoom/meeting.* or zoom/*")
		}
	}
	s.checkRetry(r)
	if s.Retry.Attempts == 1 && !r.Given("breaker") {
		// Who asks for one attempt wants to see a dead letter after it. A circuit would
		// keep the event waiting instead, for as long as the destination is down.
		s.Breaker.FailureRatio = 0
	}
	s.Breaker.check(r)
	r.Count("limit.concurrency", s.Limit.Concurrency, 0, 100_000)
	if s.Limit.Rate < 0 || s.Limit.Rate > 100_000 {
		r.Fault("limit.rate", "must be from 0 to 100000 deliveries a second; 0 is no limit")
	}
	for i, a := range s.AllowPrivate {
		if netguard.CheckEntry(a) != nil {
			r.Fault(fmt.Sprintf("allow_private[%d]", i), "must be a host name, an address or a CIDR")
		}
	}
	key, spec := s.kind()
	if spec == nil {
		if !r.Broken("") {
			r.Fault("", "says nothing of where events go; add http: {url: https://…}, activity: {name: …, task_queue: …} or workflow: {id: …}")
		}
		return
	}
	s.checkKind(key, r)
	spec.check(s, r)
	s.checkExpressions(r)
	if r.Broken("") {
		return
	}
	d, err := New(s, Deps{})
	if err != nil {
		r.Fault(key, err.Error())
		return
	}
	d.Close()
}

// checkKind reports every kind beside the one that counts.
func (s *Spec) checkKind(key string, r Report) {
	for _, other := range []struct {
		key   string
		given bool
	}{{"activity", s.Activity != nil}, {"workflow", s.Workflow != nil}} {
		if other.given && other.key != key {
			r.Fault(other.key, "stands beside "+key+"; a destination is of one kind, so make it two destinations")
		}
	}
}

// longestDelay is the longest delay that any setting of a retry may have.
const longestDelay = 30 * 24 * time.Hour

// shortestDelay is the shortest.
const shortestDelay = 100 * time.Millisecond

// checkRetry checks the attempts, and lets go of the default schedule when the
// file gives delays of another kind.
func (s *Spec) checkRetry(r Report) {
	t := &s.Retry
	other := r.Given("retry.initial") || r.Given("retry.multiplier") || r.Given("retry.max")
	if other && !r.Given("retry.schedule") {
		t.Schedule = nil
		if !r.Given("retry.multiplier") {
			t.Multiplier = 2
		}
	}
	r.Count("retry.attempts", t.Attempts, 1, 100)
	r.Duration("retry.initial", t.Initial, shortestDelay, longestDelay)
	r.Duration("retry.max", t.Max, t.Initial, longestDelay)
	if t.Multiplier != 0 && (t.Multiplier < 1 || t.Multiplier > 100) {
		r.Fault("retry.multiplier", "must be from 1 to 100, or 0 with a schedule")
	}
	if t.Jitter < 0 || t.Jitter > 0.5 {
		r.Fault("retry.jitter", "must be from 0 to 0.5, the part of a retry delay that it is spread over")
	}
	for i, delay := range t.Schedule {
		r.Duration(fmt.Sprintf("retry.schedule[%d]", i), delay, shortestDelay, longestDelay)
	}
}
