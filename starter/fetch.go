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

// dialWithin bounds connecting and the TLS handshake of a fetch.
const dialWithin = 5 * time.Second

// newFetch makes the client for certificates and key sets. Some of their addresses come
// with requests that nobody has verified yet. The verifiers check the host, and the dialer
// refuses private addresses besides, whatever a name resolves to. Only hosts of key sets
// that the configuration names may be private. given, where it is not nil, is used in
// place of the network.
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
		// A proxy from the environment is not used: it would resolve names itself.
		DialContext:         guard.DialContext(netguard.DialOptions{Timeout: dialWithin}),
		TLSHandshakeTimeout: dialWithin,
		// Fetches are rare, and a reload replaces the client.
		DisableKeepAlives: true,
		ForceAttemptHTTP2: true,
	}
	return coded.HTTPFetch(&http.Client{Transport: httpsOnly{network, named}}), nil
}

// httpsOnly refuses plain HTTP but for hosts that the configuration names: a key set may
// come from this machine.
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
