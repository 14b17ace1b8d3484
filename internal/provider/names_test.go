package provider_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

func TestSendersAreFoundByTheirOtherNames(t *testing.T) {
	for alias, name := range map[string]string{
		"svix": "standard-webhooks", "clerk": "standard-webhooks", "resend": "standard-webhooks", "openai": "standard-webhooks",
		"meta-handshake": "meta", "whatsapp": "meta", "x-crc": "x", "twitter": "x", "dropbox-handshake": "dropbox",
		"cloudevents-handshake": "cloudevents", "cloudevents-query-token": "cloudevents", "graph": "microsoft-graph",
		"plivo": "plivo-v2", "hubspot": "hubspot-v3", "adyen": "adyen-payments", "sns": "aws-sns", "pubsub": "google-pubsub",
		"qq": "qqbot", "Zoom": "zoom",
	} {
		p, ok := provider.Lookup(alias)
		require.True(t, ok, alias)
		require.Equal(t, name, p.Name)
	}
	_, ok := provider.Lookup("nobody")
	require.False(t, ok)
	_, ok = provider.Get("")
	require.False(t, ok)
}

func TestEveryPresetIsDocumented(t *testing.T) {
	table := provider.Table()
	for _, name := range provider.Names() {
		text, ok := provider.Doc(name)
		require.True(t, ok)
		for _, part := range []string{"- Paste: ", "- Secret: ", "- Sender expects: ", "- Sender retries: ", "- Samples: "} {
			require.Contains(t, text, part, name)
		}
		require.NotContains(t, text, "—")
		require.Contains(t, table, "| "+name+" |")
	}
	for line := range strings.SplitSeq(strings.TrimSpace(table), "\n") {
		require.Equal(t, 8, strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"), line)
	}
	_, ok := provider.Doc("nobody")
	require.False(t, ok)
}

func TestNoIDComesFromWhereTheSignatureDoesNotReach(t *testing.T) {
	for _, name := range provider.Names() {
		v := compile(t, name)
		p := v.Profile()
		if p.Dedupe == "id" {
			require.True(t, v.Covers(p.Identity.ID), "%s: %s", name, p.Identity.ID)
		}
		for _, f := range p.Fields {
			for _, path := range f.From {
				require.True(t, v.Covers("body:"+path), name)
			}
		}
	}
}

func TestNoPresetSignsAnEventForAStranger(t *testing.T) {
	for _, name := range provider.Names() {
		v := compile(t, name)
		for _, h := range v.Profile().Handshakes {
			if h.Signed || !strings.Contains(h.Answer.Body, "{hmac:") {
				continue
			}
			t.Run(name+"/"+h.Name, func(t *testing.T) {
				source := strings.TrimPrefix(h.Challenge, "query:")
				r := &verify.Request{Method: h.Match.Method, Query: source + "=v0%3A1700000000%3A%7B%7D", Header: verify.HTTPHeader{}}
				a, err := v.Handshake(r, []verify.Secret{{Value: "k"}}, verify.Unsigned, verify.Options{})
				require.NoError(t, err)
				require.Equal(t, 400, a.Status)
			})
		}
	}
}

func TestSamplesOfOneSeedAreEqualAndOfTwoDiffer(t *testing.T) {
	at := clock()
	for _, name := range provider.Names() {
		one, err := provider.NewSample(name, "", "a", at)
		require.NoError(t, err)
		same, err := provider.NewSample(name, "", "a", at)
		require.NoError(t, err)
		require.Equal(t, one, same)
		require.NotContains(t, string(one.Body), "${")
	}
	_, err := provider.NewSample("zoom", "no.such", "a", at)
	require.ErrorContains(t, err, "meeting.started")
	_, err = provider.NewSample("nobody", "", "a", at)
	require.Error(t, err)
}
