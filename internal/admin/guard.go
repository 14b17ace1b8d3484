package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/grapnel/grapnel/internal/netguard"
)

// guard checks who may see or do something. Probes are open to everybody, who then get a short
// answer.
//
// If there is a token, callers have to send it. If not, the listener is on loopback, and the
// attacker is a web page in a browser on the same machine. Such a page has two ways: a host name of
// its own that resolves to our address (DNS rebinding), so the Host has to be one of ours; and a
// cross-site request, which the REST API refuses, and which may change nothing anywhere.
type guard struct {
	// token is for RoleOperate, readToken for RoleRead; empty means none.
	token, readToken string
	// hosts are names of the listener besides localhost and IP addresses.
	hosts []string
	// local says that the listener is on loopback.
	local bool
	// pages are those that ask for the token themselves; nil if there are none.
	pages *http.ServeMux
}

// isPage tells whether a request is for one of the pages.
func (g guard) isPage(r *http.Request) bool {
	if g.pages == nil {
		return false
	}
	_, pattern := g.pages.Handler(r)
	return pattern != ""
}

func (g guard) wrap(next http.Handler) http.Handler {
	sameOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		probe, page := isProbe(r), g.isPage(r)
		role := g.role(r)
		switch {
		case !g.knows(r.Host) && (!probe || g.token == ""):
			refuse(w, r, http.StatusForbidden,
				"the admin listener does not answer to this host name; use an IP address, localhost, or a name in GRAPNEL_ADMIN_HOSTS")
		case role == "" && !probe && !page:
			w.Header().Set("WWW-Authenticate", `Bearer realm="grapnel admin"`)
			refuse(w, r, http.StatusUnauthorized, "this needs the admin token, as Authorization: Bearer …")
		case sameOrigin.Check(r) != nil || isCrossSite(r):
			refuse(w, r, http.StatusForbidden, "a page of another site may not send this request")
		case role == RoleRead && !isSafe(r.Method) && !page:
			refuse(w, r, http.StatusForbidden, "the read token is for reading only; this needs the admin token")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// role returns the role of a request; empty if it may do nothing.
func (g guard) role(r *http.Request) string {
	switch {
	case g.token == "" || showsToken(r, g.token):
		return RoleOperate
	case g.readToken != "" && showsToken(r, g.readToken):
		return RoleRead
	default:
		return ""
	}
}

// showsToken tells whether a request carries the token. Both values are hashed first, so that the
// time of the comparison reveals neither content nor length.
func showsToken(r *http.Request, token string) bool {
	scheme, shown, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	got, want := sha256.Sum256([]byte(strings.TrimSpace(shown))), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// isProbe tells whether a request is a probe of a load balancer or an orchestrator, which have no
// token.
func isProbe(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		(r.URL.Path == pathHealth || r.URL.Path == pathReady)
}

// isCrossSite tells whether a page of another site calls the REST API, or links to it; neither has
// a good reason.
func isCrossSite(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return strings.HasPrefix(r.URL.Path, PathAPI+"/") && (site == "cross-site" || site == "same-site")
}

// knows tells whether a Host is one of the listener's. A listener beyond loopback needs a token,
// which no web page has; it answers to any name unless names are configured.
func (g guard) knows(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if slices.ContainsFunc(g.hosts, func(h string) bool { return strings.EqualFold(h, host) }) || netguard.IsLoopback(host) {
		return true
	}
	if g.token != "" && !g.local && len(g.hosts) == 0 {
		return true
	}
	return g.token != "" && net.ParseIP(strings.Trim(host, "[]")) != nil
}

// refuse answers with an error: a problem document for the REST API, else our own JSON.
func refuse(w http.ResponseWriter, r *http.Request, status int, message string) {
	if !strings.HasPrefix(r.URL.Path, PathAPI+"/") {
		writeError(w, status, message)
		return
	}
	writeBody(w, status, "application/problem+json", map[string]any{
		"title": http.StatusText(status), "status": status, "detail": message,
	})
}
