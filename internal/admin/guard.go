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

// guard lets in who may see or do something, and to the probes everybody, who
// then get a short answer.
//
// With a token, that is who shows it. Without one the listener is on loopback,
// where a page in a browser on the same machine is the stranger. Such a page has
// two ways in: a name of its own that resolves to our address (DNS rebinding), so
// the Host has to be one of ours; and a request from another site, which gets
// nothing from the REST API and changes nothing anywhere.
type guard struct {
	// token opens everything, readToken what only shows; empty is none.
	token, readToken string
	// hosts are names of the listener besides localhost and addresses.
	hosts []string
	// local says that the listener is on loopback.
	local bool
	// pages are those that ask for the token by themselves; nil without any.
	pages *http.ServeMux
}

// isPage tells whether a request is for one of them.
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
				"this is not a Host of the admin listener; use an address, localhost, or a name in GRAPNEL_ADMIN_HOSTS")
		case role == "" && !probe && !page:
			w.Header().Set("WWW-Authenticate", `Bearer realm="grapnel admin"`)
			refuse(w, r, http.StatusUnauthorized, "this needs the admin token, as Authorization: Bearer …")
		case sameOrigin.Check(r) != nil || isCrossSite(r):
			refuse(w, r, http.StatusForbidden, "a page of another site may not ask this")
		case role == RoleRead && !isSafe(r.Method) && !page:
			refuse(w, r, http.StatusForbidden, "the read token shows only; to act, show the admin token")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// role is what a request may do; empty for nothing.
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

// showsToken tells whether a request shows the token. Both are hashed first, so
// that neither the time nor the length gives anything away.
func showsToken(r *http.Request, token string) bool {
	scheme, shown, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	got, want := sha256.Sum256([]byte(strings.TrimSpace(shown))), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// isProbe tells whether a request is what a load balancer or an orchestrator
// asks, which have no token.
func isProbe(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		(r.URL.Path == pathHealth || r.URL.Path == pathReady)
}

// isCrossSite tells whether a page of another site asks the REST API, where no
// link of another site has anything to point to.
func isCrossSite(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return strings.HasPrefix(r.URL.Path, PathAPI+"/") && (site == "cross-site" || site == "same-site")
}

// knows tells whether a Host is one of the listener's. A listener that others
// can reach asks for a token, which no page of a browser has, so there any name
// will do unless names are configured.
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

// refuse answers in the form of the part of the listener that was asked.
func refuse(w http.ResponseWriter, r *http.Request, status int, message string) {
	if !strings.HasPrefix(r.URL.Path, PathAPI+"/") {
		writeError(w, status, message)
		return
	}
	writeBody(w, status, "application/problem+json", map[string]any{
		"title": http.StatusText(status), "status": status, "detail": message,
	})
}
