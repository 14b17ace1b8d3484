package provider

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/verify"
)

// verifier compiles the preset with the vector's settings.
func (x *Vector) verifier() (*verify.Verifier, error) {
	p, ok := Get(x.Scheme)
	if !ok {
		return nil, fmt.Errorf("there is no provider %q", x.Scheme)
	}
	given := map[string]string{"webhook_id": x.Config.WebhookID, "token_header": x.Config.TokenHeader}
	params := maps.Clone(p.Params)
	if params == nil {
		params = map[string]string{}
	}
	for _, s := range p.Settings {
		if given[s.Name] != "" {
			params[s.Name] = given[s.Name]
		}
	}
	p.Params = params
	if n, err := x.Config.Leeway.Float64(); err == nil && p.JWT != nil {
		jwt := *p.JWT
		jwt.Leeway = time.Duration(n * float64(time.Second))
		p.JWT = &jwt
	}
	return Compile(p)
}

func (x *Vector) request() (*verify.Request, error) {
	body := []byte(x.Body)
	if x.BodyBase64 != "" {
		var err error
		if body, err = base64.StdEncoding.DecodeString(x.BodyBase64); err != nil {
			return nil, fmt.Errorf("body_base64: %w", err)
		}
	}
	h := verify.HTTPHeader{}
	for name, value := range x.Headers {
		h[name] = []string{value}
	}
	public := x.Config.URL
	if public == "" {
		public = "https://example.com" + x.Path
	}
	_, query, _ := strings.Cut(x.Path, "?")
	if u, err := url.Parse(public); err == nil && query == "" {
		query = u.RawQuery
	}
	return &verify.Request{Method: x.Method, URL: public, Query: query, Header: h, Body: body}, nil
}

func (x *Vector) options() (verify.Options, error) {
	o := verify.Options{Certificate: []byte(x.Config.CertificatePEM)}
	off := time.Duration(-1)
	if x.Now == nil {
		o.Tolerance = &off
		return o, nil
	}
	o.Now = time.Unix(*x.Now, 0)
	switch text := string(x.Config.Tolerance); text {
	case "":
	case "null":
		o.Tolerance = &off
	default:
		var seconds float64
		if err := json.Unmarshal(x.Config.Tolerance, &seconds); err != nil {
			return o, fmt.Errorf("config.tolerance: %w", err)
		}
		tolerance := time.Duration(seconds * float64(time.Second))
		o.Tolerance = &tolerance
	}
	return o, nil
}

// secrets gives the vector's secrets, with the names of their keys where it has them.
func (x *Vector) secrets() []verify.Secret {
	var names []string
	var one string
	if json.Unmarshal(x.Config.KeyID, &names) != nil && json.Unmarshal(x.Config.KeyID, &one) == nil {
		names = []string{one}
	}
	out := make([]verify.Secret, len(x.Secrets))
	for i, text := range x.Secrets {
		out[i].Value = text
		if len(names) > 0 {
			out[i].KeyID = names[min(i, len(names)-1)]
		}
	}
	return out
}
