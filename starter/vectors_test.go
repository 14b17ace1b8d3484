package starter_test

import (
	"bufio"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/starter"
)

// Faults of what no configuration may say, and the topic of SNS.
const (
	noWindow = "must be between 1s and 1d"
	noSecret = "without a secret every event would be refused"
	emptyKey = "empty"
	snsTopic = "arn:aws:sns:us-west-2:131990247566:dongie-standard-topic"
)

// deviation is why vectors are judged otherwise at the door. fault is what
// config.Parse says of their settings: a window that is off is then met by the
// clock (unix seconds; 0: the vector's), any secret stands for none, and an empty
// one has no door. outcome is the refusal, where it is not the vector's verdict.
type deviation struct {
	ids, fault string
	clock      int64
	outcome    string
}

// deviations are all of vectors.json.
var deviations = []deviation{
	{ids: "gitlab-05 standard-webhooks-18", fault: emptyKey},
	{ids: "cloudevents-03 dropbox-01", fault: noSecret},
	{ids: "standard-webhooks-16", fault: noWindow, clock: 946684800},
	{ids: "paddle-04", fault: noWindow, clock: 9876},
	{ids: "sendgrid-01 sendgrid-03 sendgrid-05", fault: noWindow, clock: 1600112502},
	{ids: "sendgrid-02", fault: noWindow, clock: 1619651159},
	{ids: "mailgun-01 mailgun-02 mailgun-04 mailgun-07 zendesk-04 paypal-04 paypal-05", fault: noWindow},
	// It counts milliseconds where Zoom counts seconds: a time 54,000 years ahead is none.
	{ids: "zoom-01", fault: noWindow, clock: 1697204592, outcome: "malformed-timestamp"},
	// Their times are not written as the senders write them, or are not there,
	// which only a window notices.
	{ids: "sendgrid-07 zendesk-01 zendesk-02 zendesk-03", fault: noWindow, outcome: "malformed-timestamp"},
	{ids: "linear-01 linear-04 linear-05", fault: noWindow, outcome: "missing-timestamp"},
	// A certificate of PayPal's that is fetched must lead to a root, and the
	// vectors have it without its chain.
	{ids: "paypal-01 paypal-02 paypal-03", fault: noWindow, outcome: "unknown-key"},
	// The signature is right, but these senders send JSON and the vectors do not.
	{ids: "paddle-11", fault: noWindow, outcome: "json"},
	{ids: "x-01 x-03 hubspot-04 bitbucket-01 jira-01 shopify-02 shopify-05 shopify-06 typeform-03 intercom-03 sentry-03 docusign-03", outcome: "json"},
}

func TestVectorsOverASocket(t *testing.T) {
	differ := map[string]deviation{}
	for _, d := range deviations {
		for id := range strings.FieldsSeq(d.ids) {
			differ["vectors/"+id] = d
		}
	}
	for _, file := range []string{"vectors", "derived"} {
		text, err := os.ReadFile("../internal/provider/testdata/" + file + ".json")
		require.NoError(t, err)
		var vectors []provider.Vector
		require.NoError(t, json.Unmarshal(text, &vectors))
		t.Run(file, func(t *testing.T) {
			for i := range vectors {
				key := file + "/" + vectors[i].ID
				t.Run(vectors[i].ID, func(t *testing.T) { judge(t, &vectors[i], differ[key]) })
				delete(differ, key)
			}
		})
	}
	require.Empty(t, differ, "these are no vectors")
}

// judge sends a vector to a door of its own and compares what becomes of it.
func judge(t *testing.T, x *provider.Vector, d deviation) {
	secrets, tolerance := x.Secrets, string(x.Config.Tolerance)
	if d.fault != "" || tolerance == "null" {
		if require.NotEmpty(t, d.fault); d.fault == noWindow {
			tolerance = "0"
		}
		_, err := config.Parse("grapnel.yaml", configOf(x, secrets, tolerance), os.LookupEnv)
		require.ErrorContains(t, err, d.fault)
		if tolerance = ""; d.fault == emptyKey {
			return
		}
	}
	if d.fault == noSecret {
		secrets = []string{goodSecret}
	}
	heard, with := listen()
	network := func(o *starter.Options) { o.Transport = document(x.Config.CertificatePEM) }
	w, engine := openFake(t, string(configOf(x, secrets, tolerance)), with, network)
	now := int64(1_700_000_000)
	if x.Now != nil {
		now = *x.Now
	}
	w.now.nanos.Store(time.Unix(cmp.Or(d.clock, now), 0).UnixNano())
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(w.raw(t, wire(t, x)))), nil)
	require.NoError(t, err)
	got, a := read(t, res), <-heard.heard
	reason, invalid := strings.CutPrefix(x.Expect, "invalid:")
	if d.outcome != "" {
		reason, invalid = d.outcome, true
	}
	if invalid {
		require.GreaterOrEqual(t, got.status, 400, got.body)
		require.Equal(t, reason, strings.TrimPrefix(a.Outcome, "handshake-"), a.Detail)
	} else {
		require.Equal(t, 2, got.status/100, "%s: %s", a.Outcome, a.Detail)
		require.Contains(t, []string{"started", "handshake"}, a.Outcome)
	}
	starts, _, _ := engine.calls()
	require.Equal(t, a.Outcome == "started", starts > 0)
	answers(t, cmp.Or(x.ExpectResponse, &provider.VectorResponse{Status: got.status}), got)
}

// answers compares an answer with the one that the sender must get.
func answers(t *testing.T, want *provider.VectorResponse, got reply) {
	t.Helper()
	require.Equal(t, want.Status, got.status)
	require.Equal(t, cmp.Or(want.ContentType, got.header.Get("Content-Type")), got.header.Get("Content-Type"))
	for name, value := range want.Headers {
		require.Contains(t, []string{value, "*"}, got.header.Get(name), name) // CloudEvents: * grants any.
	}
	require.Equal(t, *cmp.Or(want.Body, &got.body), got.body)
}

// configOf is the configuration of a vector's source, JSON being YAML too. The
// query of a URL comes with the request.
func configOf(x *provider.Vector, secrets []string, tolerance string) []byte {
	url, _, _ := strings.Cut(cmp.Or(x.Config.URL, "https://example.com"+x.Path), "?")
	params := map[string]string{"webhook_id": x.Config.WebhookID, "token_header": x.Config.TokenHeader}
	if x.Scheme == "aws-sns" { // It confirms subscriptions to configured topics only.
		params["topics"] = snsTopic
	}
	maps.DeleteFunc(params, func(_, value string) bool { return value == "" })
	source := map[string]any{"provider": x.Scheme, "dedupe": "none", "url": url}
	if tolerance != "" {
		source["tolerance"] = tolerance + "s"
	}
	list := make([]map[string]string, len(secrets))
	for i, s := range secrets {
		list[i] = map[string]string{"value": s, "key_id": strings.Trim(string(x.Config.KeyID), `"`)}
	}
	source["secrets"], source["params"] = list, params
	text, _ := json.Marshal(map[string]any{"sources": map[string]any{"v": source}})
	return text
}

// wire is a vector's request, its headers and body byte for byte.
func wire(t *testing.T, x *provider.Vector) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(x.BodyBase64)
	require.NoError(t, err)
	body := cmp.Or(string(raw), x.Body)
	_, inPath, _ := strings.Cut(x.Path, "?")
	_, inURL, _ := strings.Cut(x.Config.URL, "?")
	b := &strings.Builder{}
	fmt.Fprintf(b, "%s /webhooks/v?%s HTTP/1.1\r\nHost: 127.0.0.1\r\n", x.Method, cmp.Or(inPath, inURL))
	for _, name := range slices.Sorted(maps.Keys(x.Headers)) {
		fmt.Fprintf(b, "%s: %s\r\n", name, x.Headers[name])
	}
	if body != "" || x.Method == http.MethodPost {
		fmt.Fprintf(b, "Content-Length: %d\r\n", len(body))
	}
	return b.String() + "\r\n" + body
}

type document string // A network that holds nothing else.

func (d document) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(d)))}, nil
}
