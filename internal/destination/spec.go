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
	// Name is the destination's key in the file. It is part of the webhook-id, by which a
	// receiver drops repeats, so it must not be changed.
	Name string `yaml:"-"`
	// Events are patterns, source/type, of the events that the destination takes.
	Events []string `yaml:"events"`
	// When is a condition over an event, in CEL. The destination takes only events for which the
	// condition holds; without one it takes all.
	When string `yaml:"when"`
	// Transform changes what is sent. Without it the body is sent as it came.
	Transform *Transform `yaml:"transform"`
	// HTTP is the endpoint that events are posted to.
	HTTP *HTTP `yaml:"http"`
	// Activity is an activity on another task queue, run by another worker.
	Activity *Activity `yaml:"activity"`
	// Workflow is a workflow that events start, signal or update.
	Workflow *Workflow `yaml:"workflow"`
	// Retry says when a failed delivery is tried again.
	Retry event.Retry `yaml:"retry"`
	// Breaker says after which failures the destination gets no deliveries for a while. By
	// default there is no breaker where an event has only one attempt.
	Breaker Breaker `yaml:"breaker"`
	// Limit bounds how many deliveries the destination gets.
	Limit Limit `yaml:"limit"`
	// AllowPrivate names the hosts, addresses and CIDRs to which events may be sent although they
	// are private, loopback or link-local.
	AllowPrivate []string `yaml:"allow_private"`
}

// SetDefaults sets the values of keys that the file does not give.
func (s *Spec) SetDefaults() {
	s.Retry = DefaultRetry()
	s.Breaker.SetDefaults()
	s.Limit.Concurrency = 50
}

// DefaultRetry is the default of Retry. Its first delays of seconds suit the commonest trouble, a
// restart of the destination; then it follows the example schedule of the Standard Webhooks
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

// Report collects what is wrong with a Spec. Paths start at the destination itself, as http.url
// does.
type Report interface {
	// Fault reports what is wrong with a setting, and what to do about it.
	Fault(path, message string)
	// Given tells whether the file has a setting.
	Given(path string) bool
	// Broken tells whether a fault was reported already of a setting, or of one within it.
	Broken(path string) bool
	// Duration reports a duration that is not within its bounds; Count does so for a number.
	Duration(path string, d, low, high time.Duration)
	Count(path string, n, low, high int)
}

// kindSpec is implemented by the settings of each kind: HTTP, Activity and Workflow.
type kindSpec interface {
	// check reports what is wrong with the settings.
	check(s *Spec, r Report)
	// open makes the Kind. It may refuse settings that check has let through.
	open(s *Spec, d Deps) (Kind, error)
}

// kind gives the settings of the one kind that is given, and the key of that kind in the file;
// nil if none is given.
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

// Kind gives the key of the destination's kind in the file: http, activity or workflow.
func (s *Spec) Kind() string {
	key, _ := s.kind()
	return key
}

// Where says to people where events go, for kinds whose events stay in Temporal; else it is
// empty.
func (s *Spec) Where() string {
	switch {
	case s.Activity != nil:
		return s.Activity.target()
	case s.Workflow != nil:
		return s.Workflow.target()
	}
	return ""
}

// Queue gives the task queue that another worker has to poll for the destination's events, and
// whether it polls for activities or for workflows. It is empty where no other worker is needed.
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

// Check reports everything that is wrong with the Spec, each fault at its place in the file. What
// only the making of the kind can find is reported last.
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
		// Whoever configures one attempt wants a dead letter after it. A breaker would keep the
		// event waiting instead, for as long as the destination is down.
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

// checkKind reports further kinds beside the one that key names.
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

// longestDelay is the longest retry delay that can be configured.
const longestDelay = 30 * 24 * time.Hour

// shortestDelay is the shortest retry delay that can be configured.
const shortestDelay = 100 * time.Millisecond

// checkRetry checks the settings of Retry. The default schedule is dropped where the file gives
// delays in another way.
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
		r.Fault("retry.jitter", "must be from 0 to 0.5: by this part of itself a retry delay may be longer or shorter")
	}
	for i, delay := range t.Schedule {
		r.Duration(fmt.Sprintf("retry.schedule[%d]", i), delay, shortestDelay, longestDelay)
	}
}
