package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/event"
)

// parse reads a configuration that must be good.
func parse(t *testing.T, text string, vars map[string]string) *config.Config {
	t.Helper()
	c, err := config.Parse(filepath.Join(t.TempDir(), "grapnel.yaml"), []byte(text), environment(vars))
	require.NoError(t, err)
	return c
}

// zoom is a configuration with one source, and more settings of it.
func zoom(settings string) string {
	return "sources:\n  zoom:\n    provider: zoom\n    secrets: [0123456789abcdef]\n" + settings
}

func TestDefaults(t *testing.T) {
	c := parse(t, zoom(""), nil)
	require.Equal(t, 720*time.Hour, c.Retention)
	require.Equal(t, 700*time.Millisecond, c.Ack.Budget)
	require.Equal(t, config.Size(10<<30), c.Spool.MaxBytes)
	require.Nil(t, c.TLS)
	s := c.Sources["zoom"]
	require.Equal(t, "zoom", s.Name)
	require.Equal(t, config.UnmatchedDeadLetter, s.Unmatched)
	require.Equal(t, config.DedupeFields, s.Dedupe.Mode, "the preset's own")
	require.NotEmpty(t, s.Dedupe.Fields)
	require.Equal(t, config.Size(1<<20), s.MaxBody)
	require.Equal(t, 200, s.AckStatus)
	require.Nil(t, s.Tolerance)
	require.False(t, s.AllowIPs.Given())
	require.NotNil(t, s.Verifier)
}

func TestFilesStandBesideTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte("0123456789abcdef"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "list"), []byte("192.0.2.0/24"), 0o600))
	for name, from := range map[string]string{"a relative file": "list", "one of this directory": "./list", "an absolute file": filepath.Join(dir, "list")} {
		t.Run(name, func(t *testing.T) {
			text := zoom("    allow_ips: {from: 'file:" + from + "'}\n    token: {header: x, value: 'file:key'}\n    require_https: true\n")
			c, err := config.Parse(filepath.Join(dir, "grapnel.yaml"), []byte("trusted_proxies: [10.0.0.0/8]\n"+text), environment(nil))
			require.NoError(t, err)
			require.Equal(t, "file:"+filepath.Join(dir, "list"), c.Sources["zoom"].AllowIPs.From)
			require.Equal(t, "0123456789abcdef", c.Sources["zoom"].Token.Value.Reveal())
			require.Len(t, c.Warnings(noon), 1, "the secret in the file, and none of the list")
		})
	}
}

func TestPayPalsWebhookIDStandsInEitherPlace(t *testing.T) {
	for name, text := range map[string]string{
		"as a setting": "params: {webhook_id: 1JE4291016473214C}",
		"as a secret":  "secrets: [1JE4291016473214C]",
		"in both":      "secrets: [1JE4291016473214C], params: {webhook_id: 2JE4291016473214C}",
	} {
		t.Run(name, func(t *testing.T) {
			c := parse(t, "sources: {paypal: {provider: paypal, "+text+"}}", nil)
			require.Empty(t, c.Warnings(noon), "it is no secret")
		})
	}
	t.Run("in none", func(t *testing.T) {
		_, err := config.Parse("grapnel.yaml", []byte("sources: {paypal: {provider: paypal}}"), environment(nil))
		require.ErrorContains(t, err, "sources.paypal.secrets: is missing")
	})
}

func TestEverySettingOfASourceArrives(t *testing.T) {
	c := parse(t, zoom(`
    events: [meeting.*, "recording.completed"]
    unmatched: ignore
    dedupe: {fields: [payload.object.uuid, {key: at, from: [event_ts, "body:ts"]}]}
    tolerance: 90s
    max_body: 512KB
    ack_status: 202
    basic_auth: {username: alice, password: "${PASSWORD}"}
    token: {header: X-Token, value: "${TOKEN}"}
    require_https: true
    allow_ips: {cidrs: [192.0.2.1, "2001:db8::/32", "::ffff:10.0.0.0/104"], from: "https://example.com/meta", refresh: 30m}
    rate_limit: {rate: 10.5, burst: 20}
    rate_limit_ip: {rate: 1}
    url: https://hooks.example.com/webhooks/zoom
    identity: {subject: "body:payload.object.topic"}
`), map[string]string{"PASSWORD": "open sesame", "TOKEN": "t0ken"})
	s := c.Sources["zoom"]
	require.Equal(t, []string{"meeting.*", "recording.completed"}, s.Events)
	require.Equal(t, config.UnmatchedIgnore, s.Unmatched)
	require.Equal(t, []event.Field{
		{Key: "payload.object.uuid", Paths: []string{"payload.object.uuid"}},
		{Key: "at", Paths: []string{"event_ts", "ts"}},
	}, s.Dedupe.Fields)
	require.Equal(t, config.Size(512_000), s.MaxBody)
	require.Equal(t, 202, s.AckStatus)
	require.Equal(t, "open sesame", s.BasicAuth.Password.Reveal())
	require.Equal(t, "t0ken", s.Token.Value.Reveal())
	require.Equal(t, []netip.Prefix{
		netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("10.0.0.0/8"),
	}, s.AllowIPs.CIDRs)
	require.Equal(t, 30*time.Minute, s.AllowIPs.Refresh)
	require.Equal(t, config.Rate{Rate: 10.5, Burst: 20}, s.RateLimit)
	p := s.Profile()
	require.Equal(t, 90*time.Second, p.Timestamp.Past, "the tolerance replaces the preset's")
	require.Equal(t, 90*time.Second, p.Timestamp.Future)
	require.Equal(t, "body:payload.object.topic", p.Identity.Subject)
	require.NotEmpty(t, p.Identity.Type, "what is not overridden stays the preset's")
}

func TestSecretsAreResolved(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte("of the file\r\n"), 0o600))
	c, err := config.Parse(filepath.Join(dir, "grapnel.yaml"), []byte(`
sources:
  zoom:
    provider: zoom
    secrets:
      - "${FIRST}"
      - "a-${MIDDLE}-z"
      - "$${LITERAL}$$ ${TRICKY}"
      - "file:key"
      - {value: "file:`+dir+`/key", valid_from: 2026-01-01, valid_until: 2026-02-01T10:00:00+01:00, key_id: k1}
      - 0123
      - >-
        one
        line
`), environment(map[string]string{"FIRST": "one", "MIDDLE": "two", "TRICKY": "${FIRST}"}))
	require.NoError(t, err)
	got := c.Sources["zoom"].Credentials()
	var values []string
	for _, s := range got {
		values = append(values, s.Value)
	}
	require.Equal(t, []string{
		"one", "a-two-z", "${LITERAL}$$ ${FIRST}", "of the file", "of the file", "0123", "one line",
	}, values)
	require.Equal(t, "k1", got[4].KeyID)
	require.Equal(t, time.Date(2026, 2, 1, 9, 0, 0, 0, time.UTC), got[4].Until.UTC())
	require.True(t, got[4].Active(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
}

func TestNoFormattingShowsASecret(t *testing.T) {
	const secret = "correct-horse-battery-staple"
	c := parse(t, `
rate_store: "redis://:${S}@localhost:6379/0"
sources:
  zoom:
    provider: zoom
    secrets: ["${S}"]
    basic_auth: {username: a, password: "${S}"}
    token: {header: X, value: "${S}"}
  own:
    verify: {algorithm: token, signature: {headers: [x-token], encoding: text}, settings: [{name: p}], params: {p: "${S}"}}
    secrets: [{value: "${S}"}]
destinations:
  crm:
    events: ["zoom/*"]
    http: {url: "https://u:${S}@example.com/${S}?t=${S}", headers: {X-Key: "Bearer ${S}"}}
`, map[string]string{"S": secret})
	d, s, own := c.Destinations["crm"], c.Sources["zoom"], c.Sources["own"]
	shown := []string{c.Summary(), fmt.Sprint(c.Warnings(noon)), c.Fingerprint()}
	for _, v := range []any{c, *c, s, *s, *own, s.Secrets, s.Secrets[0].Value, *s.BasicAuth, *s.Token, d, *d, *d.HTTP} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			shown = append(shown, fmt.Sprintf(verb, v))
		}
		encoded, err := json.Marshal(v)
		require.NoError(t, err)
		shown = append(shown, string(encoded))
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s.Secrets[0].Value, "source", s, "config", c)
	for _, text := range append(shown, log.String()) {
		require.NotContains(t, text, secret)
		require.NotContains(t, strings.ToLower(text), fmt.Sprintf("%x", secret))
	}
	require.Equal(t, secret, s.Secrets[0].Value.Reveal())
	require.Equal(t, "set", s.Secrets[0].Value.String())
	require.Equal(t, "not set", config.Secret{}.String())
}

func TestDestinations(t *testing.T) {
	const signing = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
	c := parse(t, zoom("")+`
destinations:
  full:
    events: ["zoom/meeting.*", "stripe/*"]
    http: {url: "http://127.0.0.1:9999/x", secrets: [`+signing+`], timeout: 2s, headers: {X-Tenant: a}}
    retry: {attempts: 3, initial: 1s, max: 1m}
    allow_private: [127.0.0.0/8]
  plain:
    events: ["*"]
    http: {url: "https://example.com/"}
  scheduled:
    events: ["zoom/*"]
    http: {url: "https://example.com/"}
    retry: {attempts: 8, initial: 5s, multiplier: 0, max: 10h, schedule: [1s, 2m]}
`, nil)
	full := c.Destinations["full"]
	require.Equal(t, []string{"zoom/meeting.*", "stripe/*"}, full.Events)
	require.Equal(t, event.Retry{Attempts: 3, Initial: time.Second, Max: time.Minute, Multiplier: 2, Jitter: 0.2}, full.Retry,
		"rests of one's own take the place of the default schedule")
	require.Equal(t, "full", full.Name)
	require.Len(t, full.HTTP.Secrets, 1)
	require.Equal(t, signing, full.HTTP.Secrets[0].Reveal())
	require.Equal(t, "a", full.HTTP.Headers["X-Tenant"].Reveal())
	require.Equal(t, 2*time.Second, full.HTTP.Timeout)
	plain := c.Destinations["plain"]
	require.Equal(t, 5*time.Second, plain.HTTP.Timeout)
	require.Equal(t, 11, plain.Retry.Attempts)
	require.Len(t, plain.Retry.Schedule, 10)
	require.Equal(t, []time.Duration{time.Second, 2 * time.Minute}, c.Destinations["scheduled"].Retry.Schedule)
}

// A circuit would keep an event waiting that its owner wants to see dead after its only attempt.
func TestOneAttemptHasNoCircuitUnlessTheFileAsksForIt(t *testing.T) {
	for name, c := range map[string]struct {
		settings string
		ratio    float64
	}{
		"several attempts":              {"", 0.5},
		"one attempt":                   {", retry: {attempts: 1}", 0},
		"one attempt and a breaker":     {", retry: {attempts: 1}, breaker: {open: 3s}", 0.5},
		"several attempts, breaker off": {", breaker: {failure_ratio: 0}", 0},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := parse(t, zoom("")+`
destinations: {crm: {events: ["zoom/*"], http: {url: "https://example.com/"}`+c.settings+`}}
`, nil)
			require.InDelta(t, c.ratio, cfg.Destinations["crm"].Breaker.FailureRatio, 0)
		})
	}
}

func TestAnchorsAndMerges(t *testing.T) {
	c := parse(t, `
sources:
  zoom: &base
    provider: zoom
    secrets: &keys [0123456789abcdef]
    max_body: 2KiB
  second:
    <<: *base
    max_body: 3KiB
  third:
    provider: zoom
    secrets: *keys
`, nil)
	require.Equal(t, config.Size(2<<10), c.Sources["zoom"].MaxBody)
	require.Equal(t, config.Size(3<<10), c.Sources["second"].MaxBody)
	require.Equal(t, "0123456789abcdef", c.Sources["third"].Credentials()[0].Value)
}

func TestLoadOfAFileThatIsNotThere(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"), environment(nil))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "GRAPNEL_CONFIG")
}

// Samples of this machine are taken by a receiver that this machine alone reaches.
func TestDevelopmentIsForThisMachineAlone(t *testing.T) {
	const sns = "sources:\n  sns:\n    provider: aws-sns\n    development: true\n"
	none := func(string) (string, bool) { return "", false }
	for name, test := range map[string]struct{ text, fault string }{
		"behind a proxy":      {"trusted_proxies: [10.0.0.0/8]\n" + sns, "proxies before it"},
		"at another address":  {sns + "    url: https://hooks.example.com/sns\n", "address of elsewhere"},
		"where TLS is wanted": {sns + "    require_https: true\n", "TLS"},
		"a shared secret":     {"sources:\n  zoom: {provider: zoom, development: true, secrets: [a-secret-of-the-tests]}\n", "has no effect"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("grapnel.yaml", []byte(test.text), none)
			require.ErrorContains(t, err, test.fault)
		})
	}
	c, err := config.Parse("grapnel.yaml", []byte(sns), none)
	require.NoError(t, err)
	for listen, ok := range map[string]bool{
		"127.0.0.1:8080": true, "localhost:8080": true, "[::1]:8080": true,
		":8080": false, "0.0.0.0:8080": false, "192.0.2.1:8080": false, "[::]:8080": false, "": false, "example.com:8080": false,
	} {
		err := c.CheckDevelopment(listen)
		require.Equal(t, ok, err == nil, listen)
		if !ok {
			require.ErrorContains(t, err, "grapnel.yaml:4:")
		}
	}
	require.Contains(t, fmt.Sprint(c.Warnings(time.Now())), "samples that this machine has signed count")
}

// All that is wrong with a verify block is told at once, also where a part of it can't be
// read.
func TestAllFaultsOfAVerifyBlockAreToldAtOnce(t *testing.T) {
	_, err := config.Parse("grapnel.yaml", []byte(`sources:
  shop:
    secrets: [a-secret-of-the-tests]
    verify:
      algorithm: hmac-sha257
      contents: "{body}"
      signature: {headers: ["X Sig"], encoding: hexx, grammar: kv}
      timestamp: {past: -1h}
      dedupe: idd
      body: xml
      ack: {status: 404}
`), func(string) (string, bool) { return "", false })
	require.Error(t, err)
	for _, want := range []string{":5:", ":6:", "contents", "hmac-sha257", "idd", "xml", "ack.status"} {
		require.ErrorContains(t, err, want)
	}
	require.GreaterOrEqual(t, strings.Count(err.Error(), "\n")+1, 5, err.Error())
}

func TestTheAddressOfAPrometheus(t *testing.T) {
	for address, fault := range map[string]string{
		"":                                   "",
		"http://prometheus:9090":             "",
		"https://metrics.example.com/prom/":  "",
		"prometheus:9090":                    "must be the address",
		"ftp://prometheus":                   "must be the address",
		"http://":                            "must be the address",
		"http://pro%zz":                      "must be the address",
		"http://u:hunter2@prometheus":        "must not hold a user or password",
		"http://prometheus/?token=hunter2":   "must end before the ? or #",
		"http://prometheus/#hunter2":         "must end before the ? or #",
		"http://u:hunter2@prometheus:hunter": "must be the address",
	} {
		t.Run(address, func(t *testing.T) {
			c, err := config.Parse("", []byte(fmt.Sprintf("console: {prometheus: %q}", address)), os.LookupEnv)
			if fault == "" {
				require.NoError(t, err)
				require.Equal(t, address, c.Console.Prometheus)
				return
			}
			require.ErrorContains(t, err, fault)
			require.NotContains(t, err.Error(), "hunter")
		})
	}
}
