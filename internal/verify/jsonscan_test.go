package verify_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
)

// reader is a verifier whose sources read a body as its algorithm makes them.
func reader(t testing.TB, p verify.Profile) *verify.Verifier {
	t.Helper()
	v, err := p.Compile()
	require.NoError(t, err)
	return v
}

// bodySigned is a profile that signs the whole body.
func bodySigned() verify.Profile {
	return verify.Profile{Algorithm: "hmac-sha256", Signature: verify.Signature{Headers: []string{"X-Signature"}}}
}

// partSigned is a profile whose body is not under the signature as a whole.
func partSigned() verify.Profile {
	p := bodySigned()
	p.Content = "{json:a.b}"
	return p
}

func TestPathsReadABody(t *testing.T) {
	body := `{ "a" : {"b":[{"c":"x\u00e9\"y"},{"c":12345678901234567890}], "e":true,"f":null,"g":1.50}, "with-dash":"d",` +
		`"esc\u0061ped":"k","deep":[[["z"]]],"skip":"}]\\\"","last":"end"}`
	for _, c := range []struct{ name, path, want string }{
		{"a string with escapes is decoded", "body:a.b[0].c", `xé"y`},
		{"a big number keeps its digits", "body:a.b[1].c", "12345678901234567890"},
		{"a boolean is its word", "body:a.e", "true"},
		{"null is absent", "body:a.f", ""},
		{"a decimal keeps its zeros", "body:a.g", "1.50"},
		{"a key may hold a dash", "body:with-dash", "d"},
		{"an escaped key is found", "body:escaped", "k"},
		{"arrays nest", "body:deep[0][0][0]", "z"},
		{"a string full of brackets is skipped", "body:last", "end"},
		{"an object is no text", "body:a", ""},
		{"an array is no text", "body:a.b", ""},
		{"an index past the end is absent", "body:a.b[2].c", ""},
		{"a missing key is absent", "body:a.x", ""},
		{"a key of a number is absent", "body:a.g.x", ""},
		{"an index of an object is absent", "body:a[0]", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, p := range []verify.Profile{bodySigned(), partSigned()} {
				got, err := reader(t, p).Read(&verify.Request{Header: verify.HTTPHeader{}, Body: []byte(body)}, c.path)
				require.NoError(t, err)
				require.Equal(t, c.want, got)
			}
		})
	}
}

func TestPathsOfBrokenBodies(t *testing.T) {
	for _, body := range []string{
		"", "{", "[", `"`, `{"a"`, `{"a":`, `{"a":"x`, `{"a" "b"}`, `{a:1}`, "null", "}", "]", `{"a":}`, `{"a":"\`, `{"a":"\ud800`,
		strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000),
	} {
		got, err := reader(t, partSigned()).Read(&verify.Request{Header: verify.HTTPHeader{}, Body: []byte(body)}, "body:a")
		require.NoError(t, err)
		require.Empty(t, got)
	}
}

func TestADoubledMemberCountsOnlyUnderTheSignature(t *testing.T) {
	for _, body := range []string{`{"a":{"b":"1"},"a":{"b":"2"}}`, `{"a":{"b":"1"},"A":{"b":"2"}}`, `{"a":{"b":"1","B":"2"}}`} {
		r := &verify.Request{Header: verify.HTTPHeader{}, Body: []byte(body)}
		got, err := reader(t, bodySigned()).Read(r, "body:a.b")
		require.NoError(t, err)
		require.Equal(t, "1", got)
		got, err = reader(t, partSigned()).Read(r, "body:a.b")
		require.NoError(t, err)
		require.Empty(t, got, "which of the two a decoder takes is open")
	}
}

func TestPathsThatAreNone(t *testing.T) {
	for _, path := range []string{"body:", "body:a..b", "body:a.", "body:.a", "body:a[", "body:a[x]", "body:a[-1]", "body:a[0]b", "body:a[0].", "nothing", "cookie:a", "header:"} {
		_, err := reader(t, bodySigned()).Read(&verify.Request{Header: verify.HTTPHeader{}}, path)
		require.Error(t, err, path)
	}
}

func FuzzJSONPath(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,{"c":"x"}]}}`), "a.b[1].c")
	f.Add([]byte(`[{"a":"\u00e9"}]`), "[0].a")
	f.Add([]byte(`{"a":1,"a":2}`), "a")
	first := reader(f, bodySigned())
	strict := reader(f, partSigned())
	f.Fuzz(func(t *testing.T, body []byte, path string) {
		r := &verify.Request{Header: verify.HTTPHeader{}, Body: body}
		got, err := first.Read(r, "body:"+path)
		if err != nil || strings.ContainsAny(path, "|#+&") {
			return
		}
		again, err := strict.Read(r, "body:"+path)
		require.NoError(t, err)
		if again != "" {
			require.Equal(t, got, again, "the strict reading may know less, never other things")
		}
		if got == "" || !json.Valid(body) || strings.ContainsAny(path, "[.") {
			return
		}
		var top map[string]json.RawMessage
		if json.Unmarshal(body, &top) == nil {
			require.Contains(t, top, path)
		}
	})
}
