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
	// Temporal takes the events: their workflows run in Namespace and on TaskQueue.
	Temporal  Temporal
	Namespace string
	TaskQueue string
	// Spool keeps events that Temporal can't take now. Without a Spool such events are refused
	// with 503.
	Spool *spool.Spool
	// Observer is told of every request; may be nil.
	Observer Observer
	// Tracer makes the receiver's spans; nil if traces are not exported.
	Tracer trace.Tracer
	// Development gives the development key of this machine, for sources that take samples signed
	// with it. It is nil if others than this machine reach the receiver; such sources are then
	// refused.
	Development func() (*provider.Development, error)
	Log         *zap.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Transport fetches lists of addresses, certificates and key sets. Nil uses the network, but
	// no private addresses other than those that the configuration names.
	Transport http.RoundTripper
}

// Observer is told of every request.
type Observer interface {
	// Began tells of a request whose header has been read.
	Began()
	// Answered tells of the same request when it is answered.
	Answered(Answer)
}

// Answer is what became of a request.
type Answer struct {
	// Source is the name of the source; empty where the request names none of ours.
	Source string
	// Outcome is a label of metrics: started, duplicate and so on, or the reason of a refusal.
	Outcome string
	// Refused is set when Outcome is the reason of a refusal.
	Refused bool
	// Collided is set when another event had the ID that this event would have.
	Collided bool
	Status   int
	// Took is the time from the request's header to its answer.
	Took time.Duration
	// Client is the client's address, as far as the forwarding headers can be believed.
	Client string
	// Detail explains a refusal to the owner of the source.
	Detail string
	// Method, Path, Header and Body are the request's. They are valid only during the call.
	Method string
	Path   string
	Header func(yield func(name, value string) bool)
	Body   []byte
	// Secret names the headers whose values must not be shown.
	Secret []string
}

// Starter is a receiver.
type Starter struct {
	app    *fiber.App
	table  atomic.Pointer[doorTable]
	intake *intake
	limits *limits
	lists  *addressLists
	// transport and development come from Options.
	transport   http.RoundTripper
	development func() (*provider.Development, error)
	// conns and bodies bound what clients hold that have sent nothing verified yet.
	conns, bodies *crowd
	// verified counts the verified requests that are not answered yet.
	verified atomic.Int64
	// admission bounds the starts under way where there is a spool.
	admission *admission
	// underWay holds the starts that requests have begun: for the name of each event a channel
	// that is closed when its start ends.
	underWay sync.Map
	spool    *spool.Spool
	observer Observer
	tracer   trace.Tracer
	log      *zap.Logger
	// refusals decides which refusals are logged.
	refusals *telemetry.Sample[refusalKind]
	now      func() time.Time
	// alive ends when the receiver ends. The contexts of requests derive from it, because those
	// of fasthttp end with the connection.
	alive context.Context //nolint:containedctx // See above.
	kill  context.CancelFunc
}

// headerBytes is the most bytes of a request's header. Some headers hold long tokens.
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
		// Otherwise fasthttp would read a form into files before those checks, and the signed
		// bytes would be lost.
		DisablePreParseMultipartForm: true,
		ReadBufferSize:               headerBytes,
		ReadTimeout:                  t.Header, // The body has its own time, see below.
		WriteTimeout:                 t.Write,
		IdleTimeout:                  t.Idle,
		// The crowd of connections sets the bound. fasthttp's own would also count connections
		// that have given way and are just ending.
		Concurrency: math.MaxInt32,
		// ReduceMemoryUsage must stay off: with StreamRequestBody, fasthttp 1.51 gives away the
		// buffer from which the body is still to be read.
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

// guard makes the rate limits, the lists of addresses and the doors of the sources.
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

// Reload puts another configuration into force. Requests in hand are finished under the
// configuration with which they began. What the listener was made with stays: the time-outs and
// the rate store.
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
	// The server's own Shutdown closes a listener only if the server already serves it.
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

// Shutdown stops accepting connections and waits for the requests in hand, as long as ctx allows.
func (s *Starter) Shutdown(ctx context.Context) error {
	defer s.kill()
	if err := s.app.ShutdownWithContext(ctx); err != nil {
		return fmt.Errorf("finish the requests in hand: %w", err)
	}
	return nil
}

// anyMethod gives methods that Fiber does not know the same answer as methods that a source does
// not take. Fiber would answer them itself: the observer would not be told, and the rest of the
// body would be read as the next request.
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
