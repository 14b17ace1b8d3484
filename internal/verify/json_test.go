package verify_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
)

// reader is a verifier whose sources read a body as its algorithm makes them.
func reader(t testing.TB, p verify.Profile) *verify.Verifier {
	t.Helper()
	v, err := p.Compile(nil)
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
				got, err := readAt(p, &verify.Request{Header: verify.HTTPHeader{}, Body: []byte(body)}, c.path)
				require.NoError(t, err)
				require.Equal(t, c.want, got)
			}
		})
	}
}

// readAt reads a source of a request, as the subject of an event.
func readAt(p verify.Profile, r *verify.Request, source string) (string, error) {
	p.Identity.Subject = source
	v, err := p.Compile(nil)
	if err != nil {
		return "", err
	}
	return v.Identify(r).Subject, nil
}

func TestPathsOfBrokenBodies(t *testing.T) {
	for _, body := range []string{
		"", "{", "[", `"`, `{"a"`, `{"a":`, `{"a":"x`, `{"a" "b"}`, `{a:1}`, "null", "}", "]", `{"a":}`, `{"a":"\`, `{"a":"\ud800`,
		strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000),
	} {
		got, err := readAt(partSigned(), &verify.Request{Header: verify.HTTPHeader{}, Body: []byte(body)}, "body:a")
		require.NoError(t, err)
		require.Empty(t, got)
	}
}

func TestADoubledMemberCountsOnlyUnderTheSignature(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"of two values the last", `{"a":{"b":"1","b":"2"}}`, "2"},
		{"of three values the last", `{"a":{"b":"1","b":"2","b":"3"}}`, "3"},
		{"of two objects the last", `{"a":{"b":"1"},"a":{"b":"2"}}`, "2"},
		{"of two objects the last, even when it lacks the value", `{"a":{"b":"1"},"a":{"c":"2"}}`, ""},
		{"of a value and null the null", `{"a":{"b":"1","b":null}}`, ""},
		{"of two spellings of one name the last", `{"a":{"b":"1","\u0062":"2"}}`, "2"},
		{"another case is another name", `{"a":{"b":"1"},"A":{"b":"2"}}`, "1"},
		{"another case is another name further in", `{"a":{"b":"1","B":"2"}}`, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &verify.Request{Header: verify.HTTPHeader{}, Body: []byte(c.body)}
			got, err := readAt(bodySigned(), r, "body:a.b")
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			got, err = readAt(partSigned(), r, "body:a.b")
			require.NoError(t, err)
			require.Empty(t, got, "which of the two a decoder takes is open")
		})
	}
}

func TestAMemberOfAnotherCaseIsNotTheOneThatIsMeant(t *testing.T) {
	for _, p := range []verify.Profile{bodySigned(), partSigned()} {
		got, err := readAt(p, &verify.Request{Header: verify.HTTPHeader{}, Body: []byte(`{"A":"1"}`)}, "body:a")
		require.NoError(t, err)
		require.Empty(t, got)
	}
}

func TestPathsThatAreNone(t *testing.T) {
	for _, path := range []string{"body:", "body:a..b", "body:a.", "body:.a", "body:a[", "body:a[x]", "body:a[-1]", "body:a[0]b", "body:a[0].", "nothing", "cookie:a", "header:"} {
		_, err := readAt(bodySigned(), &verify.Request{Header: verify.HTTPHeader{}}, path)
		require.Error(t, err, path)
	}
}

// FuzzJSONPath compares our reading of any JSON with that of encoding/json.
func FuzzJSONPath(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,{"c":"x"}]}}`), "a.b[1].c")
	f.Add([]byte(`[{"a":"\u00e9"}]`), "[0].a")
	f.Add([]byte(`{"a":1,"a":2}`), "a")
	f.Add([]byte(`{"a":{"b":1},"a":{"c":2}}`), "a.b")
	f.Add([]byte(`{"a":1,"\u0061":null}`), "a")
	f.Add([]byte(`{"A":1}`), "a")
	f.Add([]byte("{\"\xff\":\"\xff\"}"), "\ufffd")
	f.Add([]byte(`{"a":"\ud800","b":[[],[1.50]]}`), "b[1][0]")
	f.Fuzz(func(t *testing.T, body []byte, path string) {
		r := &verify.Request{Header: verify.HTTPHeader{}, Body: body}
		got, err := readAt(bodySigned(), r, "body:"+path)
		if err != nil || strings.ContainsAny(path, "|#+&") {
			return
		}
		again, err := readAt(partSigned(), r, "body:"+path)
		require.NoError(t, err)
		if again != "" {
			require.Equal(t, got, again, "the strict reading may know less, never other things")
		}
		if json.Valid(body) {
			require.Equal(t, decoded(t, body, path), got)
		}
	})
}

// decoded is the text of a scalar at a path, as encoding/json reads it.
func decoded(t *testing.T, body []byte, path string) string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var value any
	require.NoError(t, d.Decode(&value))
	for _, step := range strings.FieldsFunc(strings.ReplaceAll(path, "[", ".["), func(r rune) bool { return r == '.' }) {
		number, isIndex := strings.CutPrefix(step, "[")
		if !isIndex {
			object, _ := value.(map[string]any)
			value = object[step]
			continue
		}
		n, err := strconv.Atoi(strings.TrimSuffix(number, "]"))
		require.NoError(t, err)
		list, _ := value.([]any)
		if value = nil; n < len(list) {
			value = list[n]
		}
	}
	switch value.(type) {
	case string, bool, json.Number:
		return fmt.Sprint(value)
	}
	return ""
}
