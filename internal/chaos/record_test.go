package chaos_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// seedOf is CHAOS_SEED, or one of the clock.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("CHAOS_SEED"); given != "" {
		var err error
		seed, err = strconv.ParseUint(given, 10, 64)
		require.NoError(t, err, "CHAOS_SEED")
	}
	t.Logf("CHAOS_SEED=%d", seed)
	return seed
}

// durationOf is how long the blows of a test go on.
func durationOf(t *testing.T) time.Duration {
	t.Helper()
	if given := os.Getenv("CHAOS_DURATION"); given != "" {
		d, err := time.ParseDuration(given)
		require.NoError(t, err, "CHAOS_DURATION")
		return d
	}
	return 6 * time.Second
}

// entry is one line of the record. The load writes what it means to send and
// what was acknowledged, the destination what it was handed, the test whom it
// struck, and who keeps the processes alive when they ended.
type entry struct {
	What string    `json:"what"`
	At   time.Time `json:"at"`
	// Key names an event, or a process.
	Key string `json:"key"`
	// Kind is how an event was sent.
	Kind string `json:"kind,omitempty"`
	// SHA is that of its body.
	SHA string `json:"sha,omitempty"`
	// Answer is what the receiver said, and how long that took.
	Answer string        `json:"answer,omitempty"`
	Took   time.Duration `json:"took,omitempty"`
	// Off is how far the clock of a process is from now on from the machine's. It
	// is so after the time that the step Took, and perhaps before.
	Off time.Duration `json:"off,omitempty"`
}

// The kinds of entry.
const (
	meant   = "meant"
	acked   = "acked"
	refused = "refused"
	handled = "handled"
	blown   = "struck"
	ended   = "ended"
	stepped = "stepped"
)

// record is a file of entries, on which the checker relies alone.
type record struct {
	path string
	mu   sync.Mutex
	file *os.File
}

func newRecord(t *testing.T, dir string) *record {
	t.Helper()
	path := filepath.Join(dir, "record.jsonl")
	f, err := os.Create(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return &record{path: path, file: f}
}

func (r *record) add(e entry) {
	line, err := json.Marshal(e)
	if err != nil {
		panic(err) // An entry is always JSON.
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = r.file.Write(append(line, '\n')) // A line that lacks makes the check fail.
}

func (r *record) ended(name string, at time.Time)  { r.add(entry{What: ended, At: at, Key: name}) }
func (r *record) struck(name string, at time.Time) { r.add(entry{What: blown, At: at, Key: name}) }

// read gives all entries of a kind, in the order of the file.
func (r *record) read(t *testing.T) map[string][]entry {
	t.Helper()
	f, err := os.Open(r.path)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	all := map[string][]entry{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e entry
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e))
		all[e.What] = append(all[e.What], e)
	}
	require.NoError(t, lines.Err())
	return all
}

// target is the destination of all events: it lives in the test, is never hurt,
// and writes down what it is handed.
type target struct {
	url string
	// moody makes it refuse the first two attempts at every eighth event.
	moody atomic.Bool
}

func newTarget(t *testing.T, r *record) *target {
	t.Helper()
	it := &target{}
	var refusals sync.Map
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		at := time.Now()
		body, err := io.ReadAll(req.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		sum := sha(body)
		if it.moody.Load() && sum[0] < '2' {
			count, _ := refusals.LoadOrStore(sum, new(atomic.Int32))
			if count.(*atomic.Int32).Add(1) <= 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
		}
		r.add(entry{What: handled, At: at, Key: keyOf(string(body)), SHA: sum, Answer: req.Header.Get("webhook-id")})
	}))
	t.Cleanup(server.Close)
	it.url = server.URL
	return it
}

// keyOf finds the key that the load put into a body.
func keyOf(body string) string {
	_, rest, _ := strings.Cut(body, `"uuid":"`)
	key, _, _ := strings.Cut(rest, `"`)
	return key
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// report is what is kept of a run.
type report struct {
	Test    string         `json:"test"`
	Seed    uint64         `json:"seed"`
	Verdict *verdict       `json:"verdict"`
	Ends    map[string]int `json:"ends"`
	Blows   map[string]int `json:"blows"`
}

// keep writes the report into CHAOS_REPORT, or only into the log.
func (r *report) keep(t *testing.T) {
	t.Helper()
	text, err := json.MarshalIndent(r, "", "  ")
	require.NoError(t, err)
	t.Logf("%s", text)
	if dir := os.Getenv("CHAOS_REPORT"); dir != "" {
		require.NoError(t, os.MkdirAll(dir, 0o700))
		path := filepath.Join(dir, fmt.Sprintf("%s-%d.json", strings.ReplaceAll(r.Test, "/", "-"), r.Seed))
		require.NoError(t, os.WriteFile(path, text, 0o600))
	}
}
