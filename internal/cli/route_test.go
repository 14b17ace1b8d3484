package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const routeFile = `
sources:
  shop: {provider: github, secrets: ["a-secret-of-the-shop"], keep_headers: [X-Plan]}
  quiet: {provider: github, secrets: ["a-secret-of-the-quiet"], unmatched: ignore, events: [push]}
destinations:
  crm:
    events: ["shop/*"]
    when: "body.amount > 10 && headers['x-plan'] == 'gold'"
    transform: {body: "{'n': body.amount, 'token': headers['x-plan']}", headers: {X-Amount: "body.amount"}}
    http:
      url: "https://crm.example.com/hooks?key=key-of-the-crm"
      secrets: ["whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1u"]
      headers: {Authorization: "Bearer token-of-the-crm"}
  erp: {events: ["shop/refund"], http: {url: "https://erp.example.com/"}}
  orders:
    events: ["shop/push"]
    workflow: {id: "order-{{.body.order}}", type: Order, task_queue: orders, signal: "{{.type}}", start: true, args: ["{{.body.amount}}"]}
`

// routed runs route with a configuration and an event on standard input.
func routed(t *testing.T, file, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "grapnel.yaml")
	require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
	r := runWith(t, in, []string{"GRAPNEL_CONFIG=" + path}, append([]string{"route"}, args...)...)
	return r.code, r.out, r.err
}

func request(source, plan, body string) string {
	return "POST /webhooks/" + source + " HTTP/1.1\r\nHost: hooks.example.com\r\nContent-Type: application/json\r\n" +
		"X-GitHub-Event: push\r\nX-Plan: " + plan + "\r\n\r\n" + body
}

func TestRouteSaysWhichRoutesAnEventTakesAndWhatWouldBeSent(t *testing.T) {
	code, out, _ := routed(t, routeFile, request("shop", "gold", `{"amount": 11, "order": "7"}`), "-")
	require.Zero(t, code, out)
	for _, want := range []string{
		"is handled by the routes that take it",
		"takes  destination crm: takes shop/*, and its condition holds",
		"POST https://crm.example.com/hooks\n", "X-Amount: 11", `{"n":11,"token":"gold"}`, "Authorization: ***", "Webhook-Signature: ***",
		"not    destination erp: none of its patterns matches",
		"takes  destination orders: takes shop/push", "signal push to workflow order-7, started as Order on orders where it is not there", "\n11\n",
	} {
		require.Contains(t, out, want)
	}
	for _, secret := range []string{"of-the-crm", "MDEyMzQ1Njc4", "v1,"} {
		require.NotContains(t, out, secret)
	}
}

func TestRouteTellsWhatBecomesADeadLetter(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		args []string
		code int
		want []string
	}{
		"a condition that does not hold": {
			request("shop", "gold", `{"amount": 1, "order": "7"}`), nil, 0, []string{"not    destination crm: takes shop/*, and its condition does not hold"},
		},
		"a condition that fails": {
			request("shop", "gold", `{"order": "7"}`), nil, 1,
			[]string{"fails  destination crm: takes shop/*, and its condition fails", "no such key: amount", "becomes a dead letter: a route fails"},
		},
		"a body alone": {`{"amount": 11}`, []string{"--source", "shop", "--type", "refund"}, 1, []string{"no such key: x-plan", "takes  destination erp"}},
		"a name that can't be made": {
			request("shop", "gold", `{"amount": 11}`), nil, 1, []string{`the id of its workflow can't be made: map has no entry for key "order"`},
		},
		"an event that no route takes, of a source that ignores": {request("quiet", "a", `{}`), nil, 0, []string{"is ignored: no route takes it"}},
		"an event that the receiver ignores": {
			`{}`, []string{"--source", "quiet", "--type", "pull"}, 0, []string{"ignored by the receiver"},
		},
		"a control character": {
			request("shop", "gold", `{"amount": 11, "order": "\u001b[2J"}`), nil, 1, []string{"control characters"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := routed(t, routeFile, c.in, append(c.args, "-")...)
			require.Equal(t, c.code, code, out+errs)
			for _, want := range c.want {
				require.Contains(t, out, want)
			}
		})
	}
}

func TestRouteWritesJSONAndRefusesWhatItCannotRead(t *testing.T) {
	code, out, _ := routed(t, routeFile, request("shop", "gold", `{"amount": 11, "order": "7"}`), "--json", "-")
	require.Zero(t, code)
	var got struct {
		OK     bool
		Routes []struct {
			Name  string
			Takes bool
			Body  string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.True(t, got.OK)
	require.JSONEq(t, `{"n":11,"token":"gold"}`, got.Routes[0].Body)
	for want, args := range map[string][]string{
		"name the file of an event":     {},
		"say by --source whose it is":   {"-"},
		"no source \"shopp\"":           {"--source", "shopp", "-"},
		"64 hexadecimal digits":         {"--event", "x"},
		"leave --source and --type out": {"--event", strings.Repeat("a", 64), "--source", "shop"},
	} {
		code, _, errs := routed(t, routeFile, `{}`, args...)
		require.Equal(t, 2, code, errs)
		require.Contains(t, errs, want)
	}
}
