// Package e2e_test runs the whole system against a real Temporal server.
package e2e_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/engine/enginetest"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/spool"
	"github.com/grapnel/grapnel/starter"
	"github.com/grapnel/grapnel/worker"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
		return
	}
	flag.Bool("record", false, "write the histories of shapes that have none yet")
	flag.Parse()
	if err := atOnce(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	enginetest.Main(m)
	if err := removeBinary(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// atOnce lets more tests run at once than there are processors, unless the
// command line says how many: most of the time they wait for Temporal.
func atOnce() error {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", "8")
}

// secret signs the events of the tests.
const secret = "a secret of the tests alone"

// system is receiver and worker in one process, on a task queue of their own.
type system struct {
	*enginetest.Server
	client client.Client
	queue  string
	url    string
	// secret signs what is sent.
	secret string
	// answers are the outcomes that the receiver tells its observer, in order.
	answers *answers
	// spool is the receiver's; most have none.
	spool *spool.Spool
	// deps is what its destinations work with beside its Temporal.
	deps destination.Deps
	// stopWorker stops the system's worker before the test ends.
	stopWorker func()
}

// answers collects what the receiver tells of its answers.
type answers struct {
	mu  sync.Mutex
	all []starter.Answer
}

// Answered implements starter.Observer.
// Began implements starter.Observer.
func (*answers) Began() {}

func (a *answers) Answered(one starter.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, starter.Answer{Outcome: one.Outcome, Collided: one.Collided, Status: one.Status})
}

func (a *answers) last() starter.Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[len(a.all)-1]
}

// yaml is a configuration with the worked example, one Zoom source and what the test adds.
func yaml(more ...string) string {
	return "examples: [meetings]\nsources:\n  zoom:\n    provider: zoom\n    secrets: [\"" + secret + "\"]\n" + strings.Join(more, "\n")
}

// up starts a system with the handlers of the table.
func up(t *testing.T, src string, bind func(*handler.Table)) *system {
	t.Helper()
	return upOn(t, enginetest.Shared(t), src, bind)
}

// upOn starts a system on a server of the test's own.
func upOn(t *testing.T, server *enginetest.Server, src string, bind func(*handler.Table)) *system {
	t.Helper()
	return upAs(t, server, t.Name(), src, bind)
}

// upAs starts a system on a task queue of a name, of which a test may have more.
func upAs(t *testing.T, server *enginetest.Server, queue, src string, bind func(*handler.Table)) *system {
	t.Helper()
	return upOf(t, &system{Server: server, queue: queue}, src, bind)
}

// upWith starts a system whose destinations work with something of the test's.
func upWith(t *testing.T, deps destination.Deps, src string, bind func(*handler.Table)) *system {
	t.Helper()
	return upOf(t, &system{Server: enginetest.Shared(t), queue: t.Name(), deps: deps}, src, bind)
}

func upOf(t *testing.T, s *system, src string, bind func(*handler.Table)) *system {
	t.Helper()
	s.client, s.secret, s.answers = s.Client, secret, &answers{}
	cfg := mustParse(t, src)
	s.worker(t, cfg, tableOf(bind))
	s.url = s.receiver(t, cfg)
	return s
}

func tableOf(bind func(*handler.Table)) *handler.Table {
	table := &handler.Table{}
	if bind != nil {
		bind(table)
	}
	return table
}

// redeploy stops the worker and starts one with other handlers and another
// configuration.
func (s *system) redeploy(t *testing.T, src string, bind func(*handler.Table)) {
	t.Helper()
	s.stopWorker()
	s.worker(t, mustParse(t, src), tableOf(bind))
}

func mustParse(t *testing.T, src string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte(src), func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	// The machine may be slow, and these receivers have no disk to fall back on.
	cfg.Ack.Budget = time.Minute
	return cfg
}

func (s *system) receiver(t *testing.T, cfg *config.Config) string {
	t.Helper()
	r, err := starter.New(starter.Options{
		Config: cfg, Temporal: s.client, Namespace: s.Namespace, TaskQueue: s.queue, Log: zap.NewNop(),
		Observer: s.answers, Spool: s.spool,
	})
	require.NoError(t, err)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- r.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, r.Shutdown(context.Background()))
		require.NoError(t, <-served)
	})
	return "http://" + l.Addr().String()
}

func (s *system) worker(t *testing.T, cfg *config.Config, table *handler.Table) {
	t.Helper()
	a := activities.New(s.client, s.queue).WithHandlers(table)
	deps := s.deps
	deps.Temporal, deps.Namespace = s.client.WorkflowService(), s.Namespace
	var ds []*destination.Destination
	for _, spec := range cfg.Destinations {
		d, err := destination.New(spec, deps)
		require.NoError(t, err)
		ds = append(ds, d)
	}
	a.Configure(activities.Configuration{Destinations: ds, Ignores: func(source string) bool {
		return cfg.Sources[source].Unmatched == config.UnmatchedIgnore
	}})
	w := worker.New(s.client, worker.Options{TaskQueue: s.queue, Activities: a})
	require.NoError(t, w.Start())
	s.stopWorker = sync.OnceFunc(w.Stop)
	t.Cleanup(s.stopWorker)
}

// answer is what the receiver said.
type answer struct {
	Status                       int
	Success                      bool
	EventID                      string
	Duplicate, Replayed, Ignored bool
	Queued                       bool
	Error                        string
}

// zoom is the body of a Zoom event about the test's own object.
func zoom(t *testing.T, typ string) string { return zoomOf(t.Name(), typ) }

// zoomOf is the body of a Zoom event about an object; the same for the same.
func zoomOf(object, typ string) string {
	return fmt.Sprintf(`{"event":%q,"event_ts":1687276800000,"payload":{"account_id":"a","object":{"uuid":%q,"topic":"Weekly Team Meeting"}}}`,
		typ, object)
}

// send posts a body as Zoom does.
// It sends again what is not taken for trouble of ours: a machine under load may
// not have the time that an answer is due in.
func (s *system) send(t *testing.T, body string) (a answer) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		ts := strconv.FormatInt(time.Now().Unix(), 10)
		a = s.post(t, body, ts, sign(s.secret, ts, body))
		if a.Status != http.StatusServiceUnavailable || time.Now().After(end) {
			return a
		}
	}
}

// repeat posts a body that Temporal has already, until it had the time to say so.
func (s *system) repeat(t *testing.T, body string) (a answer) {
	t.Helper()
	until(t, "Temporal is asked in time", func() bool {
		a = s.send(t, body)
		return !a.Queued
	})
	return a
}

func sign(secret, ts, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(mac, "v0:"+ts+":"+body)
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

func (s *system) post(t *testing.T, body, ts, signature string) answer {
	t.Helper()
	return s.request(t, "zoom", body, map[string]string{
		"Content-Type": "application/json", "x-zm-request-timestamp": ts, "x-zm-signature": signature,
	})
}

// request posts a body to a source.
func (s *system) request(t *testing.T, source, body string, header map[string]string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/webhooks/"+source, strings.NewReader(body))
	require.NoError(t, err)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	a := answer{Status: res.StatusCode}
	require.NoError(t, json.Unmarshal(text, &a), "%s", text)
	return a
}

// result waits until the latest run of an event ends. The event may still be on
// its way from the spool.
func (s *system) result(t *testing.T, id string) error {
	t.Helper()
	require.NotEmpty(t, id)
	until(t, "the event is started", func() bool {
		_, err := s.client.DescribeWorkflowExecution(t.Context(), id, "")
		return err == nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return s.client.GetWorkflow(ctx, id, "").Get(ctx, nil)
}

// latest describes the latest run of an event.
func (s *system) latest(t *testing.T, id string) *workflow.WorkflowExecutionInfo {
	t.Helper()
	d, err := s.client.DescribeWorkflowExecution(t.Context(), id, "")
	require.NoError(t, err)
	return d.GetWorkflowExecutionInfo()
}

// patience is how long a test waits for what becomes true by itself: visibility
// takes a minute now and then, and the machine may be slow.
const patience = 3 * time.Minute

// until waits for what becomes true by itself.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, patience, 50*time.Millisecond, what)
}

// dead waits until an event is a dead letter and gives its text.
func (s *system) dead(t *testing.T, id string) string {
	t.Helper()
	err := s.result(t, id)
	require.Error(t, err)
	info := s.latest(t, id)
	require.Equal(t, event.DeadLetter, info.GetType().GetName())
	require.Equal(t, enums.WORKFLOW_EXECUTION_STATUS_FAILED, info.GetStatus())
	return err.Error()
}

// count asks visibility how many workflows a query finds.
func (s *system) count(t *testing.T, query string) int64 {
	t.Helper()
	r, err := s.client.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Namespace: s.Namespace, Query: query})
	require.NoError(t, err)
	return r.GetCount()
}

// history lists the events of a run; an empty run is the latest.
func (s *system) history(t *testing.T, id, run string) []*historypb.HistoryEvent {
	t.Helper()
	return historyOf(t, s.client, id, run)
}

func historyOf(t *testing.T, c client.Client, id, run string) []*historypb.HistoryEvent {
	t.Helper()
	var all []*historypb.HistoryEvent
	events := c.GetWorkflowHistory(t.Context(), id, run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		require.NoError(t, err)
		all = append(all, e)
	}
	return all
}

// temporal runs the temporal command against the test's server.
func (s *system) temporal(t *testing.T, args ...string) string {
	t.Helper()
	binary, err := enginetest.Binary()
	require.NoError(t, err)
	args = append(args, "--address", s.Address, "--namespace", s.Namespace)
	out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}
