package bench

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
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
