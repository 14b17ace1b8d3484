package destination

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/oauth2"

	"github.com/grapnel/grapnel/internal/secret"
)

// Basic is the user name and password of HTTP's Basic scheme.
type Basic struct {
	// Username is the user name, which can't hold a colon.
	Username string `yaml:"username"`
	// Password is the password.
	Password secret.Secret `yaml:"password"`
}

// OAuth2 says how the token for a destination is fetched: by the client credentials grant (RFC
// 6749, section 4.4). All deliveries share the token. It is renewed before it expires, and when
// the destination answers 401.
type OAuth2 struct {
	// TokenURL is the address of the token endpoint.
	TokenURL secret.Secret `yaml:"token_url"`
	// ClientID is the name under which the token endpoint knows this grapnel.
	ClientID string `yaml:"client_id"`
	// ClientSecret is the secret that goes with ClientID.
	ClientSecret secret.Secret `yaml:"client_secret"`
	// Scopes are the permissions that the token is to have.
	Scopes []string `yaml:"scopes"`
	// Params are further parameters for the token endpoint, such as audience or resource.
	Params map[string]secret.Secret `yaml:"params"`
	// AuthStyle says how client_id and client_secret are sent to the token endpoint: header sends
	// them by the Basic scheme, params in the form.
	AuthStyle string `yaml:"auth_style"`
	// TLS is for a token endpoint that wants a client certificate, or whose certificate the
	// system does not trust.
	TLS *ClientTLS `yaml:"tls"`
}

// The ways in which a token endpoint takes the client's credentials.
const (
	styleHeader = "header"
	styleParams = "params"
)

// SetDefaults sets the values of keys that the file does not give.
func (o *OAuth2) SetDefaults() { o.AuthStyle = styleHeader }

// checkAuth reports credentials that can't be used, and more than one scheme: a request has one
// Authorization header.
func (h *HTTP) checkAuth(s *Spec, r Report) {
	var given []string
	if u, err := parseURL(h.URL.Reveal()); err == nil && u.User != nil {
		given = append(given, "http.url")
	}
	for _, name := range slices.Sorted(maps.Keys(h.Headers)) {
		if http.CanonicalHeaderKey(name) == authorization {
			given = append(given, "http.headers."+name)
		}
	}
	if h.Basic != nil {
		given = append(given, "http.basic")
		checkBasic(h.Basic, r)
	}
	if r.Given("http.bearer") || h.Bearer.IsSet() {
		given = append(given, "http.bearer")
		if !h.Bearer.IsSet() || strings.ContainsAny(h.Bearer.Reveal(), " \t") || !httpguts.ValidHeaderFieldValue(h.Bearer.Reveal()) {
			r.Fault("http.bearer", "must be a token on one line without spaces; what stands before it, Bearer, is added")
		}
	}
	if h.OAuth2 != nil {
		given = append(given, "http.oauth2")
		h.OAuth2.check(s, r)
	}
	for i, path := range given {
		if i > 0 {
			r.Fault(path, "stands beside "+given[0]+", and a request has one Authorization; keep one of them")
		}
	}
}

const authorization = "Authorization"

func checkBasic(b *Basic, r Report) {
	if b.Username == "" || strings.Contains(b.Username, ":") {
		r.Fault("http.basic.username", "must be a name without a colon")
	}
	if !b.Password.IsSet() {
		r.Fault("http.basic.password", "is missing; give it a value, best by ${VARIABLE} or file:/path")
	}
}

func (o *OAuth2) check(s *Spec, r Report) {
	checkAddress(s, r, "http.oauth2.token_url", o.TokenURL, "https://login.example.com/oauth2/token")
	if o.ClientID == "" {
		r.Fault("http.oauth2.client_id", "is missing; give the name by which the token endpoint knows this client")
	}
	if !o.ClientSecret.IsSet() {
		r.Fault("http.oauth2.client_secret", "is missing; give it a value, best by ${VARIABLE} or file:/path")
	}
	if o.AuthStyle != styleHeader && o.AuthStyle != styleParams {
		r.Fault("http.oauth2.auth_style", "must be header or params")
	}
	for _, name := range slices.Sorted(maps.Keys(o.Params)) {
		if slices.Contains([]string{"grant_type", "scope", "client_id", "client_secret"}, name) {
			r.Fault("http.oauth2.params."+name, "is set by the grant itself; use client_id, client_secret and scopes")
		}
	}
	if o.TLS != nil {
		o.TLS.check("http.oauth2.tls", isTLS(o.TokenURL), r)
	}
}

func isTLS(address secret.Secret) bool {
	u, err := parseURL(address.Reveal())
	return err != nil || u.Scheme == "https" // One that can't be read is a fault of its own.
}

// fixedCredentials gives the Authorization header that is the same for every delivery; empty
// where there is none, or where a token is fetched.
func (h *HTTP) fixedCredentials() (string, error) {
	var value string
	switch {
	case h.Basic != nil:
		value = "Basic " + h.Basic.encoded()
	case h.Bearer.IsSet():
		value = "Bearer " + h.Bearer.Reveal()
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return "", errors.New("its credentials hold characters that no header may")
	}
	return value, nil
}

func (b *Basic) encoded() string {
	return base64.StdEncoding.EncodeToString([]byte(b.Username + ":" + b.Password.Reveal()))
}

// style is AuthStyle in the terms of the OAuth2 library.
func (o *OAuth2) style() oauth2.AuthStyle {
	if o.AuthStyle == styleParams {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

func (o *OAuth2) params() url.Values {
	v := url.Values{}
	for name, value := range o.Params {
		v.Set(name, value.Reveal())
	}
	return v
}

// Auth names, for people, the scheme by which deliveries authenticate: none, basic, bearer,
// oauth2, header, or certificate where a client certificate is all there is.
func (h *HTTP) Auth() string {
	u, err := parseURL(h.URL.Reveal())
	switch {
	case h.Basic != nil, err == nil && u.User != nil:
		return "basic"
	case h.Bearer.IsSet():
		return "bearer"
	case h.OAuth2 != nil:
		return "oauth2"
	}
	for name := range h.Headers {
		if http.CanonicalHeaderKey(name) == authorization {
			return "header"
		}
	}
	if h.TLS != nil && h.TLS.CertFile.Path != "" {
		return "certificate"
	}
	return "none"
}

// masker hides the destination's secrets in the answers of the destination and of its token
// endpoint, because some of those repeat the request.
func (h *HTTP) masker() *secret.Masker {
	var hidden []string
	add := func(texts ...string) { hidden = append(hidden, texts...) }
	for _, address := range []secret.Secret{h.URL, h.Proxy} {
		hideURL(address.Reveal(), add)
	}
	for _, v := range h.Headers {
		add(v.Reveal())
		if _, credentials, ok := strings.Cut(v.Reveal(), " "); ok {
			add(credentials)
		}
	}
	for _, s := range h.Secrets {
		add(s.Reveal())
	}
	if h.Basic != nil {
		add(h.Basic.Password.Reveal(), h.Basic.encoded())
	}
	add(h.Bearer.Reveal())
	if o := h.OAuth2; o != nil {
		hideURL(o.TokenURL.Reveal(), add)
		// RFC 6749, section 2.3.1, has both form-encoded within the Basic scheme.
		b := Basic{Username: url.QueryEscape(o.ClientID), Password: secret.New(url.QueryEscape(o.ClientSecret.Reveal()))}
		add(o.ClientSecret.Reveal(), b.encoded())
		for _, v := range o.Params {
			add(v.Reveal())
		}
	}
	return secret.NewMasker(hidden...)
}

// hideURL hands the parts of an address that may be secret to add.
func hideURL(address string, add func(...string)) {
	u, err := url.Parse(address)
	if err != nil {
		return
	}
	add(u.RawQuery)
	if u.User != nil {
		password, _ := u.User.Password()
		b := Basic{Username: u.User.Username(), Password: secret.New(password)}
		add(password, u.User.Username(), b.encoded())
	}
	for _, values := range u.Query() {
		add(values...)
	}
}

// maskerOf hides what one request held that masker does not know, such as a fetched token.
func maskerOf(r *http.Request) *secret.Masker {
	if r == nil {
		return nil
	}
	_, credentials, _ := strings.Cut(r.Header.Get(authorization), " ")
	return secret.NewMasker(credentials)
}

// checkAddress reports an address that can't be read, or that leads to a host to which nothing
// may be sent.
func checkAddress(s *Spec, r Report, path string, address secret.Secret, like string) {
	if !address.IsSet() {
		r.Fault(path, "is missing; give it an address as "+like)
		return
	}
	u, err := parseURL(address.Reveal())
	if err != nil {
		r.Fault(path, "must be an address as "+like)
		return
	}
	checkHost(s, r, path, u.Hostname())
}

// checkHost reports a host that the dial would refuse, as far as that can be known
// without a name service.
func checkHost(s *Spec, r Report, path, host string) {
	if refused := dialRefusal(s, host); refused != nil {
		r.Fault(path, fmt.Sprintf("leads to %s, which is %s and refused; list it under allow_private when that is meant", host, refused.Kind))
	}
}
