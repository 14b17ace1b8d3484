// Package starter is the receiver: it verifies what comes in and starts a workflow
// for each event. receive.go is the path of one event, top to bottom.
package starter

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/spool"
	"github.com/grapnel/grapnel/internal/telemetry"
)

// Options say what a receiver needs.
type Options struct {
	// Config names the sources.
	Config *config.Config
	// Temporal takes the events, in Namespace, on TaskQueue.
	Temporal  Temporal
	Namespace string
	TaskQueue string
	// Spool keeps what Temporal can't take now; without one it is refused with 503.
	Spool *spool.Spool
	// Observer hears of every request; may be nil.
	Observer Observer
	// Tracer makes the receiver's spans; nil where traces are not exported.
	Tracer trace.Tracer
	// Development gives the key of this machine, for sources that take samples signed with
	// it. Nil refuses such sources: the receiver is not for this machine alone.
	Development func() (*provider.Development, error)
	Log         *zap.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Transport fetches lists of addresses, certificates and key sets; nil is the
	// network, without the private addresses that the configuration does not name.
	Transport http.RoundTripper
}

// Observer hears of every request.
type Observer interface {
	// Began hears of a request whose header is read.
	Began()
	// Answered hears of it again when it is answered.
	Answered(Answer)
}

// Answer is what became of a request.
type Answer struct {
	// Source is the name of the source; empty where the request names none of ours.
	Source string
	// Outcome is a metric label: started, duplicate and so on, or why the request was
	// refused.
	Outcome string
	// Refused is set where Outcome says why the request was refused.
	Refused bool
	// Collided is set where another event had the ID that this one would have.
	Collided bool
	Status   int
	// Took is the time from the request's header to its answer.
	Took time.Duration
	// Client is the sender's address, as far as the request can be believed.
	Client string
	// Detail says more of a refusal, for the owner of the source.
	Detail string
	// Method, Path, Header and Body are the request's, and valid during the call only.
	Method string
	Path   string
	Header func(yield func(name, value string) bool)
	Body   []byte
	// Secret names the headers that hold what must not be shown.
	Secret []string
}

// Starter is a receiver.
type Starter struct {
	app    *fiber.App
	table  atomic.Pointer[doorTable]
	intake *intake
	limits *limits
	lists  *addressLists
	// transport and development are those of Options.
	transport   http.RoundTripper
	development func() (*provider.Development, error)
	// conns and bodies bound what is held by clients of whom nothing is verified.
	conns, bodies *crowd
	// verified counts the requests that are verified and not answered yet.
	verified atomic.Int64
	// admission bounds the starts under way where there is a spool.
	admission *admission
	// underWay holds the starts that requests have begun: by the event's name, a
	// channel that is closed when the start ends.
	underWay sync.Map
	spool    *spool.Spool
	observer Observer
	tracer   trace.Tracer
	log      *zap.Logger
	// refusals chooses which refusals are logged.
	refusals *telemetry.Sample[refusalKind]
	now      func() time.Time
	// alive ends with the receiver. Contexts of requests derive from it, because
	// fasthttp has none that outlives the connection.
	alive context.Context //nolint:containedctx // See above.
	kill  context.CancelFunc
}

// headerBytes is the longest header that is taken. Some hold long tokens.
const headerBytes = 16 << 10

// unverifiedBytes is the memory for all bodies that are not verified yet.
const unverifiedBytes = 32 << 20

// New makes a receiver. It takes requests when Serve is called.
func New(o Options) (*Starter, error) {
	now := o.Now
	if now == nil {
		now = time.Now
	}
	queued := func() bool { return o.Spool.Depth() > 0 }
	s := &Starter{
		intake: &intake{
			temporal: o.Temporal, namespace: o.Namespace, taskQueue: o.TaskQueue, seen: newSeenEvents(now), now: now,
		},
		admission: newAdmission(o.Config.MaxInflight, now, queued, o.Log),
		spool:     o.Spool, observer: o.Observer, tracer: o.Tracer, transport: o.Transport, development: o.Development, log: o.Log, now: now,
		refusals: telemetry.NewSample[refusalKind](now),
		conns:    newCrowd(connectionsPerRequest*o.Config.MaxRequests, 0, (*guest).hangUp),
		bodies:   newCrowd(o.Config.MaxRequests, unverifiedBytes, (*guest).stopReading),
	}
	s.alive, s.kill = context.WithCancel(context.Background())
	if err := s.guard(o.Config); err != nil {
		s.kill()
		return nil, err
	}
	t := o.Config.Timeouts
	s.app = fiber.New(fiber.Config{
		AppName:               "grapnel",
		DisableStartupMessage: true,
		// We read the body ourselves, after the checks that need none.
		StreamRequestBody: true,
		// Otherwise fasthttp reads a form into files before those checks, and the bytes that
		// the signature covers are lost.
		DisablePreParseMultipartForm: true,
		ReadBufferSize:               headerBytes,
		ReadTimeout:                  t.Header, // The body has its own time, see below.
		WriteTimeout:                 t.Write,
		IdleTimeout:                  t.Idle,
		// The crowd of connections is the bound; those that gave way end a little later.
		Concurrency: math.MaxInt32,
		// ReduceMemoryUsage must stay off: with StreamRequestBody, fasthttp 1.51 gives the
		// buffer away from which the body is still to be read.
		ErrorHandler: s.fault,
	})
	s.app.Server().SecureErrorLogMessage = true // Else an error quotes the header.
	s.app.Server().HeaderReceived = func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
		takeOver(h)
		return fasthttp.RequestConfig{ReadTimeout: t.Read}
	}
	s.app.Server().Handler = s.anyMethod(s.app.Server().Handler)
	s.app.All("/webhooks/:source", s.receive)
	return s, nil
}

// guard makes the rate limits, the lists of addresses, and the doors.
func (s *Starter) guard(c *config.Config) error {
	var shared *sharedBuckets
	if c.RateStore.IsSet() {
		var err error
		if shared, err = newSharedBuckets(s.alive, c.RateStore.Reveal(), s.log); err != nil {
			return err
		}
		context.AfterFunc(s.alive, shared.close)
	}
	s.limits = newLimits(shared, s.now)
	s.lists = &addressLists{read: listReader(s.transport), alive: s.alive, log: s.log}
	return s.Reload(c)
}

// Reload puts another configuration in force. Requests in hand are finished under the
// one they began with. What the listener was made with stays: time-outs, the bound on
// connections, and the rate store.
func (s *Starter) Reload(c *config.Config) error {
	t, err := s.newTable(c, s.table.Load())
	if err != nil {
		return err
	}
	s.bodies.bound(c.MaxRequests)
	s.table.Store(t)
	return nil
}

// Serve answers requests until Shutdown. Its error is nil after that.
func (s *Starter) Serve(l net.Listener) error {
	// The server's own Shutdown closes a listener only once the server serves it.
	defer context.AfterFunc(s.alive, func() { _ = l.Close() })()
	b := &boundedListener{
		Listener: l, conns: s.conns,
		trusts: func(peer netip.Addr) bool { return inAnyOf(peer, s.table.Load().config.TrustedProxies) },
	}
	if err := s.app.Listener(b); err != nil {
		return fmt.Errorf("receive on %s: %w", l.Addr(), err)
	}
	return nil
}

// Shutdown stops accepting and waits for the requests in hand, as long as ctx
// allows.
func (s *Starter) Shutdown(ctx context.Context) error {
	defer s.kill()
	if err := s.app.ShutdownWithContext(ctx); err != nil {
		return fmt.Errorf("finish the requests in hand: %w", err)
	}
	return nil
}

// anyMethod answers a method that Fiber does not know as it answers every method that a source
// does not take. Fiber would answer it by itself: the observer would not hear of it, and the rest
// of its body would be read as the next request.
func (s *Starter) anyMethod(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(r *fasthttp.RequestCtx) {
		if slices.Contains(fiber.DefaultMethods, string(r.Method())) {
			next(r)
			return
		}
		c := s.app.AcquireCtx(r)
		defer s.app.ReleaseCtx(c)
		t := s.table.Load()
		x := s.exchange(c, t)
		x.framing, _ = readFraming(r) // For its fields; it is refused in any case.
		why := unknownSource()
		if name, ok := strings.CutPrefix(c.Path(), "/webhooks/"); ok && t.doors[name] != nil {
			x.door = t.doors[name]
			why = x.door.wrongMethod()
		}
		_ = s.refuse(x, why) // Its error is that of writing the answer, which is done.
	}
}
