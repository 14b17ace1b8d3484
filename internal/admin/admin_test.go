package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/admin"
)

func text(s string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) })
}

// options are the options of a complete listener.
func options() admin.Options {
	return admin.Options{
		Listen:  "127.0.0.1:0",
		Metrics: text("metrics"),
		Stats:   func() any { return map[string]int{"totalReceived": 7} },
		Ready: func(context.Context) admin.Report {
			return admin.Report{
				Ready: true, Checks: map[string]admin.Check{"temporal": {OK: true}},
				Temporal: admin.Temporal{Address: "127.0.0.1:7233", Namespace: "default"},
				Config:   &admin.Config{Fingerprint: "f1", LastFault: "line 3: no such key"},
			}
		},
		Rejections: admin.NewRejections(admin.Bounds{}),
		Routes:     []admin.Route{{Pattern: "POST /spool/drain", About: "drains the spool", Handler: text("drained")}},
		Log:        zap.NewNop(),
	}
}

// serve runs a listener for the time of the test.
func serve(t *testing.T, o admin.Options) *admin.Server {
	t.Helper()
	s, err := admin.New(t.Context(), o)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		require.NoError(t, s.Shutdown(context.Background()))
		require.NoError(t, <-done)
	})
	return s
}

// reply is the answer to one request.
type reply struct {
	status int
	header http.Header
	body   string
}

// request sends a request; change may alter it before.
func request(t *testing.T, s *admin.Server, line string, change func(*http.Request)) reply {
	t.Helper()
	method, path, _ := strings.Cut(line, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, http.NoBody)
	require.NoError(t, err)
	if change != nil {
		change(req)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return reply{res.StatusCode, res.Header, string(body)}
}

func TestEndpointsAnswer(t *testing.T) {
	s := serve(t, options())
	cases := []struct {
		line   string
		status int
		want   string
	}{
		{"GET /healthz", 200, `{"status":"ok"}`},
		{"GET /stats", 200, `{"totalReceived":7}`},
		{"GET /rejections", 200, `{"rejections":[]}`},
		{"GET /rejections?limit=0", 400, `{"error":"limit has to be a number of at least 1"}`},
		{"GET /readyz", 200, `{"ready":true,"checks":{"temporal":{"ok":true}},
			"temporal":{"address":"127.0.0.1:7233","namespace":"default"},
			"config":{"fingerprint":"f1","lastFault":"line 3: no such key"}}`},
	}
	for _, c := range cases {
		t.Run(c.line, func(t *testing.T) {
			got := request(t, s, c.line, nil)
			require.Equal(t, c.status, got.status)
			require.JSONEq(t, c.want, got.body)
			require.Equal(t, "application/json", got.header.Get("Content-Type"))
			require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
			require.Equal(t, "no-store", got.header.Get("Cache-Control"))
		})
	}
	require.Equal(t, "metrics", request(t, s, "GET /metrics", nil).body)
	require.Equal(t, "drained", request(t, s, "POST /spool/drain", nil).body)
	require.Equal(t, 404, request(t, s, "GET /nothing", nil).status)
	require.Equal(t, 405, request(t, s, "POST /stats", nil).status)
	index := request(t, s, "GET /", nil)
	for _, want := range []string{"GET /healthz", "GET /readyz", "GET /stats", "GET /metrics", "GET /rejections", "drains the spool"} {
		require.Contains(t, index.body, want)
	}
}

func TestWhatThereIsNothingForHasNoEndpoint(t *testing.T) {
	s := serve(t, admin.Options{Listen: "127.0.0.1:0", Log: zap.NewNop()})
	for _, path := range []string{"/readyz", "/stats", "/metrics", "/rejections"} {
		require.Equal(t, 404, request(t, s, "GET "+path, nil).status, path)
	}
	require.Equal(t, 200, request(t, s, "GET /healthz", nil).status)
}

func TestNotReadyIs503WithItsReport(t *testing.T) {
	o := options()
	o.Ready = func(ctx context.Context) admin.Report {
		_, bounded := ctx.Deadline()
		return admin.Report{Checks: map[string]admin.Check{
			"temporal": {Detail: "connection refused"}, "bounded": {OK: bounded},
		}}
	}
	got := request(t, serve(t, o), "GET /readyz", nil)
	require.Equal(t, 503, got.status)
	var r admin.Report
	require.NoError(t, json.Unmarshal([]byte(got.body), &r))
	require.Equal(t, "connection refused", r.Checks["temporal"].Detail)
	require.True(t, r.Checks["bounded"].OK, "a check that hangs must not hang the probe")
}

func TestWithoutATokenItListensOnLoopbackOnly(t *testing.T) {
	cases := []struct {
		name, listen, token string
		started             bool
	}{
		{"IPv4 loopback", "127.0.0.1:0", "", true},
		{"another address of loopback", "127.0.0.2:0", "", true},
		{"localhost by its name", "localhost:0", "", true},
		{"every interface by an empty host", ":0", "", false},
		{"every IPv4 interface", "0.0.0.0:0", "", false},
		{"every interface, with a token", ":0", "s3cret", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := options()
			o.Listen, o.Token = c.listen, c.token
			s, err := admin.New(t.Context(), o)
			if !c.started {
				require.ErrorContains(t, err, "set an admin token or listen on 127.0.0.1")
				return
			}
			require.NoError(t, err)
			require.NoError(t, s.Shutdown(t.Context()))
		})
	}
}

func TestAListenerThatIsTakenSaysWhich(t *testing.T) {
	s := serve(t, options())
	o := options()
	o.Listen = s.Addr().String()
	_, err := admin.New(t.Context(), o)
	require.ErrorContains(t, err, s.Addr().String())
}

func TestTheTokenOpensWhatIsNoProbe(t *testing.T) {
	o := options()
	o.Token = "s3cret"
	s := serve(t, o)
	for _, path := range []string{"/", "/stats", "/metrics", "/rejections", "/nothing"} {
		for _, auth := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Bearer s3cre", "Bearer s3cret2", "Basic s3cret", "s3cret"} {
			got := request(t, s, "GET "+path, func(r *http.Request) { r.Header.Set("Authorization", auth) })
			require.Equal(t, 401, got.status, "%s with %q", path, auth)
			require.Contains(t, got.header.Get("WWW-Authenticate"), "Bearer")
			require.NotContains(t, got.body, "s3cret")
		}
	}
	for _, auth := range []string{"Bearer s3cret", "bearer s3cret"} {
		got := request(t, s, "GET /stats", func(r *http.Request) { r.Header.Set("Authorization", auth) })
		require.Equal(t, 200, got.status)
	}
	require.Equal(t, 401, request(t, s, "POST /healthz", nil).status)
}

func TestProbesNeedNoTokenAndLearnLittle(t *testing.T) {
	o := options()
	o.Token = "s3cret"
	s := serve(t, o)
	require.JSONEq(t, `{"status":"ok"}`, request(t, s, "GET /healthz", nil).body)
	require.JSONEq(t, `{"ready":true}`, request(t, s, "GET /readyz", nil).body)
	require.Equal(t, 200, request(t, s, "HEAD /readyz", nil).status)
	full := request(t, s, "GET /readyz", func(r *http.Request) { r.Header.Set("Authorization", "Bearer s3cret") })
	require.Contains(t, full.body, "127.0.0.1:7233")
}

func TestWithoutATokenAPageInABrowserGetsNothing(t *testing.T) {
	s := serve(t, options())
	_, port, err := net.SplitHostPort(s.Addr().String())
	require.NoError(t, err)
	for host, status := range map[string]int{
		"evil.example": 403, "evil.example:" + port: 403, "127.0.0.1.evil.example": 403, "localhost.evil.example": 403,
		"10.0.0.1:9090": 403, "[::ffff:10.0.0.1]": 403,
		"localhost:" + port: 200, "LOCALHOST": 200, "127.0.0.1": 200, "127.0.0.3:1": 200, "[::1]:9090": 200, "[::1]": 200,
	} {
		t.Run("host "+host, func(t *testing.T) {
			require.Equal(t, status, request(t, s, "GET /stats", func(r *http.Request) { r.Host = host }).status)
		})
	}
	for name, header := range map[string][2]string{
		"a form of another site":   {"Sec-Fetch-Site", "cross-site"},
		"a form of another origin": {"Origin", "https://evil.example"},
	} {
		t.Run(name, func(t *testing.T) {
			got := request(t, s, "POST /spool/drain", func(r *http.Request) { r.Header.Set(header[0], header[1]) })
			require.Equal(t, 403, got.status)
		})
	}
}

func TestWhoSendsHalfAHeadIsCutOff(t *testing.T) {
	t.Parallel() // it takes as long as the patience does
	s := serve(t, options())
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n")
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = bufio.NewReader(conn).ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

func TestShutdownFinishesWhatIsUnderWay(t *testing.T) {
	o := options()
	entered, leave := make(chan struct{}), make(chan struct{})
	o.Routes = []admin.Route{{Pattern: "GET /slow", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		_, _ = io.WriteString(w, "finished")
	})}}
	s, err := admin.New(t.Context(), o)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	got := make(chan string, 1)
	go func() { got <- request(t, s, "GET /slow", nil).body }()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	require.NoError(t, <-served, "it accepts no more")
	close(leave)
	require.NoError(t, <-stopped)
	require.Equal(t, "finished", <-got)
}

func TestShutdownDoesNotWaitForEver(t *testing.T) {
	o := options()
	entered := make(chan struct{})
	o.Routes = []admin.Route{{Pattern: "GET /stuck", Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})}}
	s, err := admin.New(t.Context(), o)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Shutdown(ctx), context.Canceled)
	require.NoError(t, <-served)
}
