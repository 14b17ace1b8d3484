package starter

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/netguard"
	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/internal/verify/coded"
)

// dialWithin bounds the time for connecting and for the TLS handshake.
const dialWithin = 5 * time.Second

// newFetch makes the client that fetches certificates and key sets. Some of their URLs come with
// requests that are not verified yet. The verifiers check the host, and in addition the dialer
// refuses private addresses, whatever a name resolves to. Only the hosts of key sets that the
// configuration names may be private. given, if it is not nil, replaces the network.
func newFetch(c *config.Config, given http.RoundTripper) (verify.Fetch, error) {
	var named []string
	for _, s := range c.Sources {
		p := s.Profile()
		if p.JWT == nil {
			continue
		}
		address := p.JWT.JWKS
		for name, value := range p.Params {
			address = strings.ReplaceAll(address, "{param:"+name+"}", value)
		}
		if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
			named = append(named, u.Hostname())
		}
	}
	if given != nil {
		return coded.HTTPFetch(&http.Client{Transport: httpsOnly{given, named}}), nil
	}
	guard, err := netguard.New(named)
	if err != nil {
		return nil, err
	}
	network := &http.Transport{
		// No proxy of the environment is used: it would resolve names itself, past the guard.
		DialContext:         guard.DialContext(netguard.DialOptions{Timeout: dialWithin}),
		TLSHandshakeTimeout: dialWithin,
		// Connections are not kept: fetches are rare, and a reload replaces the client.
		DisableKeepAlives: true,
		ForceAttemptHTTP2: true,
	}
	return coded.HTTPFetch(&http.Client{Transport: httpsOnly{network, named}}), nil
}

// httpsOnly refuses plain HTTP, except to hosts that the configuration names: a key set may come
// from this machine.
type httpsOnly struct {
	next  http.RoundTripper
	named []string
}

// RoundTrip implements http.RoundTripper.
func (h httpsOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !slices.Contains(h.named, r.URL.Hostname()) {
		return nil, errors.New("certificates and keys are fetched by https only")
	}
	return h.next.RoundTrip(r)
}
