package verify_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
)

func TestCompileReportsEveryFaultAtOnce(t *testing.T) {
	p := verify.Profile{
		Algorithm: "hmac-sha256", Key: "rot13", Content: "{bodyy}", Body: "xml", Dedupe: "maybe",
		Signature: verify.Signature{Grammar: "kv", Encoding: "base32"},
		Timestamp: verify.Timestamp{Past: -1},
		Guards:    []verify.Guard{{}},
		Ack:       verify.Ack{Status: 404},
	}
	_, err := p.Compile(nil)
	var faults verify.Faults
	require.ErrorAs(t, err, &faults)
	var fields []string
	for _, f := range faults {
		fields = append(fields, f.Field)
		require.NotEmpty(t, f.Text)
	}
	require.ElementsMatch(t, []string{
		"content", "signature.encoding", "signature", "signature.keys", "timestamp", "key", "body", "dedupe", "ack.status", "guards[0]",
	}, fields)
	require.Contains(t, err.Error(), "key: \"rot13\" is unknown")
}

func TestFaultsOfAProfile(t *testing.T) {
	for _, c := range []struct {
		name, field string
		change      func(*verify.Profile)
	}{
		{"an unknown algorithm", "algorithm", func(p *verify.Profile) { p.Algorithm = "md5" }},
		{"no algorithm", "algorithm", func(p *verify.Profile) { p.Algorithm = "" }},
		{"a plain hash without the secret", "content", func(p *verify.Profile) { p.Algorithm = "sha256" }},
		{"the secret in an HMAC's content", "content", func(p *verify.Profile) { p.Content = "{secret}{body}" }},
		{"a public key for an HMAC", "key", func(p *verify.Profile) { p.Key = "whpk" }},
		{"ECDSA without spki", "key", func(p *verify.Profile) { p.Algorithm = "ecdsa-p256-sha256" }},
		{"an id without a source", "message_id", func(p *verify.Profile) { p.Content = "{id}{body}" }},
		{"a timestamp without a source", "timestamp.from", func(p *verify.Profile) { p.Content = "{timestamp}{body}" }},
		{"a kv pair without kv", "timestamp.from", func(p *verify.Profile) { p.Timestamp.From = "key:t" }},
		{"a header name with a space", "signature.headers", func(p *verify.Profile) { p.Signature.Headers = []string{"X Y"} }},
		{"a pattern without {n}", "signature.pattern", func(p *verify.Profile) { p.Signature.Pattern = "X-Sig-" }},
		{"a prefix on kv", "signature.prefix", func(p *verify.Profile) {
			p.Signature.Grammar, p.Signature.Keys, p.Signature.Prefix = "kv", []string{"v1"}, "x"
		}},
		{"keys per header on aliases", "signature.key_per_header", func(p *verify.Profile) { p.Signature.KeyPerHeader = true }},
		{"credentials in a list", "signature.grammar", func(p *verify.Profile) {
			p.Algorithm, p.Signature.Grammar, p.Signature.Keys = "token", "kv", []string{"v1"}
		}},
		{"an id that is not signed", "identity.id", func(p *verify.Profile) { p.Dedupe, p.Identity.ID = "id", "header:X-Delivery" }},
		{"dedupe by an id that has no source", "dedupe", func(p *verify.Profile) { p.Dedupe = "id" }},
		{"dedupe by no fields", "dedupe", func(p *verify.Profile) { p.Dedupe = "fields" }},
		{"a field that is not signed", "fields[0].from", func(p *verify.Profile) {
			p.Content, p.Dedupe = "{json:a}", "fields"
			p.Fields = []verify.Field{{Key: "k", From: []string{"b"}}}
		}},
		{"a source of no kind", "identity.type", func(p *verify.Profile) { p.Identity.Type = "cookie:x" }},
		{"unescaping what changes the URL", "url_unescape", func(p *verify.Profile) { p.URLUnescape = "&" }},
		{"a window first without a window", "timestamp.window_first", func(p *verify.Profile) { p.Timestamp.WindowFirst = true }},
		{"a param that nobody knows", "params.x", func(p *verify.Profile) { p.Params = map[string]string{"x": "y"} }},
		{"a param that is needed", "params.x", func(p *verify.Profile) {
			p.Settings = []verify.Setting{{Name: "x", Doc: "the x", Required: true}}
		}},
		{"a handshake that takes every event", "handshakes[0].match", func(p *verify.Profile) {
			p.Handshakes = []verify.Handshake{{Name: "h"}}
		}},
		{"a handshake without a name", "handshakes[0].name", func(p *verify.Profile) {
			p.Handshakes = []verify.Handshake{{Challenge: "query:c"}}
		}},
		{"a signed answer without a challenge", "handshakes[0].challenge", func(p *verify.Profile) {
			p.Handshakes = []verify.Handshake{{Name: "h", Match: verify.Match{Method: "GET"}, Answer: verify.Reply{Body: "{hmac:hex}"}}}
		}},
		{"an answer with an unknown place", "handshakes[0].answer.body", func(p *verify.Profile) {
			p.Handshakes = []verify.Handshake{{Name: "h", Challenge: "query:c", Answer: verify.Reply{Body: "{secret}"}}}
		}},
		{"an HMAC over another thing than the challenge", "handshakes[0].answer.body", func(p *verify.Profile) {
			p.Handshakes = []verify.Handshake{{Name: "h", Challenge: "query:c", Answer: verify.Reply{Body: "{hmac:v0:1:body}"}}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := bodySigned()
			c.change(&p)
			_, err := p.Compile(nil)
			var faults verify.Faults
			require.ErrorAs(t, err, &faults)
			require.Len(t, faults, 1, "%v", err)
			require.Equal(t, c.field, faults[0].Field)
		})
	}
}

func TestDefaultsAreFilledIn(t *testing.T) {
	p := reader(t, bodySigned()).Profile()
	require.Equal(t, "{body}", p.Content)
	require.Equal(t, "raw", p.Key)
	require.Equal(t, "body", p.Dedupe)
	require.Equal(t, "json", p.Body)
	require.Equal(t, 5*time.Minute, p.Timestamp.Past)
	require.Equal(t, []string{"POST"}, p.Methods)
}

func TestCovers(t *testing.T) {
	whole := bodySigned()
	part := partSigned()
	standard := bodySigned()
	standard.Content, standard.MessageID = "{id}.{timestamp}.{body}", "header:webhook-id|header:svix-id"
	standard.Timestamp.From = "header:webhook-timestamp"
	url := bodySigned()
	url.Content = "{url}{header:X-Nonce}"
	token := verify.Profile{Algorithm: "token", Signature: verify.Signature{Headers: []string{"X-Token"}}}
	none := verify.Profile{Algorithm: "none"}
	for _, c := range []struct {
		name   string
		p      verify.Profile
		source string
		want   bool
	}{
		{"a signed body covers each of its values", whole, "body:a.b", true},
		{"a signed body covers no header", whole, "header:X-Id", false},
		{"an alternative that is not covered spoils the source", whole, "body:id|header:X-Id", false},
		{"a signed value is covered", part, "body:a.b", true},
		{"another value is not", part, "body:a.c", false},
		{"the message id is covered", standard, "header:webhook-id|header:svix-id", true},
		{"its first name is covered", standard, "header:webhook-id", true},
		{"its second name alone is not, the first may be there too", standard, "header:svix-id", false},
		{"the timestamp is covered", standard, "header:webhook-timestamp", true},
		{"a signed URL covers its query", url, "query:x", true},
		{"a header of the content is covered in any case", url, "header:x-nonce", true},
		{"a signed URL does not cover the body", url, "body:a", false},
		{"a constant is covered", url, "const:x", true},
		{"the holder of a token writes all", token, "header:X-Id", true},
		{"nothing covers nothing", none, "body:a", false},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, reader(t, c.p).Covers(c.source)) })
	}
}

func TestProfilesThatOneSignatureFitsManyEventsOf(t *testing.T) {
	signed := func(content string, change func(*verify.Profile)) verify.Profile {
		p := verify.Profile{
			Algorithm: "hmac-sha256", Content: content, Signature: verify.Signature{Headers: []string{"X-Sig"}},
			Timestamp: verify.Timestamp{From: "header:X-Time"}, MessageID: "header:X-Id",
		}
		if change != nil {
			change(&p)
		}
		return p
	}
	for _, c := range []struct {
		name    string
		profile verify.Profile
		fault   string // empty: none
	}{
		{"a header and a body of any bytes", signed("{header:X-A}{body}", func(p *verify.Profile) { p.Body = "bytes" }), "two parts of any length"},
		{"two headers", signed("{header:X-A}{header:X-B}", func(p *verify.Profile) { p.Dedupe, p.Identity.ID = "id", "header:X-A" }), "two parts of any length"},
		{"two headers as one value", signed("{header:X-A}{header:X-B}", nil), ""},
		{"a header and a JSON body", signed("{header:X-A}{body}", nil), ""},
		{"an ID before a JSON body", signed("{id}.{timestamp}.{body}", nil), ""},
		{"an ID before a body of any bytes, parted by a dot", signed("{id}.{timestamp}.{body}", func(p *verify.Profile) { p.Body = "bytes" }), ""},
		{"a timestamp in digits before any bytes", signed("{timestamp}{body}", func(p *verify.Profile) { p.Body = "bytes" }), ""},
		{"a timestamp of any form before any bytes", signed("{timestamp}{body}", func(p *verify.Profile) { p.Body, p.Timestamp.Format = "bytes", "opaque" }), "two parts of any length"},
		{"a hash that begins with the secret, and any bytes", signed("{secret}{body}", func(p *verify.Profile) { p.Algorithm, p.Body = "sha256", "bytes" }), "can be continued"},
		{"a hash that begins with the secret, and a header", signed("{secret}{body}.{header:X-A}", func(p *verify.Profile) { p.Algorithm = "sha256" }), "can be continued"},
		{"a hash that begins with the secret, and JSON", signed("{secret}{body}", func(p *verify.Profile) { p.Algorithm = "sha256" }), ""},
		{"a hash that ends with the secret", signed("{body}{secret}", func(p *verify.Profile) { p.Algorithm, p.Body = "sha256", "bytes" }), ""},
		{"an ID that the signature does not reach", signed("{body}", func(p *verify.Profile) { p.Dedupe, p.Identity.ID = "id", "header:X-Id" }), "does not cover"},
		{"the body where it is not signed", signed("{id}.{timestamp}", func(p *verify.Profile) { p.Dedupe = "body" }), "use dedupe: signed"},
		{"all that is signed where nothing is", verify.Profile{Algorithm: "token", Dedupe: "signed", Signature: verify.Signature{Headers: []string{"X"}, Encoding: "text"}}, "signs nothing"},
		{"a handshake whose answer may be an event's signature", signed("{timestamp}{body}", func(p *verify.Profile) {
			p.Body, p.Handshakes = "bytes", []verify.Handshake{{
				Name: "h", Match: verify.Match{Method: "GET", Present: []string{"query:c"}}, Challenge: "query:c", Answer: verify.Reply{Body: "{hmac:hex}"},
			}}
		}), "may be the signature of an event"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.profile.Compile(nil)
			if c.fault == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.fault)
		})
	}
}
