package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/config"
)

// example is the file that make run starts on.
const example = "../../grapnel.yaml"

// noon is when warnings are asked for.
var noon = time.Date(2026, time.January, 2, 12, 0, 0, 0, time.UTC)

func TestTheExampleRunsAndWarns(t *testing.T) {
	c, err := config.Load(example, environment(nil))
	require.NoError(t, err)
	require.Len(t, c.Sources, 1)
	require.Equal(t, "zoom", c.Sources["zoom"].Provider)
	require.Equal(t, config.DevelopmentSecret, c.Sources["zoom"].Credentials()[0].Value)
	require.Empty(t, c.Destinations)
	w := c.Warnings(noon)
	require.Len(t, w, 1)
	require.Equal(t, "sources.zoom.secrets[0]", w[0].Path)
	require.Contains(t, w[0].Message, "everyone knows")
}

// TestTheExampleRunsWithEverythingTurnedOn takes the comment signs off the
// settings of the example, so that none of them goes stale.
func TestTheExampleRunsWithEverythingTurnedOn(t *testing.T) {
	src, err := os.ReadFile(example)
	require.NoError(t, err)
	text := strings.ReplaceAll(string(src), "destinations: {}", "destinations:")
	var lines []string
	for line := range strings.Lines(text) {
		body := strings.TrimLeft(line, " ")
		indent := line[:len(line)-len(body)]
		if rest, ok := strings.CutPrefix(body, "# "); ok && (strings.Contains(rest, ":") || strings.HasPrefix(strings.TrimSpace(rest), "- ")) &&
			(indent != "" || isSetting(rest)) {
			line = indent + rest
		}
		lines = append(lines, line)
	}
	text = strings.Join(lines, "")
	// Its files are on no machine but their owner's.
	text = strings.NewReplacer("file:/run/secrets/stripe-old", "$OLD", "tls: {", "# tls: {").Replace(text)
	text = strings.ReplaceAll(text, "$OLD", "${STRIPE_OLD_SECRET}")
	c, err := config.Parse("grapnel.yaml", []byte(text), func(name string) (string, bool) {
		if name == "PARTNER_SECRET" || name == "CRM_SIGNING_SECRET" {
			return "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", true
		}
		return "0123456789abcdef-" + name, true
	})
	require.NoError(t, err, text)
	for _, name := range []string{"zoom", "github", "stripe", "partner", "shop"} {
		require.Contains(t, c.Sources, name)
	}
	require.Contains(t, c.Destinations, "crm")
	require.True(t, c.RateStore.IsSet())
}

func isSetting(line string) bool {
	for _, key := range []string{"spool:", "ack:", "max_", "timeouts:", "tls:", "rate_store:"} {
		if strings.HasPrefix(line, key) {
			return true
		}
	}
	return false
}

func TestWarnings(t *testing.T) {
	long := map[string]string{"A": "0123456789abcdef-a", "B": "0123456789abcdef-b", "SHORT": "short"}
	const own = "verify: {algorithm: hmac-sha256, signature: {headers: [x-sig], encoding: hex}, identity: {id: \"header:x-id\"}"
	cases := []struct {
		name, text string
		path, says string
	}{
		{"no source at all", "retention: 720h", "sources", "no event can come in"},
		{"a short secret", `sources: {zoom: {provider: zoom, secrets: ["${SHORT}"]}}`, "sources.zoom.secrets[0]", "5 bytes"},
		{
			"a short clientState beside tokens", `sources: {graph: {provider: microsoft-graph-rich, params: {app_id: a}, secrets: ["${SHORT}"]}}`,
			"sources.graph.secrets[0]", "5 bytes",
		},
		{
			"a clientState in the file", `sources: {graph: {provider: microsoft-graph-rich, params: {app_id: a}, secrets: [0123456789abcdef]}}`,
			"sources.graph.secrets[0]", "in the file itself",
		},
		{"a variable without braces", `sources: {zoom: {provider: zoom, secrets: [$ZOOM_SECRET_TOKEN]}}`, "sources.zoom.secrets[0]", "write ${NAME}"},
		{"a secret in the file", `sources: {zoom: {provider: zoom, secrets: [0123456789abcdef]}}`, "sources.zoom.secrets[0]", "in the file itself"},
		{"the development secret", `sources: {zoom: {provider: zoom, secrets: [` + config.DevelopmentSecret + `]}}`, "sources.zoom.secrets[0]", "everyone knows"},
		{
			"one secret in two sources", `sources: {a: {provider: zoom, secrets: ["${A}"]}, b: {provider: zoom, secrets: ["${B}", "${A}"]}}`,
			"sources.b.secrets[1]", "source a has the same secret",
		},
		{"a profile that relies on bodies", `sources: {a: {` + own + `}, secrets: ["${A}"]}}`, "sources.a.verify", "by their bodies alone"},
		{
			"a token alone", `sources: {a: {verify: {algorithm: token, signature: {headers: [x-token], encoding: text}, dedupe: none}, secrets: ["${A}"], require_https: true}}`,
			"sources.a", "restrict it by allow_ips",
		},
		{
			"a token in clear", `sources: {a: {verify: {algorithm: token, signature: {headers: [x-token], encoding: text}, dedupe: none}, secrets: ["${A}"], allow_ips: [192.0.2.1]}}`,
			"sources.a", "require_https",
		},
		{
			"a secret whose time is over", `sources: {zoom: {provider: zoom, secrets: ["${A}", {value: "${B}", valid_until: 2026-01-02T12:00:00Z}]}}`,
			"sources.zoom.secrets[1]", "no longer counts",
		},
		{"topics of anybody", `sources: {aws: {provider: aws-sns}}`, "sources.aws", "ARNs of yours"},
		{"nothing is asked for", `sources: {a: {verify: {algorithm: none, dedupe: none}}}`, "sources.a", "anyone can send"},
		{
			"a password in clear", `sources: {zoom: {provider: zoom, secrets: ["${A}"], basic_auth: {username: a, password: "${B}"}}}`,
			"sources.zoom.basic_auth", "require_https",
		},
		{
			"a token header in clear", `sources: {zoom: {provider: zoom, secrets: ["${A}"], token: {header: x, value: "${B}"}}}`,
			"sources.zoom.token", "require_https",
		},
		{
			"TLS that no request can show", `sources: {zoom: {provider: zoom, secrets: ["${A}"], require_https: true}}`,
			"sources.zoom.require_https", "all are refused",
		},
		{
			"a sender without TLS", `sources: {zoom: {provider: zoom, secrets: ["${A}"], url: "http://hooks.example.com/x"}}`,
			"sources.zoom.url", "without TLS",
		},
		{
			"a signature over the URL without one", `sources: {a: {verify: {algorithm: hmac-sha256, content: "{url}{body}", dedupe: none, signature: {headers: [x], encoding: hex}}, secrets: ["${A}"]}}`,
			"sources.a", "set url",
		},
		{
			"a list of addresses that is not there", `sources: {zoom: {provider: zoom, secrets: ["${A}"], allow_ips: {from: "file:no-such-list"}}}`,
			"sources.zoom.allow_ips.from", "/no-such-list is no file",
		},
		{"a destination without TLS", `destinations: {crm: {events: ["zoom/*"], http: {url: "http://example.com/"}}}`, "destinations.crm.http.url", "without TLS"},
		{"a destination that is not signed for", `destinations: {crm: {events: ["zoom/*"], http: {url: "https://example.com/"}}}`, "destinations.crm.http", "unsigned"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var found bool
			for _, w := range parse(t, tc.text, long).Warnings(noon) {
				found = found || w.Path == tc.path && strings.Contains(w.Message, tc.says)
				require.Positive(t, w.Line)
			}
			require.True(t, found, "%v", parse(t, tc.text, long).Warnings(noon))
		})
	}
	t.Run("a careful file has none", func(t *testing.T) {
		c := parse(t, `
trusted_proxies: [10.0.0.0/8]
sources:
  zoom: {provider: zoom, secrets: [{value: "${A}", valid_until: 2026-01-02T12:00:01Z}], require_https: true, token: {header: x, value: "${B}"}}
  aws: {provider: aws-sns, params: {topics: "arn:aws:sns:eu-west-1:123456789012:orders"}}
destinations: {crm: {events: ["zoom/*"], http: {url: "https://example.com/", secrets: [whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz]}}}
`, long)
		require.Empty(t, c.Warnings(noon))
	})
	t.Run("a secret file that anyone can read", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "key")
		require.NoError(t, os.WriteFile(name, []byte("0123456789abcdef"), 0o600))
		text := `sources: {zoom: {provider: zoom, secrets: ["file:` + name + `"]}}`
		require.Empty(t, parse(t, text, nil).Warnings(noon))
		require.NoError(t, os.Chmod(name, 0o644))
		w := parse(t, text, nil).Warnings(noon)
		require.Len(t, w, 1)
		require.Contains(t, w[0].Message, "chmod")
	})
}

func TestFingerprint(t *testing.T) {
	base := parse(t, zoom("    max_body: 1MiB\n"), nil).Fingerprint()
	require.Regexp(t, "^[0-9a-f]{12}$", base)
	same := "# A comment.\nretention: 30d\nsources: {zoom: {max_body: 1024KiB, secrets: ['0123456789abcdef'], provider: zoom}}"
	require.Equal(t, base, parse(t, same, nil).Fingerprint(), "the way of writing does not count")
	for _, other := range []string{
		zoom("    max_body: 2KiB\n"),
		strings.Replace(zoom(""), "0123456789abcdef", "0123456789abcdeF", 1),
		zoom("    identity: {subject: \"body:x\"}\n"),
		zoom("    basic_auth: {username: a, password: b}\n"),
		zoom("") + "retention: 31d\n",
	} {
		require.NotEqual(t, base, parse(t, other, nil).Fingerprint(), other)
	}
}

func TestSummary(t *testing.T) {
	summary := parse(t, zoom("")+`
destinations: {crm: {events: ["zoom/*"], http: {url: "https://example.com/token-in-path"}}}
`, nil).Summary()
	require.Contains(t, summary, "secrets set (1)")
	require.Contains(t, summary, "https://example.com ")
	require.Contains(t, summary, "secrets not set")
	require.NotContains(t, summary, "token-in-path")
}
