package verify_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
)

// clock is when every test takes place.
func clock() time.Time { return time.Unix(1_700_000_000, 0) }

// post is a request with headers given as name, value, name, value.
func post(body string, headers ...string) *verify.Request {
	h := verify.HTTPHeader{}
	for i := 0; i < len(headers); i += 2 {
		h[headers[i]] = append(h[headers[i]], headers[i+1])
	}
	return &verify.Request{Method: http.MethodPost, URL: "https://example.com/webhooks/x?q=1", Query: "q=1", Header: h, Body: []byte(body)}
}

// sign adds to a request what a genuine sender would.
func sign(t testing.TB, v *verify.Verifier, r *verify.Request, s verify.Secret) *verify.Request {
	t.Helper()
	add, err := v.Sign(r, s, clock())
	require.NoError(t, err)
	for _, l := range add.Headers {
		r.Header.(verify.HTTPHeader)[l.Name] = []string{l.Value}
	}
	if add.Body != nil {
		r.Body = add.Body
	}
	return r
}

func reason(t *testing.T, err error) verify.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	var f *verify.Failure
	require.ErrorAs(t, err, &f)
	return f.Reason
}

func at() verify.Options { return verify.Options{Now: clock()} }

func one(text string) []verify.Secret { return []verify.Secret{{Value: text}} }

// stamped is a kv profile like Stripe's.
func stamped() verify.Profile {
	return verify.Profile{
		Algorithm: "hmac-sha256", Content: "{timestamp}.{body}",
		Signature: verify.Signature{Headers: []string{"X-Sig"}, Grammar: "kv", Keys: []string{"v1"}},
		Timestamp: verify.Timestamp{From: "key:t", Format: "s"},
	}
}

func TestEachReasonHasItsStep(t *testing.T) {
	good := sign(t, reader(t, stamped()), post("{}"), verify.Secret{Value: "k"}).Header.Values("X-Sig")[0]
	_, mac, _ := strings.Cut(good, ",")
	for _, c := range []struct {
		name, header string
		reason       verify.Reason
		step         verify.Step
	}{
		{"no header", "", verify.MissingSignature, verify.StepPresence},
		{"no pairs", "hello", verify.MalformedSignature, verify.StepPresence},
		{"only another version", "t=1700000000,v0=00", verify.MissingSignature, verify.StepPresence},
		{"no timestamp", mac, verify.MissingTimestamp, verify.StepTimestamp},
		{"an empty timestamp", "t=," + mac, verify.MissingTimestamp, verify.StepTimestamp},
		{"an unreadable timestamp", "t=soon," + mac, verify.MalformedTimestamp, verify.StepTimestamp},
		{"a signed number", "t=-1," + mac, verify.MalformedTimestamp, verify.StepTimestamp},
		{"a fraction", "t=1700000000.5," + mac, verify.MalformedTimestamp, verify.StepTimestamp},
		{"a number beyond all time", "t=99999999999999999999," + mac, verify.MalformedTimestamp, verify.StepTimestamp},
		{"two timestamps", "t=1700000000," + good, verify.MalformedTimestamp, verify.StepTimestamp},
		{"a short signature", "t=1700000000,v1=abcd", verify.MalformedSignature, verify.StepSignature},
		{"another timestamp", "t=1700000001," + mac, verify.SignatureMismatch, verify.StepSignature},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := post("{}")
			if c.header != "" {
				r = post("{}", "X-Sig", c.header)
			}
			err := reader(t, stamped()).Verify(r, one("k"), at())
			var f *verify.Failure
			require.ErrorAs(t, err, &f)
			require.Equal(t, c.reason, f.Reason)
			require.Equal(t, c.step, f.Step)
			require.NotContains(t, f.Error(), mac)
		})
	}
}

func TestTheSignatureIsJudgedBeforeTheWindowUnlessTheProfileSaysOtherwise(t *testing.T) {
	p := verify.Profile{
		Algorithm: "hmac-sha256", Signature: verify.Signature{Headers: []string{"X-Sig"}},
		Timestamp: verify.Timestamp{From: "header:X-Time"},
	}
	forgedAndStale := post("{}", "X-Sig", strings.Repeat("00", 32), "X-Time", "1600000000")
	require.Equal(t, verify.SignatureMismatch, reason(t, reader(t, p).Verify(forgedAndStale, one("k"), at())))
	p.Timestamp.WindowFirst = true
	require.Equal(t, verify.TimestampTooOld, reason(t, reader(t, p).Verify(forgedAndStale, one("k"), at())))
	unsignedAndStale := post("{}", "X-Time", "1600000000")
	require.Equal(t, verify.TimestampTooOld, reason(t, reader(t, p).Verify(unsignedAndStale, one("k"), at())))
	require.Equal(t, verify.MissingTimestamp, reason(t, reader(t, p).Verify(post("{}"), one("k"), at())))
}

func TestToleranceCanBeReplaced(t *testing.T) {
	v := reader(t, stamped())
	r := sign(t, v, post("{}"), verify.Secret{Value: "k"})
	later := clock().Add(10 * time.Minute)
	require.Equal(t, verify.TimestampTooOld, reason(t, v.Verify(r, one("k"), verify.Options{Now: later})))
	for tolerance, want := range map[time.Duration]verify.Reason{
		10 * time.Minute: "", 10*time.Minute - 1: verify.TimestampTooOld, 0: verify.TimestampTooOld, -1: "",
	} {
		require.Equal(t, want, reason(t, v.Verify(r, one("k"), verify.Options{Now: later, Tolerance: &tolerance})), tolerance)
	}
}

func TestAliasesOfAHeader(t *testing.T) {
	p := bodySigned()
	p.Signature.Headers = []string{"New-Sig", "Old-Sig"}
	v := reader(t, p)
	good := sign(t, v, post("{}"), verify.Secret{Value: "k"}).Header.Values("New-Sig")[0]
	bad := strings.Repeat("00", 32)
	require.NoError(t, v.Verify(post("{}", "old-sig", good), one("k"), at()))
	require.NoError(t, v.Verify(post("{}", "New-Sig", good, "Old-Sig", bad), one("k"), at()))
	require.Error(t, v.Verify(post("{}", "New-Sig", bad, "Old-Sig", good), one("k"), at()), "the first that is there counts")
	require.Error(t, v.Verify(post("{}", "New-Sig", bad, "New-Sig", good), one("k"), at()), "a doubled header is refused")
	require.Error(t, v.Verify(post("{}", "new-sig", good, "NEW-SIG", good), one("k"), at()), "in whatever case")
}

func TestNumberedHeaders(t *testing.T) {
	p := bodySigned()
	p.Signature = verify.Signature{Pattern: "X-Sig-{n}"}
	v := reader(t, p)
	good := sign(t, v, post("{}"), verify.Secret{Value: "k"}).Header.Values("X-Sig-1")[0]
	bad := strings.Repeat("00", 32)
	for name, want := range map[string]verify.Reason{
		"X-Sig-1": "", "X-Sig-100": "", "x-sig-7": "",
		"X-Sig-0": verify.MissingSignature, "X-Sig-01": verify.MissingSignature, "X-Sig-101": verify.MissingSignature,
		"X-Sig-": verify.MissingSignature, "X-Sig-1a": verify.MissingSignature, "X-Sig": verify.MissingSignature,
	} {
		require.Equal(t, want, reason(t, v.Verify(post("{}", name, good), one("k"), at())), name)
	}
	require.NoError(t, v.Verify(post("{}", "X-Sig-1", bad, "X-Sig-2", good), one("k"), at()))
	require.Error(t, v.Verify(post("{}", "X-Sig-1", good, "X-Sig-1", good), one("k"), at()))
}

func TestKeysThatBelongToHeaders(t *testing.T) {
	p := bodySigned()
	p.Signature = verify.Signature{Headers: []string{"S-1", "S-2"}, Every: true, KeyPerHeader: true}
	v := reader(t, p)
	mac := func(key string) string {
		return sign(t, v, post("{}"), verify.Secret{Value: key}).Header.Values("S-1")[0]
	}
	both := []verify.Secret{{Value: "a"}, {Value: "b"}}
	require.NoError(t, v.Verify(post("{}", "S-1", mac("a")), both, at()))
	require.NoError(t, v.Verify(post("{}", "S-1", mac("x"), "S-2", mac("b")), both, at()))
	require.Error(t, v.Verify(post("{}", "S-1", mac("b"), "S-2", mac("a")), both, at()), "keys swapped")
	require.NoError(t, v.Verify(post("{}", "S-2", mac("b")), []verify.Secret{{}, {Value: "b"}}, at()))
}

func TestKeyIDsSelectSecrets(t *testing.T) {
	p := bodySigned()
	p.KeyID = "header:X-Key"
	v := reader(t, p)
	secrets := []verify.Secret{{Value: "a", KeyID: "ka"}, {Value: "b", KeyID: "kb"}}
	r := sign(t, v, post("{}"), secrets[1])
	require.NoError(t, v.Verify(r, secrets, at()))
	r.Header.(verify.HTTPHeader)["X-Key"] = []string{"ka"}
	require.Equal(t, verify.SignatureMismatch, reason(t, v.Verify(r, secrets, at())))
	r.Header.(verify.HTTPHeader)["X-Key"] = []string{"kc"}
	require.Equal(t, verify.UnknownKey, reason(t, v.Verify(r, secrets, at())))
	require.NoError(t, v.Verify(r, one("b"), at()), "a secret without a name is tried for every one")
}

func TestTooManySignaturesAreRefused(t *testing.T) {
	v := reader(t, stamped())
	r := sign(t, v, post("{}"), verify.Secret{Value: "k"})
	good := r.Header.Values("X-Sig")[0]
	require.NoError(t, v.Verify(post("{}", "X-Sig", strings.Repeat("v1=00,", 99)+good), one("k"), at()))
	require.Error(t, v.Verify(post("{}", "X-Sig", strings.Repeat("v1=00,", 100)+good), one("k"), at()))
}

func TestASecretThatIsNotWrittenAsTheProfileSays(t *testing.T) {
	p := bodySigned()
	p.Key = "hex"
	v := reader(t, p)
	r := post("{}", "X-Signature", strings.Repeat("00", 32))
	err := v.Verify(r, one("not hex"), at())
	require.Equal(t, verify.SignatureMismatch, reason(t, err))
	require.NotContains(t, err.Error(), "not hex")
	err = v.CheckSecret("sesame")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "sesame")
	require.NoError(t, v.CheckSecret("00ff"))
	require.Error(t, v.CheckSecret(""))
}

func TestOneVerifierServesManyRequestsAtOnce(t *testing.T) {
	v := reader(t, stamped())
	var wg sync.WaitGroup
	for i := range 8 {
		body := strings.Repeat("x", 1000*i)
		r := sign(t, v, post(body), verify.Secret{Value: "k"})
		bad := *r
		bad.Body = append([]byte("y"), r.Body...)
		wg.Go(func() {
			for range 200 {
				if v.Verify(r, one("k"), at()) != nil || v.Verify(&bad, one("k"), at()) == nil {
					t.Error("a request was judged by another one's state")
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestTheSignedBytesCanBeShown(t *testing.T) {
	v := reader(t, stamped())
	r := sign(t, v, post(`{"a":1}`), verify.Secret{Value: "k"})
	content, err := v.Content(r)
	require.NoError(t, err)
	require.Equal(t, `1700000000.{"a":1}`, string(content))
}

func TestMethodsOfEventsAndHandshakes(t *testing.T) {
	p := bodySigned()
	p.Handshakes = []verify.Handshake{{Name: "h", Match: verify.Match{Method: "GET"}, Challenge: "query:c"}}
	v := reader(t, p)
	require.Equal(t, []string{"GET", "POST"}, v.Methods())
	require.True(t, v.Allows("GET"))
	require.False(t, v.Allows("PUT"))
	require.False(t, v.IsEvent("GET"))
}

func TestURLsWithEscapesAreTriedAsTheyCameAndUnescaped(t *testing.T) {
	p := bodySigned()
	p.Content = "{url}{body}"
	raw := reader(t, p)
	p.URLUnescape = ":/"
	v := reader(t, p)
	escaped, plain := "https://e.com/?u=http%3A%2f%2Fx%20%26", "https://e.com/?u=http://x%20%26"
	for _, signed := range []string{escaped, plain} {
		r := post("{}")
		r.URL = signed
		sign(t, raw, r, verify.Secret{Value: "k"})
		r.URL = escaped
		require.NoError(t, v.Verify(r, one("k"), at()), signed)
	}
	r := post("{}")
	r.URL = "https://e.com/?u=http://x &"
	sign(t, raw, r, verify.Secret{Value: "k"})
	r.URL = escaped
	require.Error(t, v.Verify(r, one("k"), at()), "only the named characters")
}

// The vector is botgo's, interaction/signature/interaction_test.go.
func TestAQQBotsKeyIsDerivedFromItsSecret(t *testing.T) {
	v := reader(t, verify.Profile{
		Algorithm: "ed25519", Key: "qqbot", Content: "{timestamp}{body}",
		Signature: verify.Signature{Headers: []string{"X-Signature-Ed25519"}},
		Timestamp: verify.Timestamp{From: "header:X-Signature-Timestamp"},
	})
	r := post(`{"id":"ROBOT1.0_veoihSEXDc8Q.g-6eLpNIa11bH8MisOjn-m-LKxCPntMk6exUXgcWCGpVO7L2QKTNZzjZzFFDSbiOFcqAPWyVA!!","content":"哦一下","timestamp":"2024-10-15T16:33:15+08:00","author":{"id":"675860273","user_openid":"675860273"}}`,
		"X-Signature-Timestamp", "1728981195",
		"X-Signature-Ed25519", "e949b5b94ef4103df903fb031d1d16e358db3db83e79e117edd404c8508be3ce8a76d7bad1bed353194c126a1a5915b4ad8b5288c1191cc53a12acffccd82004")
	o := verify.Options{Now: time.Unix(1728981195, 0)}
	require.NoError(t, v.Verify(r, one("123456abcdef"), o))
	require.Error(t, v.Verify(r, one("123456abcdeg"), o))
}
