package bench

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
)

// request is a signed event, ready to be sent.
type request struct {
	body                 []byte
	timestamp, signature string
}

// batch is a set of events on their way: what was sent when, and what was handled
// when. Times are nanoseconds since the batch was made.
type batch struct {
	requests []request
	began    time.Time
	sent     []atomic.Int64
	handled  []atomic.Int64
	left     atomic.Int64
	repeats  atomic.Int64
	// ids are the event IDs that the receiver has answered with.
	ids  []string
	done chan struct{}
}

// bodyBytes is the size of an event.
const bodyBytes = 500

// numberMark stands before an event's number in its body.
const numberMark = `"number":"`

// newBatch makes n events and signs them as Zoom does.
func newBatch(n int, secret string) *batch {
	b := &batch{
		requests: make([]request, n), began: time.Now(), done: make(chan struct{}),
		sent: make([]atomic.Int64, n), handled: make([]atomic.Int64, n), ids: make([]string, n),
	}
	b.left.Store(int64(n))
	token, ts := rand.Text(), strconv.FormatInt(time.Now().Unix(), 10)
	for i := range b.requests {
		b.requests[i] = newRequest(token, ts, i, secret)
	}
	return b
}

func newRequest(token, ts string, number int, secret string) request {
	text := fmt.Sprintf(`{"event":"meeting.started",%s%09d","event_ts":%d,"payload":{"account_id":"bench",`+
		`"object":{"uuid":"%s-%d","topic":"Weekly Team Meeting","agenda":"`, numberMark, number, time.Now().UnixMilli(), token, number)
	body := []byte(text + strings.Repeat("x", max(0, bodyBytes-len(text)-4)) + `"}}}`)
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte("v0:" + ts + ":"))
	_, _ = mac.Write(body)
	return request{body: body, timestamp: ts, signature: "v0=" + hex.EncodeToString(mac.Sum(nil))}
}

// handle is the handler: it notes the time and does nothing else.
func (b *batch) handle(body []byte) error {
	_, rest, ok := bytes.Cut(body, []byte(numberMark))
	if !ok || len(rest) < 9 {
		return fmt.Errorf("an event without a number: %.40s", body)
	}
	i, err := strconv.Atoi(string(rest[:9]))
	if err != nil || i >= len(b.handled) {
		return fmt.Errorf("an event with a number that is none: %.40s", body)
	}
	b.settle(i)
	return nil
}

// handledAt gives when each event was handled, since the batch was made, the earliest first.
func (b *batch) handledAt() []time.Duration {
	at := make([]time.Duration, len(b.handled))
	for i := range b.handled {
		at[i] = time.Duration(b.handled[i].Load())
	}
	slices.Sort(at)
	return at
}

// settle notes that event i was handled.
func (b *batch) settle(i int) {
	if !b.handled[i].CompareAndSwap(0, int64(time.Since(b.began))) {
		b.repeats.Add(1)
		return
	}
	if b.left.Add(-1) == 0 {
		close(b.done)
	}
}

// latencies are the times from socket to handler.
func (b *batch) latencies() []time.Duration {
	var took []time.Duration
	for i := range b.handled {
		if h := b.handled[i].Load(); h > 0 {
			took = append(took, time.Duration(h-b.sent[i].Load()))
		}
	}
	return took
}

// sendResult is how the receiver answered a batch.
type sendResult struct {
	accepted, queued, refused int
	took                      time.Duration
	answers                   []time.Duration
	// ids are the event IDs of those that were accepted.
	ids []string
}

func (s *sendResult) perSecond() float64 { return float64(s.accepted) / s.took.Seconds() }

// sender posts a batch over a number of connections.
type sender struct {
	client *fasthttp.HostClient
	batch  *batch
	next   atomic.Int64
	// every spaces the events evenly; zero sends each as soon as there is a
	// connection for it.
	every time.Duration

	mu     sync.Mutex
	result sendResult
	fault  error
}

// answerTimeout is past anything that a receiver may take.
const answerTimeout = 30 * time.Second

// send posts the batch. With every set, an event is sent when its time has come,
// whether or not the one before was answered, as far as connections allow.
func send(ctx context.Context, addr string, b *batch, connections int, every time.Duration) (*sendResult, error) {
	s := &sender{
		client: &fasthttp.HostClient{Addr: addr, MaxConns: connections, ReadTimeout: answerTimeout, WriteTimeout: answerTimeout},
		batch:  b, every: every,
	}
	defer s.client.CloseIdleConnections()
	began := time.Now()
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() { s.connection(ctx, began) })
	}
	wg.Wait()
	s.result.took = time.Since(began)
	return &s.result, errors.Join(s.fault, ctx.Err())
}

func (s *sender) connection(ctx context.Context, began time.Time) {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.SetRequestURI("http://" + s.client.Addr + "/webhooks/zoom")
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType("application/json")
	var mine sendResult
	for ctx.Err() == nil {
		i := int(s.next.Add(1)) - 1
		if i >= len(s.batch.requests) {
			break
		}
		if s.every > 0 {
			time.Sleep(time.Until(began.Add(time.Duration(i) * s.every)))
		}
		if err := s.one(req, res, i, &mine); err != nil {
			s.mu.Lock()
			s.fault = err
			s.mu.Unlock()
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.result
	r.accepted, r.queued, r.refused = r.accepted+mine.accepted, r.queued+mine.queued, r.refused+mine.refused
	r.answers, r.ids = append(r.answers, mine.answers...), append(r.ids, mine.ids...)
}

// one sends event i and notes its answer.
func (s *sender) one(req *fasthttp.Request, res *fasthttp.Response, i int, mine *sendResult) error {
	r := &s.batch.requests[i]
	req.Header.Set("x-zm-request-timestamp", r.timestamp)
	req.Header.Set("x-zm-signature", r.signature)
	req.SetBodyRaw(r.body)
	began := time.Now()
	s.batch.sent[i].Store(int64(began.Sub(s.batch.began)))
	if err := s.client.Do(req, res); err != nil {
		return fmt.Errorf("send an event: %w", err)
	}
	mine.answers = append(mine.answers, time.Since(began))
	switch res.StatusCode() {
	case fasthttp.StatusOK:
		mine.accepted++
		s.batch.ids[i] = eventID(res.Body()) // No other connection has this event.
		mine.ids = append(mine.ids, s.batch.ids[i])
		if bytes.Contains(res.Body(), []byte(`"queued":true`)) {
			mine.queued++
		}
	case fasthttp.StatusServiceUnavailable:
		mine.refused++
	default:
		return fmt.Errorf("the receiver answers %d %s", res.StatusCode(), res.Body())
	}
	return nil
}

// eventID finds the ID in an answer.
func eventID(answer []byte) string {
	_, rest, _ := bytes.Cut(answer, []byte(`"eventId":"`))
	id, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(id)
}

// await waits until the whole batch is handled.
func (b *batch) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d of %d events were not handled: %w", b.left.Load(), len(b.handled), ctx.Err())
	}
}

// Calls counts the calls of Temporal that carry an event: each poll that brings a task, each start
// and each answer to a task. Heartbeats, lookups and polls that bring nothing are left out.
type Calls struct{ n atomic.Int64 }

// Count is the number so far.
func (c *Calls) Count() int64 { return c.n.Load() }

// Option makes a client count.
func (c *Calls) Option() grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(
		ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, o ...grpc.CallOption,
	) error {
		err := next(ctx, method, req, reply, conn, o...)
		if err == nil && carriesEvent(req, reply) {
			c.n.Add(1)
		}
		return err
	})
}

func carriesEvent(req, reply any) bool {
	switch r := reply.(type) {
	case *workflowservice.PollWorkflowTaskQueueResponse:
		return len(r.GetTaskToken()) > 0
	case *workflowservice.PollActivityTaskQueueResponse:
		return len(r.GetTaskToken()) > 0
	}
	switch req.(type) {
	case *workflowservice.StartWorkflowExecutionRequest,
		*workflowservice.RespondWorkflowTaskCompletedRequest, *workflowservice.RespondWorkflowTaskFailedRequest,
		*workflowservice.RespondActivityTaskCompletedRequest, *workflowservice.RespondActivityTaskFailedRequest:
		return true
	}
	return false
}
