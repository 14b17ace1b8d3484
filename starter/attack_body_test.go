package starter_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
)

func TestAFormInPartsIsTakenByItsBytes(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	w, engine := openFake(t, yaml("", doorSource("bytes", "generic-hmac", goodSecret, "max_body: 1000")))
	kind := []string{"Content-Type", "multipart/form-data; boundary=b"}
	part := func(n int) string {
		return "--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\n\r\n" + strings.Repeat("x", n) + "\r\n--b--\r\n"
	}
	long := func(source string) string {
		return w.raw(t, fmt.Sprintf("POST /webhooks/%s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			source, kind[1], len(part(20<<20)), part(20<<20)))
	}
	t.Run("up to the bound, and never as files", func(t *testing.T) {
		require.NotContains(t, long("bytes"), " 200 ")
		require.NotContains(t, long("none"), " 200 ")
		w.post(t, "bytes", part(2000), kind...).refused(t, http.StatusRequestEntityTooLarge, "Body too large")
		w.post(t, "bytes", part(1), kind...).refused(t, http.StatusUnauthorized, "Invalid signature")
		files, err := os.ReadDir(os.TempDir())
		require.NoError(t, err)
		require.Empty(t, files)
	})
	starts, _, _ := engine.calls()
	require.Zero(t, starts)
	t.Run("so that its signature can be checked", func(t *testing.T) {
		w, engine := openFake(t, yaml("", "  forms:\n    secrets: ["+goodSecret+"]\n    verify: {algorithm: hmac-sha256, body: bytes, signature: {headers: [X-Signature]}}\n"))
		body := part(10)
		w.post(t, "forms", body, append(kind, "X-Signature", hexMAC(goodSecret, body))...).taken(t)
		require.Equal(t, body, string(engine.last(t).body.GetData()))
		require.Equal(t, "binary/plain", string(engine.last(t).body.GetMetadata()[converter.MetadataEncoding]))
		require.Equal(t, "multipart/form-data; boundary=b", engine.last(t).event.DataContentType)
	})
}

func TestStrangeJSONIsTakenAsItCameOrRefused(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for name, body := range map[string]string{
		"nothing at all":         ``,
		"a number":               `1`,
		"a text":                 `"a"`,
		"null":                   `null`,
		"a list":                 `[1,2]`,
		"nested 9,000 deep":      `{"event":"x","a":` + nested(9000) + `}`,
		"invalid UTF-8":          "{\"event\":\"a\xff\"}",
		"a lone surrogate":       `{"event":"\ud800","payload":{"object":{"id":"\udfff"}}}`,
		"an escaped NUL":         `{"event":"a\u0000b","payload":{"object":{"id":"\u0000"}}}`,
		"big numbers":            `{"event":"x","event_ts":1e400,"payload":{"account_id":-0,"object":{"id":123456789012345678901234567890}}}`,
		"wrong kinds":            `{"event":{"a":[]},"event_ts":[],"payload":{"account_id":{},"object":"text"}}`,
		"a payload that is null": `{"event":"x","payload":null}`,
		"a member called proto":  `{"event":"x","__proto__":{"a":1},"payload":{"object":{"constructor":1}}}`,
		"white space":            " \n{ \"event\" : \"x\" }\t\r\n ",
		"an empty name":          `{"":1,"event":""}`,
		"a byte order mark":      "\ufeff{\"event\":\"marked\"}",
	} {
		t.Run(name, func(t *testing.T) {
			w.zoom(t, body).taken(t)
			require.Equal(t, body, string(engine.last(t).body.GetData()))
		})
	}
	for name, body := range map[string]string{
		"nested 100,000 deep": nested(100_000), "a NUL": "\x00", "a NUL behind it": "{}\x00", "two byte order marks": "\ufeff\ufeff{}",
		"a comment": `{"a":1}//`, "a comma too much": `{"a":1,}`, "half of it": `{"event":`, "two of it": `{}{}`, "a raw control character": "{\"event\":\"a\nb\"}",
		"NaN": `{"a":NaN}`, "a form": "a=b", "HTML": "<html>",
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			w.zoom(t, body).refused(t, http.StatusBadRequest, "Invalid JSON body")
		})
	}
}

func TestADoubledMemberCannotGiveAnEventTheIdentityOfAnother(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	const body = `{"event":"first","event":"second","id":"one","id":"two"}`
	one := w.post(t, "shop", body, signShop(body, w.now.time(), goodSecret)...).taken(t)
	require.Equal(t, sha("shop\n"+engine.last(t).event.SenderID), one.EventID, "one of them counts for everything")
	require.True(t, w.post(t, "shop", body, signShop(body, w.now.time(), goodSecret)...).taken(t).Duplicate)
	swapped := strings.Replace(body, `"id":"one","id":"two"`, `"id":"two","id":"one"`, 1)
	require.Equal(t, http.StatusUnauthorized, w.post(t, "shop", swapped, signShop(body, w.now.time(), goodSecret)...).status)

	z := `{"event":"a","event":"meeting.started","payload":{"object":{"uuid":"x"}},"payload":{"object":{"uuid":"y"}}}`
	require.Equal(t, sha("zoom\n"+z), w.zoom(t, z).taken(t).EventID, "a key that can be read in two ways is none")
}

func TestAHeaderThatIsThereTwiceDecidesNothing(t *testing.T) {
	w, engine := openFake(t, yaml("", append(doorSources, doorSource("token", "zoom", goodSecret, "token: {header: X-Token, value: a-token-for-the-tests}"))...))
	body := `{"ref":"main"}`
	headers := append(signGitHub(body, w.now.time(), goodSecret), "X-GitHub-Event", "delete")
	w.post(t, "github", body, headers...).taken(t)
	require.Empty(t, engine.last(t).event.Type, "two types are none")

	z := meeting("1")
	signed := signZoom(z, w.now.time(), goodSecret)
	for name, tokens := range map[string][]string{
		"a wrong one first": {"X-Token", "wrong", "X-Token", "a-token-for-the-tests"},
		"a wrong one last":  {"X-Token", "a-token-for-the-tests", "X-Token", "wrong"},
		"none":              nil,
		"an empty one":      {"X-Token", ""},
	} {
		t.Run("a token: "+name, func(t *testing.T) {
			w.post(t, "token", z, append(tokens, signed...)...).refused(t, http.StatusUnauthorized, "Invalid credentials")
		})
	}
	w.post(t, "token", z, append(signed, "X-Token", "a-token-for-the-tests")...).taken(t)
	standard := append(signStandard(`{}`, w.now.time(), goodSecret), "webhook-id", "msg_2")
	require.Equal(t, http.StatusUnauthorized, w.post(t, "standard-webhooks", `{}`, standard...).status)
	w.post(t, "zoom", z, append(signed, "Content-Type", "text/html", "Content-Type", "application/json")...).taken(t)
}

func TestACapturedRequestIsAnEventOnce(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	for _, s := range schemes {
		body := fmt.Sprintf(`{"event":"x","type":"x","id":%q}`, s.name)
		headers := s.sign(body, w.now.time(), goodSecret)
		id := w.post(t, s.name, body, headers...).taken(t).EventID
		for _, more := range [][]string{{"X-GitHub-Delivery", "other"}, {"X-Request-Id", "other"}, {"Content-Type", "text/plain"}} {
			a := w.post(t, s.name, body, append(headers, more...)...).taken(t)
			require.True(t, a.Duplicate)
			require.Equal(t, id, a.EventID)
		}
		// To another door it is a stranger's, but where that has the same secret
		// and rule.
		require.Equal(t, http.StatusNotFound, w.post(t, s.name+"x", body, headers...).status)
	}
	starts, _, _ := engine.calls()
	require.Equal(t, len(schemes), starts)
}

func TestNoAnswerTellsWhatWasExpected(t *testing.T) {
	heard, with := listen()
	w, _ := openFake(t, yaml("", doorSources...), with)
	body := meeting("1")
	for _, s := range schemes {
		r := w.post(t, s.name, body, s.sign(body, w.now.time(), otherSecret)...)
		all := r.body + fmt.Sprint(r.header) + fmt.Sprintf("%+v", (<-heard.heard).Detail)
		for _, line := range w.logs.All() {
			all += line.Message + fmt.Sprint(line.ContextMap())
		}
		for _, secret := range []string{goodSecret, hexMAC(goodSecret, body), whsec(goodSecret), s.sign(body, w.now.time(), goodSecret)[1], "Weekly"} {
			require.NotContains(t, all, secret)
		}
	}
}
