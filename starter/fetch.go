package starter

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/verify"
)

// dialWithin bounds the connecting of a fetch.
const dialWithin = 5 * time.Second

// fetcher makes what gets certificates and key sets. Some of their addresses
// come with requests that nobody has verified yet, and although the verifiers
// check the host, none leads into our own network, whatever a name resolves to.
// Only the hosts of key sets that the configuration names may be private.
// given, where it is not nil, takes the place of the network.
func fetcher(c *config.Config, given http.RoundTripper) (verify.Fetch, error) {
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
		return verify.HTTPFetch(&http.Client{Transport: httpsOnly{given, named}}), nil
	}
	dial, err := destination.Dialer(named, dialWithin)
	if err != nil {
		return nil, err
	}
	network := &http.Transport{
		// No proxy of the environment: it would resolve the name itself.
		DialContext:         dial,
		TLSHandshakeTimeout: dialWithin,
		// Fetches are rare, and this may be replaced by a reload.
		DisableKeepAlives: true,
		ForceAttemptHTTP2: true,
	}
	return verify.HTTPFetch(&http.Client{Transport: httpsOnly{network, named}}), nil
}

// httpsOnly sends nothing without TLS, but to a host that the configuration names:
// a key set may come from this machine by plain HTTP.
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
