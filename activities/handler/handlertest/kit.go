// Package handlertest tests handlers. A test of five lines takes an event all the way: a sample
// is signed as its sender signs it, and goes through the receiver and the real workflow to the
// handler.
//
//	func TestInvoicePaid(t *testing.T) {
//		kit := handlertest.New(t, bind)
//		result := kit.Send("stripe", "invoice.paid")
//		result.RequireHandled()
//		result.RequireAttempts(1)
//	}
//
// The workflow runs in the test environment of Temporal's SDK, whose clock jumps
// over every retry delay: a day of retries takes milliseconds. OnServer runs it on
// a real Temporal server instead. Event and Sample are for tests that call a
// handler themselves.
package handlertest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/event"
)

// Kit is a whole grapnel for one test: a receiver, a worker with the handlers under test, and a
// Temporal. It ends with the test. A method that can't do what it says fails the test.
type Kit struct {
	// Temporal is what the handlers get in handler.Deps: a fake that records the calls. It is nil
	// with OnServer.
	Temporal *Temporal

	t      testing.TB
	door   *door
	engine engine
	log    *attempts
}

// taskQueue is the task queue of the handlers under test.
const taskQueue = "handlertest"

// Option changes a Kit.
type Option func(*settings)

type settings struct {
	server  bool
	start   time.Time
	sources map[string]string
}

// At sets the time at which the kit's clock starts; by default noon of 1 June 2026, UTC. OnServer
// uses the real time.
func At(start time.Time) Option { return func(s *settings) { s.start = start } }

// Source describes a source as grapnel.yaml does, for handlers of a source that is not named like
// its provider, or that has a verify block of its own:
//
//	handlertest.Source("zoom-eu", "provider: zoom")
//
// The kit gives the source a secret. A source that is named like its provider needs no
// description.
func Source(name, yaml string) Option {
	return func(s *settings) { s.sources[name] = yaml }
}

// OnServer runs the workflows on Temporal's dev server, which the kit starts; it needs the
// command temporal in bin/ or on PATH. Retry delays take real time, and handlers talk to the real
// Temporal.
func OnServer() Option { return func(s *settings) { s.server = true } }

// New makes a kit with the handlers that bind binds.
func New(t testing.TB, bind handler.Bind, options ...Option) *Kit {
	t.Helper()
	s := settings{start: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), sources: map[string]string{}}
	for _, o := range options {
		o(&s)
	}
	k := &Kit{t: t, log: &attempts{}}
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	prepare := func(a *activities.Activities) {
		a.Log = logger
		if err := a.Bind(bind); err != nil {
			t.Fatalf("handlertest: the handlers can't be bound:\n%v", err)
		}
		a.Configure(activities.Configuration{})
	}
	if s.server {
		k.engine = newServer(t, k.log, prepare)
	} else {
		k.Temporal = &Temporal{}
		k.engine = newMemory(k.Temporal, k.log, s.start, prepare)
	}
	k.door = newDoor(t, k.engine, s.sources)
	return k
}

// Now gives the time of the kit's clock. Retry delays move the clock on.
func (k *Kit) Now() time.Time { return k.engine.now() }

// Advance moves the kit's clock on. With OnServer it can't be moved.
func (k *Kit) Advance(d time.Duration) {
	k.t.Helper()
	if !k.engine.advance(d) {
		k.t.Fatalf("handlertest: the clock of a server can't be moved")
	}
}

// Send posts a sample of a source to the receiver, as the sender would, and waits until the event
// is settled: handled, or a dead letter. The source is a provider that `grapnel providers` lists,
// or one that Source describes. An empty type stands for the first of which grapnel has a sample.
func (k *Kit) Send(source, typ string, options ...SendOption) *Result {
	k.t.Helper()
	o := sendOptions{}
	for _, option := range options {
		option(&o)
	}
	request, err := k.door.makeRequest(source, typ, o)
	if err != nil {
		k.t.Fatalf("handlertest: %v", err)
	}
	return k.post(request)
}

// Handle hands an event to its handlers without the receiver. It is for senders whose requests
// nobody else can sign, and for bodies that no sender would send.
func (k *Kit) Handle(source, typ string, body []byte) *Result {
	k.t.Helper()
	e := event.Event{
		ID: event.IDByBody(source+"\n"+typ, body), Source: source, Type: typ, Received: k.Now(),
		DataContentType: "application/json",
	}
	before := k.log.count()
	if err := k.engine.begin(e, body); err != nil {
		k.t.Fatalf("handlertest: %v", err)
	}
	r := &Result{ID: e.ID, kit: k, before: before}
	k.settle(r)
	return r
}

// post sends a request and waits for what becomes of it.
func (k *Kit) post(l *savedRequest) *Result {
	k.t.Helper()
	before := k.log.count()
	r, err := k.door.post(l)
	if err != nil {
		k.t.Fatalf("handlertest: %v", err)
	}
	r.kit, r.letter, r.before = k, l, before
	if r.ID != "" {
		k.settle(r)
	}
	return r
}

// settle waits until an event is handled or a dead letter.
func (k *Kit) settle(r *Result) {
	k.t.Helper()
	end, err := k.engine.settle(r.ID)
	if err != nil {
		k.t.Fatalf("handlertest: event %s: %v", r.ID, err)
	}
	r.Attempts, r.Failures, r.Text, r.Settled = k.log.since(r.before), end.failures, end.text, k.Now()
}

// SendOption changes a sample before it is sent.
type SendOption func(*sendOptions)

type sendOptions struct {
	set    []bodyChange
	body   []byte
	forged bool
	skew   time.Duration
}

// bodyChange is a value to put at a place in the body.
type bodyChange struct {
	path  string
	value any
}

// Set puts a value into the JSON body of the sample, at a path such as
// "data.object.amount" or "items.0.id".
func Set(path string, value any) SendOption {
	return func(s *sendOptions) { s.set = append(s.set, bodyChange{path, value}) }
}

// Body sends another body.
func Body(body []byte) SendOption { return func(s *sendOptions) { s.body = body } }

// Forged signs with a secret that the receiver does not know.
func Forged() SendOption { return func(s *sendOptions) { s.forged = true } }

// Skew signs at another time than the kit's: -10m is ten minutes ago.
func Skew(d time.Duration) SendOption { return func(s *sendOptions) { s.skew = d } }
