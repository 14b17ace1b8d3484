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

// webUI stands before the engine's Web UI, which answers whoever asks it by whatever
// name. A page in a browser on this machine is the stranger: it can have a name of its
// own lead to loopback (DNS rebinding), or post to us across sites. So the Host must be
// one of this machine alone, and what changes something must come from the UI's own
// page. The UI itself listens where no page can find it.
type webUI struct {
	port   int
	server *http.Server
	// behind is where the engine's UI listens.
	behind atomic.Pointer[url.URL]
}

// openWebUI listens on a port of loopback and serves what stands behind.
func openWebUI(ctx context.Context, port int, fixed bool, log *slog.Logger) (*webUI, error) {
	l, err := listenLoopback(ctx, port, fixed)
	if err != nil {
		return nil, err
	}
	u := &webUI{port: l.Addr().(*net.TCPAddr).Port}
	errorLog := slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u.behind.Load())
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

// guard lets requests of this machine's own pages through.
func (u *webUI) guard(next http.Handler) http.Handler {
	sameOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !netguard.IsLoopback(hostOnly(r.Host)):
			http.Error(w, "this is no Host of the Web UI; open it by localhost or 127.0.0.1", http.StatusForbidden)
		case sameOrigin.Check(r) != nil:
			http.Error(w, "a page of another site may not ask this", http.StatusForbidden)
		case r.Header.Get("Upgrade") != "" || r.Method == http.MethodConnect:
			http.Error(w, "the Web UI speaks HTTP alone", http.StatusBadRequest) // Past an upgrade nothing is looked at.
		case u.behind.Load() == nil:
			http.Error(w, "the engine is starting", http.StatusServiceUnavailable)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// hostOnly is a Host without its port: any port will do, as one that was forwarded has
// another number.
func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

// lead tells where the engine's UI listens.
func (u *webUI) lead(to string) { u.behind.Store(&url.URL{Scheme: "http", Host: to}) }

func (u *webUI) close() { _ = u.server.Close() }

// hiddenIP is an address of loopback for the UI itself. With its port it is more than a
// page could try, where the system answers on all of 127.0.0.0/8, as Linux does;
// elsewhere the port alone is what a page does not know.
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

// listenLoopback takes a port of loopback where it is free, and any else; a fixed one
// must be free.
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
