package chaos_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const secret = "a secret of the tests alone"

// The kinds of event that the load sends.
const (
	plain    = "plain"
	repeated = "repeated" // again after it was acknowledged
	skewed   = "skewed"   // signed by a clock four minutes ahead, which is allowed
	halved   = "halved"   // its connection is cut half-way first, then it is sent whole
	// The following must never be handled.
	cut    = "cut"    // half a body
	forged = "forged" // another secret
	stale  = "stale"  // signed by a clock that was set back ten minutes
)

// skewedBy and staleBy are how wrong the senders' clocks are.
const (
	skewedBy = 4 * time.Minute
	staleBy  = -10 * time.Minute
)

// mayBeHandled tells the kinds that a correct receiver accepts.
func mayBeHandled(kind string) bool { return kind != cut && kind != forged && kind != stale }

// load sends events until it is stopped.
type load struct {
	s       *system
	client  *http.Client
	name    string
	pause   time.Duration
	stopped atomic.Bool
	serial  atomic.Int64
	acks    atomic.Int64
	undated atomic.Int64 // 400 for an event whose time-stamp is right
	wg      sync.WaitGroup
}

// begin starts so many senders, each with dice of its own.
func (s *system) begin(t *testing.T, senders int, pause time.Duration) *load {
	t.Helper()
	l := &load{
		s: s, pause: pause, name: t.Name() + strconv.FormatUint(s.seed, 36) + strconv.FormatUint(s.dice.Uint64(), 36),
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: senders}},
	}
	for range senders {
		dice := rand.New(rand.NewPCG(s.dice.Uint64(), 1))
		l.wg.Go(func() {
			for !l.stopped.Load() {
				l.one(dice)
				time.Sleep(time.Duration(dice.Int64N(int64(2*pause) + 1))) // The pace of the load.
			}
		})
	}
	t.Cleanup(l.stop)
	return l
}

// stop ends the load once every event under way is acknowledged or given up.
func (l *load) stop() {
	l.stopped.Store(true)
	l.wg.Wait()
	l.client.CloseIdleConnections()
}

// one sends one event of a kind that the dice choose.
func (l *load) one(dice *rand.Rand) {
	key := l.name + "-" + strconv.FormatInt(l.serial.Add(1), 10)
	kinds := []string{plain, plain, plain, plain, repeated, repeated, skewed, halved, cut, forged, stale}
	kind := kinds[dice.IntN(len(kinds))]
	body := bodyOf(key, dice)
	l.s.record.add(entry{What: meant, At: time.Now(), Key: key, Kind: kind, SHA: sha([]byte(body))})
	switch kind {
	case cut:
		l.half(body)
	case forged:
		l.post(key, body, "another secret", 0)
	case stale:
		l.post(key, body, secret, staleBy)
	case skewed:
		l.insist(key, body, skewedBy)
	case halved:
		l.half(body)
		l.insist(key, body, 0)
	case repeated:
		for range 2 + dice.IntN(3) {
			l.insist(key, body, 0)
			time.Sleep(time.Duration(dice.Int64N(int64(time.Second))))
		}
	default:
		l.insist(key, body, 0)
	}
}

// bodyOf makes the body of an event; now and then a large one.
func bodyOf(key string, dice *rand.Rand) string {
	size := dice.IntN(1000)
	if dice.IntN(20) == 0 {
		size = 100_000
	}
	return fmt.Sprintf(`{"event":"chaos.load","event_ts":1687276800000,"payload":{"account_id":"a","object":{"uuid":%q,"topic":"%s"}}}`,
		key, strings.Repeat("x", size))
}

// insist sends until the event is acknowledged, as senders do. One that the load
// gives up on at its end was never acknowledged.
func (l *load) insist(key, body string, skew time.Duration) {
	for tries := range 300 {
		if l.post(key, body, secret, skew) {
			return
		}
		if l.stopped.Load() && tries > 20 {
			return
		}
		time.Sleep(100 * time.Millisecond) // A sender's own backoff.
	}
}

// post sends a body once and tells whether it was acknowledged.
func (l *load) post(key, body, secret string, skew time.Duration) bool {
	req, err := http.NewRequest(http.MethodPost, "http://"+l.s.receive+"/webhooks/zoom", strings.NewReader(body))
	if err != nil {
		return false
	}
	for name, value := range headers(body, secret, skew) {
		req.Header.Set(name, value)
	}
	began := time.Now()
	res, err := l.client.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return false // Not all of the answer: not acknowledged.
	}
	e := entry{What: refused, At: time.Now(), Key: key, Answer: strconv.Itoa(res.StatusCode) + " " + string(answer), Took: time.Since(began)}
	switch {
	case res.StatusCode == http.StatusOK:
		e.What = acked
		l.acks.Add(1)
	case res.StatusCode == http.StatusBadRequest && skew != staleBy:
		l.undated.Add(1)
	}
	l.s.record.add(e)
	return e.What == acked
}

// headers sign a body as Zoom does.
func headers(body, secret string, skew time.Duration) map[string]string {
	ts := strconv.FormatInt(time.Now().Add(skew).Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(mac, "v0:"+ts+":"+body)
	return map[string]string{
		"Content-Type": "application/json", "x-zm-request-timestamp": ts,
		"x-zm-signature": "v0=" + hex.EncodeToString(mac.Sum(nil)),
	}
}

// half sends a correct request and cuts the connection in the middle of its body.
func (l *load) half(body string) {
	c, err := net.DialTimeout("tcp", l.s.receive, time.Second)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	var b strings.Builder
	fmt.Fprintf(&b, "POST /webhooks/zoom HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", l.s.receive, len(body))
	for name, value := range headers(body, secret, 0) {
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	_, _ = io.WriteString(c, b.String()+"\r\n"+body[:len(body)/2])
}
