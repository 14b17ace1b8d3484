package starter_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/event"
)

func TestTheAnswerIsWhatTheSenderNeeds(t *testing.T) {
	w, _ := openFake(t, yaml("",
		doorSource("plain", "zoom", goodSecret),
		doorSource("empty", "zoom", goodSecret, "ack: {empty: true}"),
		doorSource("xml", "zoom", goodSecret, `ack: {status: 201, body: "<ok/>", content_type: text/xml}`),
		doorSource("json", "zoom", goodSecret, `ack: {body: '{"status":"ok"}'}`),
		doorSource("text", "zoom", goodSecret, `ack: {body: OK}`),
		doorSource("slack", "slack", goodSecret),
		doorSource("ignoring", "zoom", goodSecret, "ack: {empty: true}", "events: [other]"),
	))
	for source, want := range map[string]struct {
		status     int
		kind, body string
	}{
		"empty": {200, "", ""}, "xml": {201, "text/xml", "<ok/>"}, "json": {200, "application/json", `{"status":"ok"}`},
		"text": {200, "text/plain; charset=utf-8", "OK"}, "ignoring": {200, "", ""},
	} {
		t.Run(source, func(t *testing.T) {
			for range 2 { // A duplicate is answered alike.
				body := meeting(source)
				r := w.post(t, source, body, signZoom(body, w.now.time(), goodSecret)...)
				require.Equal(t, want.status, r.status, r.body)
				require.Equal(t, want.body, r.body)
				if want.kind != "" {
					require.Equal(t, want.kind, r.header.Get("Content-Type"))
				}
			}
		})
	}
	t.Run("a modal of Slack is closed by an empty answer", func(t *testing.T) {
		body := "payload=" + url.QueryEscape(`{"type":"view_submission","view":{"id":"V1"}}`)
		at := unix(w.now.time())
		r := w.post(t, "slack", body, "Content-Type", "application/x-www-form-urlencoded",
			"X-Slack-Request-Timestamp", at, "X-Slack-Signature", "v0="+hexMAC(goodSecret, "v0:"+at+":"+body))
		require.Equal(t, http.StatusOK, r.status)
		require.Empty(t, r.body)
	})
}

func TestTheOwnerHearsWhyABodyIsNoJSON(t *testing.T) {
	heard, with := listen()
	w, _ := openFake(t, yaml("", doorSources...), with)
	for name, c := range map[string]struct{ body, want string }{
		"UTF-16":          {"\xff\xfe{\x00}\x00", "byte order mark of UTF-16"},
		"UTF-16, no mark": {"{\x00\"\x00a\x00\"\x00:\x001\x00}\x00", "every other byte is NUL"},
		"a NUL":           {"{\"a\":\"b\"}\x00", "holds a NUL byte"},
		"a form":          {"payload=%7B%7D", "is a form, though"},
		"another form":    {"a=b&c=d", "is a form, though"},
		"gzip":            {"\x1f\x8b\x08\x00", "is gzip, and no Content-Encoding"},
		"half of it":      {`{"a":`, "ends too early"},
		"a comma":         {`{"a":1,}`, "broken at byte 8"},
	} {
		t.Run(name, func(t *testing.T) {
			w.zoom(t, c.body).refused(t, http.StatusBadRequest, "Invalid JSON body")
			a := <-heard.heard
			require.Equal(t, "json", a.Outcome)
			require.Contains(t, a.Detail, c.want)
		})
	}
	w.post(t, "zoom", "\x1f\x8b", append(signZoom("\x1f\x8b", w.now.time(), goodSecret), "Content-Encoding", "gzip")...)
	require.Contains(t, (<-heard.heard).Detail, "compressed")
}

func TestABodyGoesOnAsItCame(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSource("bytes", "generic-hmac", goodSecret), doorSource("github", "github", goodSecret)))
	post := func(body string, headers ...string) reply {
		return w.post(t, "github", body, append(signGitHub(body, w.now.time(), goodSecret), headers...)...)
	}
	post(`{"a":1}`, "Content-Type", "application/json; charset=utf-8", "Content-Encoding", "GZIP").taken(t)
	require.Equal(t, "application/json; charset=utf-8", engine.last(t).event.DataContentType)
	require.Equal(t, "gzip", engine.last(t).event.DataContentEncoding)
	for _, coding := range []string{"nonsense", "gzip, nonsense", "gzip;q=1"} {
		r := post(`{"a":2}`, "Content-Encoding", coding)
		r.refused(t, http.StatusUnsupportedMediaType, "Unsupported content coding")
		require.Contains(t, r.header.Get("Accept-Encoding"), "gzip")
	}
	form := "payload=" + url.QueryEscape(`{"ref":"main","repository":{"full_name":"a/b"}}`)
	post(form, "Content-Type", "application/x-www-form-urlencoded").taken(t)
	e := engine.last(t)
	require.Equal(t, form, string(e.body.GetData()))
	require.Equal(t, "push", e.event.Type)
	require.Equal(t, "a/b", e.event.Subject)
	require.JSONEq(t, `{"ref":"main","repository":{"full_name":"a/b"}}`, string(event.JSON(e.event.DataContentType, e.body.GetData())))
}

func TestTheHeadersThatASourceKeeps(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSource("github", "github", goodSecret, "keep_headers: ['x-github-*', X-Hub-*, X-Any, User-Agent]")))
	body := `{"ref":"main"}`
	w.post(t, "github", body, append(signGitHub(body, w.now.time(), goodSecret),
		"X-GitHub-Delivery", "72d3162e", "X-GitHub-Token", "a-token", "X-Any", "see "+goodSecret, "X-Hub-Signature", "sha1=00",
		"Authorization", "Bearer x", "X-Other", "no", "User-Agent", "GitHub-Hookshot/1", "X-Github-Twice", "a", "X-Github-Twice", "b")...).taken(t)
	require.Equal(t, map[string]string{
		"X-Github-Event": "push", "X-Github-Delivery": "72d3162e", "User-Agent": "GitHub-Hookshot/1", "X-Github-Twice": "a, b",
	}, engine.last(t).event.Headers)
	many := signGitHub(`{"ref":"2"}`, w.now.time(), goodSecret)
	for i := range 60 {
		many = append(many, "X-Github-"+strings.Repeat("x", i+1), strings.Repeat("y", 100))
	}
	w.post(t, "github", `{"ref":"2"}`, many...).taken(t)
	text, err := json.Marshal(engine.last(t).event.Headers)
	require.NoError(t, err)
	require.Less(t, len(text), 10<<10)
}

func TestARepeatWithAnotherBodyUnderTheSameIDLeavesATrace(t *testing.T) {
	heard, with := listen()
	w, engine := openFake(t, yaml("", doorSources...), with)
	post := func(body string) accepted {
		return w.post(t, "shop", body, signShop(body, w.now.time(), goodSecret)...).taken(t)
	}
	first := post(`{"event":"order.paid","id":"7","amount":1}`)
	require.Equal(t, "started", (<-heard.heard).Outcome)
	require.True(t, post(`{"event":"order.paid","id":"7","amount":1}`).Duplicate)
	require.Equal(t, "duplicate", (<-heard.heard).Outcome)
	second := post(`{"event":"order.paid","id":"7","amount":2}`)
	require.Equal(t, first.EventID, second.EventID)
	require.True(t, second.Duplicate)
	require.Equal(t, "changed", (<-heard.heard).Outcome)
	require.Len(t, w.logs.FilterMessageSnippet("with another body").All(), 1)
	require.Len(t, engine.runs, 1)
}

func TestASourceThatRevivesNothingLeavesADeadLetterAlone(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSource("zoom", "zoom", goodSecret, "revive: false")))
	id := w.zoom(t, meeting("1")).taken(t).EventID
	engine.dies(t, id, "run-2")
	a := w.zoom(t, meeting("1")).taken(t)
	require.True(t, a.Duplicate)
	require.False(t, a.Replayed)
	_, _, resets := engine.calls()
	require.Zero(t, resets)
}

func TestNoSecretIsToldBack(t *testing.T) {
	heard, with := listen()
	w, _ := openFake(t, yaml("", doorSources...), with)
	w.raw(t, "POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+goodSecret+"\r\nContent-Length: 10, 10\r\n\r\n0123456789")
	require.NotContains(t, (<-heard.heard).Detail, goodSecret)
	for _, line := range w.logs.All() {
		for _, v := range line.ContextMap() {
			require.NotContains(t, v, goodSecret)
			require.NotContains(t, v, "Authorization")
		}
	}
}
