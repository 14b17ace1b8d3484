package app

import (
	"net/http"
	"net/http/pprof"

	"github.com/grapnel/grapnel/internal/admin"
)

// profileRoutes serve what `go tool pprof` asks for, where --pprof was given. They
// stand behind the guard of the admin listener like everything else.
func (p *process) profileRoutes() []admin.Route {
	if !p.pprof {
		return nil
	}
	return []admin.Route{
		{Pattern: "GET /debug/pprof/", About: "Go's profiles: heap, goroutine, mutex and others", Handler: http.HandlerFunc(pprof.Index)},
		{Pattern: "GET /debug/pprof/profile", About: "a CPU profile; ?seconds=", Handler: http.HandlerFunc(pprof.Profile)},
		{Pattern: "GET /debug/pprof/trace", About: "an execution trace; ?seconds=", Handler: http.HandlerFunc(pprof.Trace)},
		{Pattern: "GET /debug/pprof/cmdline", About: "the command line", Handler: http.HandlerFunc(pprof.Cmdline)},
		{Pattern: "GET /debug/pprof/symbol", About: "the names of addresses", Handler: http.HandlerFunc(pprof.Symbol)},
	}
}
