// Package admin is the second listener, for operators and never for senders: health, metrics,
// statistics, refused requests, the REST API, and the operations page.
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

// Options are the parts of the listener. A part that is nil has no endpoint.
type Options struct {
	// Listen is the address to listen on, as host:port.
	Listen string
	// Token is what callers send as "Authorization: Bearer …". Without a token the listener has to
	// be on loopback.
	Token string
	// ReadToken is sent in the same way by callers who may look but not act.
	ReadToken string
	// Hosts are the names of the listener besides localhost and IP addresses, as in a Host header
	// but without the port.
	Hosts []string
	// Metrics serves /metrics.
	Metrics http.Handler
	// Stats returns the answer of /stats, which is written as JSON.
	Stats func() any
	// Ready returns the answer of /readyz; its context ends after two seconds.
	Ready func(context.Context) Report
	// Rejections are listed by /rejections.
	Rejections *Rejections
	// Codec decompresses stored payloads for Temporal's tools.
	Codec *Codec
	// Routes are further endpoints.
	Routes []Route
	// Endpoints are the parts of the REST API.
	Endpoints []Endpoints
	// Page is the operations page. It replaces the list of endpoints at /.
	Page Page
	// Log takes the audit lines, and errors while serving.
	Log *zap.Logger
}

// Page is a page for people. It asks for the token itself, because a browser can't send an
// Authorization header by itself. The other checks of the guard apply to it too.
type Page interface {
	http.Handler
	// Patterns are the patterns that it serves, in the form of http.ServeMux, without methods.
	Patterns() []string
}

// Route is one more endpoint of the listener.
type Route struct {
	// Pattern is method and path in the form of http.ServeMux: "GET /spool".
	Pattern string
	// About says in one line what it does, for the list of endpoints.
	About string
	// Handler serves it. It may change the connection's deadlines by an http.ResponseController.
	Handler http.Handler
}

// Server is the admin listener. Make one with New.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// The time-outs and bounds of a request.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	readyTimeout      = 2 * time.Second
)

// New binds the listener. Without a token it is an error if the bound address, whatever name it was
// given by, is not on loopback. Two equal patterns make New panic, as http.ServeMux does.
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

// Addr returns the address that the server listens on, with the real port.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL returns the server's address as a URL.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Serve answers requests until Shutdown, after which it returns nil.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the admin listener on %s has stopped: %w", s.listener.Addr(), err)
	}
	return nil
}

// Shutdown stops accepting requests and waits for those under way. When ctx ends it cuts them off
// and returns ctx's error. The port is free when it returns.
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
