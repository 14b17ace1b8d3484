package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/grapnel/grapnel/internal/netguard"
)

// webUI is a proxy before the engine's Web UI, which itself answers every request under any host
// name. The attacker is a web page in a browser on this machine: it can make its own host name
// resolve to loopback (DNS rebinding), or send a POST across sites. So the Host must be a name of
// loopback, and a request that changes something must come from the UI's own page. The UI itself
// listens at an address that no page can guess.
type webUI struct {
	port   int
	server *http.Server
	// target is where the engine's UI listens; nil while the engine starts.
	target atomic.Pointer[url.URL]
}

// openWebUI listens on a port of loopback and forwards to the target.
func openWebUI(ctx context.Context, port int, fixed bool, log *slog.Logger) (*webUI, error) {
	l, err := listenLoopback(ctx, port, fixed)
	if err != nil {
		return nil, err
	}
	u := &webUI{port: l.Addr().(*net.TCPAddr).Port}
	errorLog := slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u.target.Load())
			r.Out.Host = r.In.Host // The UI compares it with Origin.
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, "the engine's Web UI does not answer; it may be starting", http.StatusBadGateway)
		},
		ErrorLog: errorLog,
	}
	u.server = &http.Server{Handler: u.guard(proxy), ReadHeaderTimeout: 10 * time.Second, ErrorLog: errorLog}
	go func() {
		if err := u.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the Web UI's listener has ended", "error", err)
		}
	}()
	return u, nil
}

// guard lets only requests through that the UI's own pages may send.
func (u *webUI) guard(next http.Handler) http.Handler {
	sameOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !netguard.IsLoopback(hostOnly(r.Host)):
			http.Error(w, "the Web UI does not answer to this host name; open it as localhost or 127.0.0.1", http.StatusForbidden)
		case sameOrigin.Check(r) != nil:
			http.Error(w, "a page of another site may not send this request", http.StatusForbidden)
		case r.Header.Get("Upgrade") != "" || r.Method == http.MethodConnect:
			http.Error(w, "the Web UI speaks HTTP only", http.StatusBadRequest) // After an upgrade nothing could be checked.
		case u.target.Load() == nil:
			http.Error(w, "the engine is starting", http.StatusServiceUnavailable)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// hostOnly is a Host without its port. Any port is allowed, because a forwarded port has another
// number.
func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

// forwardTo sets the host:port where the engine's UI listens.
func (u *webUI) forwardTo(to string) { u.target.Store(&url.URL{Scheme: "http", Host: to}) }

func (u *webUI) close() { _ = u.server.Close() }

// hiddenIP is a random loopback address for the engine's own UI. Where all of 127.0.0.0/8 is
// loopback, as on Linux, address and port are more than a page can try; elsewhere only the port is
// unknown to it.
func hiddenIP(ctx context.Context) string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // It never fails.
	ip := net.IPv4(127, b[0], b[1], 1+b[2]%254).String()
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		return loopback
	}
	_ = l.Close()
	return ip
}

// listenLoopback listens on the preferred port of loopback, or on any free one if it is taken. If
// fixed, it must be free. 0 means any.
func listenLoopback(ctx context.Context, preferred int, fixed bool) (net.Listener, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", loopbackAddress(preferred))
	if err != nil && fixed && preferred != 0 {
		return nil, fmt.Errorf("port %d, which GRAPNEL_TEMPORAL_PORT asks for (the Web UI's is 1000 above it), is in use: free it or name another: %w", preferred, err)
	}
	if err != nil && preferred != 0 {
		l, err = listen.Listen(ctx, "tcp", loopbackAddress(0))
	}
	if err != nil {
		return nil, fmt.Errorf("find a free port on %s for the engine: %w", loopback, err)
	}
	return l, nil
}
