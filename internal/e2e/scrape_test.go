package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

// everyPreset is a source of each preset, as whoever tries them all writes them.
func everyPreset(t *testing.T) (file string, compiled map[string]*verify.Verifier) {
	t.Helper()
	var text strings.Builder
	text.WriteString("sources:\n")
	compiled = map[string]*verify.Verifier{}
	for _, name := range provider.Names() {
		p, ok := provider.Get(name)
		require.True(t, ok)
		v, err := provider.Compile(p)
		if err != nil { // It asks for params.
			p.Params = map[string]string{}
			for _, s := range p.Settings {
				p.Params[s.Name] = map[string]string{"audience": "a", "email": "e", "app_id": "a"}[s.Name]
			}
			v, err = provider.Compile(p)
		}
		require.NoError(t, err, name)
		fmt.Fprintf(&text, "  %s:\n    provider: %s\n", name, name)
		if len(p.Params) > 0 {
			list, err := json.Marshal(p.Params)
			require.NoError(t, err)
			fmt.Fprintf(&text, "    params: %s\n", list)
		}
		secret := map[string]string{"paypal": "8PT597110X687430LKGECATA", "microsoft-graph-rich": "the-state-that-we-gave"}[name]
		own := provider.HasOwnKey(v) || secret != ""
		if own {
			text.WriteString("    development: true\n")
		}
		if !own && p.Algorithm != "none" {
			pair, err := provider.NewKeyPair(v.Profile())
			require.NoError(t, err, name)
			secret = string(pair.Signs)
		}
		if secret != "" {
			fmt.Fprintf(&text, "    secrets: [%q]\n", secret)
		}
		compiled[name] = v
	}
	text.WriteString("destinations:\n")
	return text.String(), compiled
}

// A scrape stays small with every sender that there is a preset for, each with events, repeats
// and refusals, twenty destinations of which some fail, and dead letters.
func TestAScrapeOfAProcessWithEveryPresetIsSmall(t *testing.T) {
	t.Parallel()
	file, compiled := everyPreset(t)
	for i := range 20 {
		file += fmt.Sprintf("  destination-%02d: {events: [\"*/*\"], allow_private: [127.0.0.1], retry: {attempts: 1}, http: {url: \"http://127.0.0.1:9/\"}}\n", i)
	}
	h := newHome(t, file)
	p := h.start(t, "up")
	post := func(method, source, body string) int {
		r, err := http.NewRequestWithContext(t.Context(), method, p.receiver+"/webhooks/"+source, strings.NewReader(body))
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, errors.Join(err, res.Body.Close()))
		return res.StatusCode
	}
	var sources []string
	for name, v := range compiled {
		sources = append(sources, name)
		out, code := h.run(t, "send", name, "--duplicate", "--url", p.receiver)
		require.Zero(t, code, "%s: %s", name, out)
		if v.Profile().Algorithm != "none" {
			_, _ = h.run(t, "send", name, "--forge", "--url", p.receiver)
			require.GreaterOrEqual(t, post(http.MethodPost, name, `{"x":1}`), 400, name)
		}
		require.GreaterOrEqual(t, post(http.MethodPut, name, ""), 400, name)
		require.GreaterOrEqual(t, post(http.MethodPost, name, strings.Repeat("x", 2<<20)), 400, name)
	}
	slices.Sort(sources)
	require.Len(t, sources, 81)
	require.Equal(t, http.StatusNotFound, post(http.MethodPost, "wp-login.php", "{}"))
	var scrape string
	until(t, "the dead letters are counted", func() bool {
		status, text := p.call(t, http.MethodGet, "/metrics", "")
		require.Equal(t, http.StatusOK, status)
		scrape = text
		return strings.Count(text, "\ngrapnel_open_dead_letters{") >= 70
	})
	t.Logf("%d bytes, %d lines", len(scrape), strings.Count(scrape, "\n"))
	require.Less(t, len(scrape), 100<<10)
	for _, source := range sources {
		require.Contains(t, scrape, `source="`+source+`"`)
	}
	require.NotContains(t, scrape, "wp-login")
}
