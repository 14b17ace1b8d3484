package console

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// Sessions let people log in with a token. A session is a cookie, signed with a key that is derived
// from the tokens, so that it survives a restart and ends when a token changes. Without a token
// there are no sessions, and everybody who reaches the listener, which is on loopback then, may do
// everything.
type Sessions struct {
	token, readToken string
	key              []byte
	now              func() time.Time
	// wrong limits failed logins, by client address.
	wrong *lru.Cache[string, *rate.Limiter]
}

// Bounds of failed logins: maxWrong at once from one address, then one more each wrongEvery.
const (
	maxWrong   = 10
	wrongEvery = 6 * time.Second
	// maxStrangers is how many client addresses are remembered.
	maxStrangers = 4096
)

// NewSessions makes sessions for the admin token and the read token; either may be empty. If now is
// nil, it is time.Now.
func NewSessions(token, readToken string, now func() time.Time) *Sessions {
	if now == nil {
		now = time.Now
	}
	wrong, _ := lru.New[string, *rate.Limiter](maxStrangers) // New fails only for a size below 1.
	s := &Sessions{token: token, readToken: readToken, now: now, wrong: wrong}
	if token == "" {
		// The key signs only the CSRF values of forms then, which may end with the process.
		s.key = []byte(rand.Text())
		return s
	}
	s.key = mac([]byte(token), "grapnel console "+readToken)
	return s
}

// The roles.
const (
	// RoleRead may look at pages, RoleOperate may also act.
	RoleRead    = "read"
	RoleOperate = "operate"
)

const (
	cookieName = "grapnel_session"
	// sessionLife is a working day.
	sessionLife = 12 * time.Hour
)

// needed tells whether people have to log in.
func (s *Sessions) needed() bool { return s.token != "" }

// open tells whether a request needs no login: the login page itself and the static files.
func (s *Sessions) open(r *http.Request) bool {
	return r.URL.Path == "/login" || strings.HasPrefix(r.URL.Path, "/static/")
}

// Role returns the role of a request's session; empty if it has none.
func (s *Sessions) Role(r *http.Request) string {
	if !s.needed() {
		return RoleOperate
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	// The cookie is role.expiry.nonce.signature; expiry is in Unix seconds.
	parts := strings.Split(cookie.Value, ".")
	if len(parts) != 4 || !s.isSigned(parts[3], strings.Join(parts[:3], ".")) {
		return ""
	}
	expiry, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || s.now().Unix() >= expiry {
		return ""
	}
	return parts[0]
}

// guesses returns the limiter of failed logins for the client address of a request. The tokens are
// too long to be guessed; the limit keeps a guesser from filling the log. The addresses of an IPv6
// /64 count as one, because one client has all of them.
func (s *Sessions) guesses(r *http.Request) *rate.Limiter {
	from := r.RemoteAddr
	if at, err := netip.ParseAddrPort(from); err == nil {
		from = at.Addr().Unmap().String()
		if at.Addr().Unmap().Is6() {
			from = netip.PrefixFrom(at.Addr().WithZone(""), 64).Masked().String()
		}
	}
	mine := rate.NewLimiter(rate.Every(wrongEvery), maxWrong)
	if known, ok, _ := s.wrong.PeekOrAdd(from, mine); ok {
		return known
	}
	return mine
}

// roleOf returns the role of a token; empty if it is neither of ours.
func (s *Sessions) roleOf(token string) string {
	got := sha256.Sum256([]byte(strings.TrimSpace(token)))
	for _, known := range []struct{ token, role string }{{s.token, RoleOperate}, {s.readToken, RoleRead}} {
		want := sha256.Sum256([]byte(known.token))
		if known.token != "" && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			return known.role
		}
	}
	return ""
}

// begin sets the cookie of a new session with a role.
func (s *Sessions) begin(w http.ResponseWriter, r *http.Request, role string) {
	value := role + "." + strconv.FormatInt(s.now().Add(sessionLife).Unix(), 10) + "." + rand.Text()
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // G124: on loopback there is no TLS, and behind it Secure is set.
		Name: cookieName, Value: value + "." + hex.EncodeToString(mac(s.key, value)), Path: "/", MaxAge: int(sessionLife / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	})
}

// end removes the session's cookie.
func (s *Sessions) end(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // G124: it holds nothing.
		Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// csrf is the value that each of our forms carries. A page of another site can't read it.
func (s *Sessions) csrf(r *http.Request) string {
	value := ""
	if cookie, err := r.Cookie(cookieName); err == nil {
		value = cookie.Value
	}
	return hex.EncodeToString(mac(s.key, "form "+value))
}

// sent tells whether a form carries the csrf value of its session.
func (s *Sessions) sent(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.PostForm.Get("csrf")), []byte(s.csrf(r))) == 1
}

func (s *Sessions) isSigned(signature, value string) bool {
	return subtle.ConstantTimeCompare([]byte(signature), []byte(hex.EncodeToString(mac(s.key, value)))) == 1
}

func mac(key []byte, value string) []byte {
	m := hmac.New(sha256.New, key)
	_, _ = m.Write([]byte(value)) // It never fails.
	return m.Sum(nil)
}

// loginPage shows the login.
func (c *Console) loginPage(r *http.Request) (any, error) {
	return map[string]string{"Next": localPath(r.URL.Query().Get("next")), "Fault": ""}, nil
}

// login begins a session.
func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	guesses, now := c.Sessions.guesses(r), c.Sessions.now()
	if guesses.TokensAt(now) < 1 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wrongEvery/time.Second)))
		c.show(w, r, "fault", func(*http.Request) (any, error) {
			return nil, fault{http.StatusTooManyRequests, "Too many logins have failed from your address. Wait a minute."}
		})
		return
	}
	role := ""
	if r.ParseForm() == nil {
		role = c.Sessions.roleOf(r.PostForm.Get("token"))
	}
	next := localPath(r.PostForm.Get("next"))
	if role == "" {
		guesses.AllowN(now, 1)
		c.Log.Warn("a login to the page was refused", zap.String("from", r.RemoteAddr))
		c.show(w, r, "login", func(*http.Request) (any, error) {
			return map[string]string{"Next": next, "Fault": "That is neither the admin token nor the read token."}, nil
		})
		return
	}
	c.Sessions.begin(w, r, role)
	http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // G710: localPath lets no other host through.
}

func (c *Console) logout(*http.Request) (string, error) { return "/login", nil }

// localPath returns s if it is a path on this host, else "/". A login must not redirect to another
// host.
func localPath(s string) string {
	if !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n\t") {
		return "/"
	}
	return s
}
