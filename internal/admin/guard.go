package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"

	"github.com/grapnel/grapnel/internal/netguard"
)

// authorized tells whether a request shows the token. Both are hashed first, so
// that neither the time nor the length gives anything away.
func authorized(r *http.Request, token string) bool {
	scheme, shown, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	got, want := sha256.Sum256([]byte(strings.TrimSpace(shown))), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// guard lets in who may see everything, and to the probes everybody, who then
// get a short answer.
//
// With a token, that is who shows it. Without one the listener is on loopback,
// where a page in a browser on the same machine is the stranger: by a name of
// its own that resolves to 127.0.0.1 (DNS rebinding) it would read everything,
// so the Host has to be a loopback one; by a form it would write, so a request
// from another origin may not.
func guard(token string, next http.Handler) http.Handler {
	if token == "" {
		return loopbackHost(http.NewCrossOriginProtection().Handler(next))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isProbe(r) && !authorized(r, token) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="grapnel admin"`)
			writeError(w, http.StatusUnauthorized, "this needs the admin token, as Authorization: Bearer …")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isProbe tells whether a request is what a load balancer or an orchestrator
// asks, which have no token.
func isProbe(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		(r.URL.Path == pathHealth || r.URL.Path == pathReady)
}

func loopbackHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopbackHost(r.Host) {
			writeError(w, http.StatusForbidden, "without an admin token this answers to localhost only")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLoopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return netguard.IsLoopback(host)
}
