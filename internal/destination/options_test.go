package destination_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOptionsThatCannotWorkAreRefusedWithoutTheirSecrets(t *testing.T) {
	cases := []struct {
		name string
		o    options
		want string
	}{
		{"no url", options{}, "its url is not usable"},
		{"another scheme", options{URL: "ftp://geheim.example.com"}, "its url is not usable"},
		{"no host", options{URL: "https:///geheim"}, "its url is not usable"},
		{"a password that breaks the url", options{URL: "https://joe:geheim/x@example.com"}, "its url is not usable"},
		{"a secret that is plain", options{Secrets: []string{"geheim"}}, "secret 1 does not begin with whsec_"},
		{"a secret that is no base64", options{Secrets: []string{"whsec_geheim!"}}, "secret 1 is not base64"},
		{"an empty secret", options{Secrets: []string{""}}, "secret 1 does not begin"},
		{
			"a short second secret",
			options{Secrets: []string{whsec(shortKey), whsec(shortKey[1:])}},
			"secret 2 has 23 bytes, Standard Webhooks wants 24 to 64",
		},
		{
			"a long secret",
			options{Secrets: []string{whsec([]byte(strings.Repeat("k", 65)))}},
			"secret 1 has 65 bytes",
		},
		{"a header with no name", options{Headers: map[string]string{"": "x"}}, `"" is no header name`},
		{"a header with a line feed", options{Headers: map[string]string{"X-A": "geheim\nX-B: c"}}, "header X-A holds"},
		{"our signature", options{Headers: map[string]string{"webhook-signature": "geheim"}}, "webhook-signature is set by"},
		{"our attributes", options{Headers: map[string]string{"ce-id": "geheim"}}, "ce-id is set by"},
		{"another host", options{Headers: map[string]string{"host": "geheim"}}, "host is set by"},
		{"an allowance that is nothing", options{AllowPrivate: []string{"10.0.0.0/40"}}, `allow_private: "10.0.0.0/40"`},
		{"an empty allowance", options{AllowPrivate: []string{""}}, `allow_private: ""`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.o.Name = "crm"
			if c.o.URL == "" && c.name != "no url" {
				c.o.URL = "https://example.com/hooks"
			}
			_, err := made(c.o)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "destination crm")
			require.NotContains(t, err.Error(), "geheim")
			require.NotContains(t, err.Error(), base64.StdEncoding.EncodeToString(shortKey[1:]))
		})
	}
}

func TestAllFaultsAreSaidAtOnce(t *testing.T) {
	_, err := made(options{
		URL: ":", Secrets: []string{"x", "y"}, Headers: map[string]string{"Host": "h"}, AllowPrivate: []string{"a b"},
	})
	for _, want := range []string{"url", "secret 1", "secret 2", "Host", "allow_private"} {
		require.ErrorContains(t, err, want)
	}
}
