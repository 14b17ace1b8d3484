package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// The paths of the two probes, which need no token.
const (
	pathHealth = "/healthz"
	pathReady  = "/readyz"
)

// newHandler serves the endpoints of o behind the guard. local says that the listener is on
// loopback.
func newHandler(o Options, local bool) http.Handler {
	routes := []Route{{"GET " + pathHealth, "the process is alive", http.HandlerFunc(healthHandler)}}
	if o.Ready != nil {
		routes = append(routes, Route{"GET " + pathReady, "whether events are taken, with what was checked", readyHandler(o)})
	}
	if o.Stats != nil {
		routes = append(routes, Route{"GET /stats", "events received, handled, failed and repeated", statsHandler(o)})
	}
	if o.Metrics != nil {
		routes = append(routes, Route{"GET /metrics", "the same and more for Prometheus", o.Metrics})
	}
	if o.Rejections != nil {
		routes = append(routes, Route{"GET /rejections", "the latest refused requests; ?source= and ?limit=", rejectionsHandler(o)})
	}
	if o.Codec != nil {
		routes = append(routes, o.Codec.routes()...)
	}
	routes = append(routes, o.Routes...)
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(r.Pattern, r.Handler)
	}
	newAPI(mux, o.Endpoints)
	routes = append(routes, Route{Pattern: "GET " + PathAPI + "/openapi.json", About: "what the REST API does, as an OpenAPI document"})
	g := guard{token: o.Token, readToken: o.ReadToken, hosts: o.Hosts, local: local}
	if o.Page == nil {
		mux.Handle("GET /{$}", indexHandler(routes))
	} else {
		mux.Handle("GET /endpoints", indexHandler(routes))
		g.pages = http.NewServeMux()
		for _, pattern := range o.Page.Patterns() {
			mux.Handle(pattern, o.Page)
			g.pages.Handle(pattern, o.Page)
		}
	}
	guarded := g.wrap(audit(o.Log.Named("audit"), mux))
	if o.Codec != nil {
		guarded = o.Codec.open(o.Token, mux, guarded)
	}
	return headers(guarded)
}

// headers keeps browsers from guessing media types and from loading anything, and all clients from
// caching.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

func indexHandler(routes []Route) http.Handler {
	var text []byte
	for _, r := range routes {
		text = fmt.Appendf(text, "%-24s %s\n", r.Pattern, r.About)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(text)
	})
}

func healthHandler(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyHandler answers with the report if the request has a role, else only with whether the
// process is ready.
func readyHandler(o Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		report := o.Ready(ctx)
		status := http.StatusOK
		if !report.Ready {
			status = http.StatusServiceUnavailable
		}
		if g := (guard{token: o.Token, readToken: o.ReadToken}); g.role(r) == "" {
			writeJSON(w, status, map[string]bool{"ready": report.Ready})
			return
		}
		writeJSON(w, status, report)
	})
}

func statsHandler(o Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, o.Stats())
	})
}

func rejectionsHandler(o Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list := o.Rejections.List(r.URL.Query().Get("source"))
		limit, err := Limit(r, len(list))
		if err != nil {
			writeError(w, http.StatusBadRequest, err.Error())
			return
		}
		list = list[:min(limit, len(list))]
		writeJSON(w, http.StatusOK, map[string][]Rejection{"rejections": list})
	})
}

// Limit reads the query parameter limit; it returns the fallback if there is none.
func Limit(r *http.Request, fallback int) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, errors.New("limit has to be a number of at least 1")
	}
	return n, nil
}

// writeJSON answers with v as indented JSON.
func writeJSON(w http.ResponseWriter, status int, v any) { writeBody(w, status, "application/json", v) }

func writeBody(w http.ResponseWriter, status int, mediaType string, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		writeError(w, http.StatusInternalServerError, "the answer can't be written as JSON: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{"error": message})
}
