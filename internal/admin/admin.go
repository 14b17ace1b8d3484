// Package admin is the second listener, for those who run grapnel and never for
// senders: health, metrics, statistics, and the requests that were refused.
package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// Options is what the listener is made of. What is nil has no endpoint.
type Options struct {
	// Listen is where it listens, as host:port.
	Listen string
	// Token is what callers show as "Authorization: Bearer …". Without one the
	// listener has to be on loopback.
	Token string
	// ReadToken is shown in the same way by callers who may look and not act.
	ReadToken string
	// Hosts are the names by which the listener is reached besides localhost and
	// addresses, as a Host header has them, without port.
	Hosts []string
	// Metrics serves /metrics.
	Metrics http.Handler
	// Stats makes what /stats answers, as JSON.
	Stats func() any
	// Ready makes what /readyz answers; it is given two seconds.
	Ready func(context.Context) Report
	// Rejections are what /rejections lists.
	Rejections *Rejections
	// Codec makes stored payloads readable.
	Codec *Codec
	// Routes are served besides.
	Routes []Route
	// Endpoints make up the REST API.
	Endpoints []Endpoints
	// Page is the operations page, which takes the place of the list at /.
	Page Page
	// Log takes what goes wrong while serving.
	Log *zap.Logger
}

// Page is a page for people. It asks for the token by itself, because a browser
// can't show one; the rest of the guard holds for it too.
type Page interface {
	http.Handler
	// Patterns are what it answers, as http.ServeMux has them, without methods.
	Patterns() []string
}

// Route is one more endpoint of the listener.
type Route struct {
	// Pattern is method and path, as http.ServeMux has them: "GET /spool".
	Pattern string
	// About says in one line what it does, for the list at /.
	About string
	// Handler answers it. It may move the connection's deadlines by an
	// http.ResponseController.
	Handler http.Handler
}

// Server is the admin listener. Make one with New.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// The patience of the listener with its callers.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	readyTimeout      = 2 * time.Second
)

// New binds the listener and refuses to be reachable from elsewhere without a
// token. What counts is the address that was bound, whatever name led to it.
// A pattern that is in use already panics, as http.ServeMux does.
func New(ctx context.Context, o Options) (*Server, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("the admin listener can't listen on %q: %w", o.Listen, err)
	}
	if o.Token == "" && !isLoopback(l.Addr()) {
		_ = l.Close()
		return nil, fmt.Errorf("the admin listener on %s can be reached from elsewhere, set an admin token or listen on 127.0.0.1",
			l.Addr())
	}
	return &Server{listener: l, http: &http.Server{
		Handler:           newHandler(o, isLoopback(l.Addr())),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          zap.NewStdLog(o.Log.Named("admin")),
	}}, nil
}

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// Addr is where the server listens, with the port that was really taken.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL is the address of the server for people.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Serve answers requests until Shutdown, after which it returns nil.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the admin listener on %s has stopped: %w", s.listener.Addr(), err)
	}
	return nil
}

// Shutdown stops accepting and waits for what is under way, until ctx ends;
// then it cuts it off. The port is free again when it returns.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	// Shutdown closes the listener only when Serve has been called.
	if cerr := s.listener.Close(); cerr != nil && !errors.Is(cerr, net.ErrClosed) {
		err = errors.Join(err, cerr)
	}
	return err
}
