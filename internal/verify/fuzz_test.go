package verify_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
)

// FuzzHeaderGrammar feeds signature headers of every grammar. Nothing that
// lacks the signature may pass, and nothing may panic.
func FuzzHeaderGrammar(f *testing.F) {
	plain := bodySigned()
	plain.Signature.Prefix = "sha256="
	list := verify.Profile{
		Algorithm: "hmac-sha256", Content: "{id}.{body}", MessageID: "header:X-Id",
		Signature: verify.Signature{Headers: []string{"X-Sig"}, Grammar: "list", Keys: []string{"v1"}, Encoding: "base64"},
	}
	numbered := bodySigned()
	numbered.Signature = verify.Signature{Pattern: "X-Sig-{n}", Encoding: "base64url"}
	verifiers := []*verify.Verifier{reader(f, plain), reader(f, list), reader(f, stamped()), reader(f, numbered)}
	f.Add("sha256=00", "1")
	f.Add("v1,AAAA v1a,BBBB v1,", "2")
	f.Add("t=1700000000,v1=00,v1=,=,,t", "100")
	f.Add("t=1700000000;v1", "01")
	f.Fuzz(func(t *testing.T, header, number string) {
		if !strings.Contains(header, "v1") && !strings.Contains(header, "=") && len(header) > 4096 {
			return
		}
		r := post("{}", "X-Signature", header, "X-Sig", header, "X-Id", "m", "X-Sig-"+number, header)
		for _, v := range verifiers {
			require.Error(t, v.Verify(r, one("a key that no fuzzer finds"), at()))
		}
	})
}

// FuzzTemplate feeds content templates. One that compiles must sign and verify,
// and must notice another body where it holds the body.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"{body}", "v0:{timestamp}:{body}", "{{body}}", "{", "}{", "{header:X}{json:a.b}", "{url}{url_noquery}{method}", `{"a":{body}}`, "{param:x}", "{body:}", "{id"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, content string) {
		p := bodySigned()
		p.Content, p.MessageID = content, "header:X-Id"
		p.Timestamp = verify.Timestamp{From: "header:X-Time"}
		v, err := p.Compile(nil)
		if err != nil {
			return
		}
		r := post(`{"a":{"b":1}}`)
		add, err := v.Sign(r, verify.Secret{Value: "k"}, clock())
		if err != nil {
			return
		}
		for _, l := range add.Headers {
			r.Header.(verify.HTTPHeader)[l.Name] = []string{l.Value}
		}
		require.NoError(t, v.Verify(r, one("k"), at()))
		r.Body = append(r.Body, ' ')
		if v.Covers("body:anything") {
			require.Error(t, v.Verify(r, one("k"), at()))
		}
	})
}

// FuzzVerify feeds whole requests to a kv profile: whatever passes must carry
// the one good signature over exactly its timestamp and body.
func FuzzVerify(f *testing.F) {
	v := reader(f, stamped())
	good := sign(f, v, post(`{"a":1}`), verify.Secret{Value: "k"}).Header.Values("X-Sig")[0]
	f.Add(good, []byte(`{"a":1}`), "POST", "q=1")
	f.Add(good+",v1=00", []byte(`{"a":2}`), "GET", "")
	f.Add("t=1700000000", []byte{}, "", "%zz")
	f.Fuzz(func(t *testing.T, header string, body []byte, method, query string) {
		r := post("", "X-Sig", header)
		r.Body, r.Method, r.Query = body, method, query
		err := v.Verify(r, one("k"), at())
		_ = v.Identify(r)
		_, _ = v.Content(r)
		if _, err := v.Handshake(r, one("k"), verify.Unsigned, at()); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			_, mac, _ := strings.Cut(good, "v1=")
			require.Contains(t, strings.ToLower(header), mac)
			require.JSONEq(t, `{"a":1}`, string(body))
		}
	})
}
