package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// sending is how a batch was taken at the door.
type sending struct {
	accepted, queued, refused int
	took                      time.Duration
	answers                   []time.Duration
	// ids are the event IDs of those that were accepted.
	ids []string
}

func (s *sending) perSecond() float64 { return float64(s.accepted) / s.took.Seconds() }

// sender posts a batch over a number of connections.
type sender struct {
	client *fasthttp.HostClient
	batch  *batch
	next   atomic.Int64
	// every spaces the events evenly; zero sends each as soon as there is a
	// connection for it.
	every time.Duration

	mu     sync.Mutex
	result sending
	fault  error
}

// answerTimeout is past anything that a receiver may take.
const answerTimeout = 30 * time.Second

// send posts the batch. With every set, an event is sent when its time has come,
// whether or not the one before was answered, as far as connections allow.
func send(ctx context.Context, addr string, b *batch, connections int, every time.Duration) (*sending, error) {
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
	var mine sending
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
func (s *sender) one(req *fasthttp.Request, res *fasthttp.Response, i int, mine *sending) error {
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
