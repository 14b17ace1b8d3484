package cluster_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// secret is the one of grapnel.yaml.
const secret = "a secret of the cluster tests alone"

// zoomEvent is an event as Zoom writes it, and the ID that the pattern gives it.
func zoomEvent(kind, uuid string) (body []byte, id string) {
	const at = 1687276800000
	body = fmt.Appendf(nil, `{"event":%q,"payload":{"account_id":"a","object":{"uuid":%q}},"event_ts":%d}`, kind, uuid, at)
	sum := sha256.Sum256(fmt.Appendf(nil, `{"type":%q,"accountId":"a","objectId":%q,"timestamp":%d}`, kind, uuid, at))
	return body, hex.EncodeToString(sum[:])
}

// sent is what became of one request.
type sent struct {
	status  int
	eventID string
	took    time.Duration
	err     error
}

// send posts a body through the proxy, signed at a time by a secret.
func send(ctx context.Context, body []byte, key string, at time.Time) sent {
	return sendTo(ctx, door, body, key, at)
}

// signed is a request with a body, signed at a time by a secret.
func signed(ctx context.Context, url string, body []byte, key string, at time.Time) (*http.Request, error) {
	ts := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte("v0:" + ts + ":"))
	mac.Write(body)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Zm-Request-Timestamp", ts)
	req.Header.Set("X-Zm-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	return req, nil
}

// sendTo posts a body to the given receiver.
func sendTo(ctx context.Context, door string, body []byte, key string, at time.Time) sent {
	req, err := signed(ctx, door+"/webhooks/zoom", body, key, at)
	if err != nil {
		return sent{err: err}
	}
	began := time.Now()
	res, err := (&http.Client{Timeout: 10 * time.Second, Transport: sender()}).Do(req)
	if err != nil {
		return sent{err: err, took: time.Since(began)}
	}
	defer res.Body.Close()
	var said struct {
		EventID string `json:"eventId"`
	}
	err = json.NewDecoder(res.Body).Decode(&said)
	return sent{status: res.StatusCode, eventID: said.EventID, took: time.Since(began), err: err}
}

// post sends a genuine event until it is taken, as a sender does.
func (c *cluster) post(body []byte) {
	c.t.Helper()
	c.eventually("the event is taken", func() bool { return send(c.t.Context(), body, secret, time.Now()).status == http.StatusOK })
}

// sender keeps as many connections as there are senders in a burst.
var sender = sync.OnceValue(func() *http.Transport { return &http.Transport{MaxIdleConnsPerHost: 64} })

// load sends events until it is stopped and keeps account of them. One in ten is forged, one in ten
// is stale.
type load struct {
	mu       sync.Mutex
	acked    map[string]bool // events answered 200
	unknown  map[string]bool // events whose request got no answer, or a failure of ours
	refused  int             // forged and stale requests that were refused, as they must be
	statuses map[int]int     // answers to genuine events; 0: none
	now      tally           // of the fault under way
	wrong    []string        // what must not be
	resting  bool            // nothing new is sent meanwhile
	stop     context.CancelFunc
	done     chan struct{}
}

// tally counts what became of genuine events during one fault.
type tally struct {
	acked   int           // answered 200
	failed  int           // answered that we are in trouble
	silent  int           // not answered
	late    int           // answered or given up after more than a second
	slowest time.Duration // of those
}

// rate is how many requests are begun in a second.
const rate = 20

func (c *cluster) load() *load {
	ctx, cancel := context.WithCancel(c.t.Context())
	l := &load{
		acked: map[string]bool{}, unknown: map[string]bool{}, statuses: map[int]int{},
		stop: cancel, done: make(chan struct{}),
	}
	go func() {
		defer close(l.done)
		tick := time.NewTicker(time.Second / rate)
		defer tick.Stop()
		var wg sync.WaitGroup
		run := time.Now().UnixNano()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				wg.Wait()
				return
			case <-tick.C:
			}
			if l.rests() {
				continue
			}
			wg.Go(func() { l.one(i, fmt.Sprintf("%d-%d", run, i)) }) //nolint:contextcheck // A request that is begun is ended.
		}
	}()
	c.t.Cleanup(cancel)
	return l
}

// rest stops sending, or goes on.
func (l *load) rest(resting bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resting = resting
}

func (l *load) rests() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.resting
}

// one sends the event of a number.
func (l *load) one(i int, uuid string) {
	ctx := context.Background()
	body, id := zoomEvent("load.sent", uuid)
	switch i % 10 {
	case 8:
		l.bad(send(ctx, body, "another secret", time.Now()), "forged")
	case 9:
		l.bad(send(ctx, body, secret, time.Now().Add(-time.Hour)), "stale")
	default:
		l.good(id, send(ctx, body, secret, time.Now()))
	}
}

func (l *load) bad(s sent, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch s.status {
	case http.StatusOK:
		l.wrong = append(l.wrong, what+" was accepted")
	case http.StatusUnauthorized, http.StatusBadRequest:
		l.refused++
	}
}

func (l *load) good(id string, s sent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.statuses[s.status]++
	l.now.slowest = max(l.now.slowest, s.took)
	if s.took > time.Second {
		l.now.late++
	}
	switch {
	case s.status == http.StatusOK && s.err == nil:
		l.acked[id] = true
		l.now.acked++
		if s.eventID != id {
			l.wrong = append(l.wrong, fmt.Sprintf("event %s was answered as %s", id, s.eventID))
		}
	case s.status >= 400 && s.status < 500:
		l.wrong = append(l.wrong, fmt.Sprintf("a genuine event was answered %d", s.status))
	case s.status == 0:
		l.unknown[id] = true
		l.now.silent++
	default:
		l.unknown[id] = true
		l.now.failed++
	}
}

// count gives what happened since it was asked last.
func (l *load) count() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now
	l.now = tally{}
	return now
}
