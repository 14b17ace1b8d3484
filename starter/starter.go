// Package starter is the door: it verifies what comes in, and starts a workflow
// for each event. receive.go is the path of one event, top to bottom.
package starter

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/spool"
)

// Options say what a receiver needs.
type Options struct {
	// Config names the sources.
	Config *config.Config
	// Temporal takes the events, in Namespace, on TaskQueue.
	Temporal  Temporal
	Namespace string
	TaskQueue string
	// Spool keeps what Temporal can't take now; nil refuses it with 503.
	Spool *spool.Spool
	// Observer hears of every request that is answered.
	Observer Observer
	Log      *zap.Logger
	// Now is the clock; nil is the wall's.
	Now func() time.Time
	// Transport fetches lists of addresses, certificates and key sets; nil is the
	// network's, which leads into none of our own but where the configuration
	// says so.
	Transport http.RoundTripper
}

// Observer hears of every request once it is answered.
type Observer interface {
	Answered(Answer)
}

// Answer is what became of a request.
type Answer struct {
	// Source is the door; empty when no such door exists.
	Source string
	// Outcome is a label: started, duplicate, ..., or why it was refused.
	Outcome string
	// Refused is set when the outcome is a refusal.
	Refused bool
	// Collided is set when another event had the ID that this one would have.
	Collided bool
	Status   int
	// Took is the time from the request's header to its answer.
	Took time.Duration
	// Client is the sender's address as far as it can be believed.
	Client string
	// Detail says more of a refusal, for the owner of the source.
	Detail string
	// Method, Path, Header and Body are the request's; they die with the call.
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
	table  atomic.Pointer[table]
	engine *engine
	limits *limits
	lists  *lists
	// transport is what Options give; nil is the network's.
	transport http.RoundTripper
	// inHand counts the requests that are not answered yet.
	inHand atomic.Int64
	// admission bounds the starts under way where there is a spool.
	admission *admission
	// underWay holds, by the event's name, a channel that is closed when the start
	// that a request has begun ends.
	underWay sync.Map
	spool    *spool.Spool
	observer Observer
	log      *zap.Logger
	now      func() time.Time
	// alive ends with the receiver; the context of a request is made from it,
	// as fasthttp gives none that outlives the connection.
	alive context.Context //nolint:containedctx // See above.
	kill  context.CancelFunc
}

// headerBytes is the most a request's header may hold: tokens in it are long.
const headerBytes = 16 << 10

// New makes a receiver. It listens when Serve is called.
func New(o Options) (*Starter, error) {
	now := o.Now
	if now == nil {
		now = time.Now
	}
	s := &Starter{
		engine: &engine{
			temporal: o.Temporal, namespace: o.Namespace, taskQueue: o.TaskQueue,
			seen: newSeen(seenSize, now), now: now,
		},
		admission: newAdmission(o.Config.MaxInflight, now, func() bool { return o.Spool.Depth() > 0 }, o.Log), spool: o.Spool, observer: o.Observer, log: o.Log, now: now,
		transport: o.Transport,
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
		// The body is read by us, after the checks that need none.
		StreamRequestBody: true,
		// Else a form would be read before them, into files, and its bytes be lost.
		DisablePreParseMultipartForm: true,
		ReadBufferSize:               headerBytes,
		ReadTimeout:                  t.Header, // The body has its own time, see below.
		WriteTimeout:                 t.Write,
		IdleTimeout:                  t.Idle,
		Concurrency:                  connectionsPerRequest*o.Config.MaxRequests + 1, // Those that Serve lets in, and one.
		ErrorHandler:                 s.fault,
	})
	s.app.Server().HeaderReceived = func(*fasthttp.RequestHeader) fasthttp.RequestConfig {
		return fasthttp.RequestConfig{ReadTimeout: t.Read}
	}
	s.app.Server().Handler = s.anyMethod(s.app.Server().Handler)
	s.app.All("/webhooks/:source", s.receive)
	return s, nil
}

// guard makes what guards the doors, and the doors.
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
	s.lists = &lists{read: listReader(s.transport), alive: s.alive, log: s.log}
	return s.Reload(c)
}

// Reload takes another configuration. Requests in hand are finished under the
// one they began with. What the listener is made with stays as it was: time-outs
// and the bound on connections, and the rate store.
func (s *Starter) Reload(c *config.Config) error {
	t, err := s.newTable(c, s.table.Load())
	if err != nil {
		return err
	}
	s.table.Store(t)
	return nil
}

// Serve answers requests until Shutdown. Its error is nil after that.
func (s *Starter) Serve(l net.Listener) error {
	// A Shutdown that comes before the listener is served knows nothing of it.
	defer context.AfterFunc(s.alive, func() { _ = l.Close() })()
	most := connectionsPerRequest * int64(s.table.Load().config.MaxRequests)
	if err := s.app.Listener(&bounded{Listener: l, most: most}); err != nil {
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
