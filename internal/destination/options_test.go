package destination_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/destination"
)

func TestOptionsThatCannotWorkAreRefusedWithoutTheirSecrets(t *testing.T) {
	cases := []struct {
		name string
		o    destination.Options
		want string
	}{
		{"no url", destination.Options{}, "its url is not usable"},
		{"another scheme", destination.Options{URL: "ftp://geheim.example.com"}, "its url is not usable"},
		{"no host", destination.Options{URL: "https:///geheim"}, "its url is not usable"},
		{"a password that breaks the url", destination.Options{URL: "https://joe:geheim/x@example.com"}, "its url is not usable"},
		{"a secret that is plain", destination.Options{Secrets: []string{"geheim"}}, "secret 1 does not begin with whsec_"},
		{"a secret that is no base64", destination.Options{Secrets: []string{"whsec_geheim!"}}, "secret 1 is not base64"},
		{"an empty secret", destination.Options{Secrets: []string{""}}, "secret 1 does not begin"},
		{
			"a short second secret",
			destination.Options{Secrets: []string{whsec(shortKey), whsec(shortKey[1:])}},
			"secret 2 has 23 bytes, Standard Webhooks wants 24 to 64",
		},
		{
			"a long secret",
			destination.Options{Secrets: []string{whsec([]byte(strings.Repeat("k", 65)))}},
			"secret 1 has 65 bytes",
		},
		{"a header with no name", destination.Options{Headers: map[string]string{"": "x"}}, `"" is no header name`},
		{"a header with a line feed", destination.Options{Headers: map[string]string{"X-A": "geheim\nX-B: c"}}, "header X-A holds"},
		{"our signature", destination.Options{Headers: map[string]string{"webhook-signature": "geheim"}}, "webhook-signature is set by"},
		{"our attributes", destination.Options{Headers: map[string]string{"ce-id": "geheim"}}, "ce-id is set by"},
		{"another host", destination.Options{Headers: map[string]string{"host": "geheim"}}, "host is set by"},
		{"an allowance that is nothing", destination.Options{AllowPrivate: []string{"10.0.0.0/40"}}, `allow_private: "10.0.0.0/40"`},
		{"an empty allowance", destination.Options{AllowPrivate: []string{""}}, `allow_private: ""`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.o.Name = "crm"
			if c.o.URL == "" && c.name != "no url" {
				c.o.URL = "https://example.com/hooks"
			}
			_, err := destination.New(c.o)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "destination crm")
			require.NotContains(t, err.Error(), "geheim")
			require.NotContains(t, err.Error(), base64.StdEncoding.EncodeToString(shortKey[1:]))
		})
	}
}

func TestAllFaultsAreSaidAtOnce(t *testing.T) {
	_, err := destination.New(destination.Options{
		URL: ":", Secrets: []string{"x", "y"}, Headers: map[string]string{"Host": "h"}, AllowPrivate: []string{"a b"},
	})
	for _, want := range []string{"url", "secret 1", "secret 2", "Host", "allow_private"} {
		require.ErrorContains(t, err, want)
	}
}
