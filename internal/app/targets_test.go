package app_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/activities/handler"
	"github.com/grapnel/grapnel/internal/app"
)

func nothing(context.Context, handler.Event[[]byte]) error { return nil }

// world is a program with its own handlers and a configuration.
func world(t *testing.T, yaml string, bind handler.Bind, environ ...string) app.World {
	t.Helper()
	path := filepath.Join(t.TempDir(), "grapnel.yaml")
	require.NoError(t, os.WriteFile(path, []byte(yaml), 0o600))
	return app.World{
		Environ: append([]string{"GRAPNEL_CONFIG=" + path, "GRAPNEL_DATA_DIR=" + t.TempDir()}, environ...),
		Stdin:   strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{},
		Bind: []handler.Bind{bind},
	}
}

func TestEachTargetNamesTheSourcesThatReachIt(t *testing.T) {
	w := world(t, `
sources:
  shop: {provider: generic-token, secrets: [a-token-for-the-tests], events: [order.*]}
  zoom: {provider: zoom, secrets: [a-secret-for-the-tests]}
examples: [meetings]
destinations:
  crm: {events: ["zoom/meeting.*", "shop/*"], http: {url: "https://crm.example.com"}}
  lost: {events: ["shop/refund.*", "github/push"], http: {url: "https://crm.example.com"}}
`, func(table *handler.Table, _ handler.Deps) {
		handler.On(table, "shop", "order.paid", nothing)
		handler.On(table, "*", "order.late", nothing)
		handler.On(table, "strpe", "invoice.paid", nothing)
		handler.On(table, "stripe", "invoice.paid", nothing)
		handler.On(table, "qqqqqqqq", "*", nothing)
		handler.On(table, "shop", "refund.made", nothing)
	})
	_, cfg, err := w.Configuration()
	require.NoError(t, err)
	targets, err := w.Targets(cfg)
	require.NoError(t, err)
	got := map[string]app.Target{}
	for _, target := range targets {
		got[target.Name] = target
	}
	for name, want := range map[string]struct {
		sources []string
		fault   string
	}{
		"shop/order/paid":      {sources: []string{"shop"}},
		"*/order/late":         {sources: []string{"shop", "zoom"}},
		"zoom/meeting/started": {sources: []string{"zoom"}},
		"crm":                  {sources: []string{"shop", "zoom"}},
		"strpe/invoice/paid":   {fault: "there is no source strpe; did you mean stripe?"},
		"stripe/invoice/paid":  {fault: "there is no source stripe; add it with its preset"},
		"qqqqqqqq/*":           {fault: "no preset of that name"},
		"shop/refund/made":     {fault: "the events of source shop are order.*, which do not include refund.made"},
		"lost":                 {fault: "which do not include refund.*; there is no source github; add it with its preset"},
	} {
		t.Run(name, func(t *testing.T) {
			require.ElementsMatch(t, want.sources, got[name].Sources)
			if want.fault == "" {
				require.Empty(t, got[name].Fault)
			}
			require.Contains(t, got[name].Fault, want.fault)
		})
	}
	require.Regexp(t, `^handler strpe/invoice/paid \(app/targets_test\.go:\d+\)$`, got["strpe/invoice/paid"].String())
}

func TestABindingThatCanNotBeUsedEndsTheProcessBeforeAnythingRuns(t *testing.T) {
	w := world(t, "sources:\n  zoom: {provider: zoom, secrets: [a-secret-for-the-tests]}\n",
		func(table *handler.Table, _ handler.Deps) {
			handler.On(table, "zoom", "meeting.started", nothing)
			handler.On(table, "zoom", "meeting.started", nothing)
		}, "TEMPORAL_CLI=/there/is/none")
	err := w.Serve(t.Context(), app.Parts{Receiver: true, Worker: true, Engine: true})
	require.ErrorContains(t, err, `the name "zoom/meeting/started" is taken by the handler bound at app/targets_test.go:`)
	require.ErrorContains(t, err, "give one of the two another with handler.Name")
	require.NotContains(t, err.Error(), "/there/is/none", "no engine was looked for")
}

func TestAHalfWithoutATemporalSaysWhatToDo(t *testing.T) {
	w := world(t, "sources:\n  zoom: {provider: zoom, secrets: [a-secret-for-the-tests]}\n", func(*handler.Table, handler.Deps) {})
	for name, parts := range map[string]app.Parts{"starter": {Receiver: true}, "worker": {Worker: true}} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, w.Serve(t.Context(), parts), "set TEMPORAL_ADDRESS")
		})
	}
}
