package starter_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/internal/event"
)

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestWhatAnEventIDIsMadeOf(t *testing.T) {
	w, engine := openFake(t, yaml("", append(doorSources, doorSource("each", "zoom", goodSecret, "dedupe: none"),
		doorSource("bytes", "zoom", goodSecret, "dedupe: body"))...))
	for _, test := range []struct{ name, source, body, want string }{
		{
			"the fields of Zoom, as the pattern's generateEventId writes them", "zoom",
			`{"event":"meeting.started","event_ts":1687276800000,"payload":{"account_id":"a<&>","object":{"uuid":"ü=="}}}`,
			sha(`{"type":"meeting.started","accountId":"a<&>","objectId":"ü==","timestamp":1687276800000}`),
		},
		{
			"the object's id where it has no uuid", "zoom", `{"event":"x","payload":{"object":{"id":12345678901234567890}}}`,
			sha(`{"type":"x","objectId":12345678901234567000}`),
		},
		{"the body where Zoom's has no object", "zoom", `{"event":"x","payload":{}}`, sha("zoom\n" + `{"event":"x","payload":{}}`)},
		{"the sender's id", "shop", `{"event":"x","id":"ord_1"}`, sha("shop\nord_1")},
		{"the sender's id in a header", "standard-webhooks", `{"type":"x"}`, sha("standard-webhooks\nmsg_1")},
		{"the body where the sender gives no id", "shop", `{"event":"x"}`, sha("shop\n" + `{"event":"x"}`)},
		{"the body where the sender gives two ids", "shop", `{"event":"x","id":["a","b"]}`, sha("shop\n" + `{"event":"x","id":["a","b"]}`)},
		{"the body", "github", `{"ref":"main"}`, sha("github\n" + `{"ref":"main"}`)},
		{"the body that the source asks for", "bytes", `{"event":"x","payload":{"object":{"id":1}}}`, sha("bytes\n" + `{"event":"x","payload":{"object":{"id":1}}}`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			sign := signZoom
			for _, s := range schemes {
				if s.name == test.source {
					sign = s.sign
				}
			}
			a := w.post(t, test.source, test.body, sign(test.body, w.now.time(), goodSecret)...).taken(t)
			require.Equal(t, test.want, a.EventID)
			s := engine.last(t)
			require.Equal(t, test.want, s.options.ID)
			require.Equal(t, test.want, s.event.ID)
			require.Equal(t, test.body, string(s.body.GetData()))
			require.Equal(t, "json/plain", string(s.body.GetMetadata()[converter.MetadataEncoding]))
		})
	}
	t.Run("an unsigned type header makes no other event of a captured request", func(t *testing.T) {
		body := `{"ref":"main"}`
		headers := append(without(signGitHub(body, w.now.time(), goodSecret), "X-GitHub-Event"), "X-GitHub-Event", "delete", "X-GitHub-Delivery", "other")
		require.True(t, w.post(t, "github", body, headers...).taken(t).Duplicate)
	})
	t.Run("each request is an event of its own where the source says so", func(t *testing.T) {
		body := meeting("1")
		headers := signZoom(body, w.now.time(), goodSecret)
		one, two := w.post(t, "each", body, headers...).taken(t), w.post(t, "each", body, headers...).taken(t)
		require.False(t, two.Duplicate)
		require.NotEqual(t, one.EventID, two.EventID)
	})
}

func TestTwoEventsThatShareAKeyAreBothStarted(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	join := func(who string) string {
		return strings.Replace(meeting("1"), `"topic":"Weekly"`, `"topic":"Weekly","participant":{"id":"`+who+`"}`, 1)
	}
	one := w.zoom(t, join("ann")).taken(t)
	two := w.zoom(t, join("bob")).taken(t)
	require.False(t, two.Duplicate)
	require.NotEqual(t, one.EventID, two.EventID)
	var fields []event.Field // The key is another, the digest is the same.
	_, digest, ok := event.IDAndDigest("zoom", []byte(join("bob")), fields)
	require.True(t, ok)
	require.Equal(t, sha(one.EventID+"\n"+digest), two.EventID)
	require.Equal(t, join("bob"), string(engine.last(t).body.GetData()))

	three := w.zoom(t, join("bob")).taken(t)
	require.True(t, three.Duplicate)
	require.Equal(t, two.EventID, three.EventID)
	require.True(t, w.zoom(t, join("ann")).taken(t).Duplicate)
	t.Run("the same event in another order of members is a duplicate", func(t *testing.T) {
		again := `{ "payload": {"object": {"participant":{"id":"ann"},"topic":"Weekly","uuid":"1"},"account_id":"a"}, "event_ts":1687276800000, "event":"meeting.started"}`
		a := w.zoom(t, again).taken(t)
		require.True(t, a.Duplicate)
		require.Equal(t, one.EventID, a.EventID)
	})
	t.Run("another source that hears the same is not swallowed", func(t *testing.T) {
		a := w.post(t, "zoom-legacy", join("ann"), signLegacy(join("ann"), w.now.time(), goodSecret)...).taken(t)
		require.False(t, a.Duplicate)
	})
}

func TestASenderThatSaysNoMoreThanThatSomethingChanged(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSource("dropbox", "dropbox", goodSecret)))
	body := `{"list_folder":{"accounts":["dbid:A"]},"delta":{"users":[1]}}`
	post := func() accepted {
		m := hmac.New(sha256.New, []byte(goodSecret))
		_, _ = m.Write([]byte(body))
		return w.post(t, "dropbox", body, "X-Dropbox-Signature", hex.EncodeToString(m.Sum(nil))).taken(t)
	}
	one := post()
	require.False(t, one.Duplicate)
	engine.runs[one.EventID].status = enums.WORKFLOW_EXECUTION_STATUS_COMPLETED
	require.True(t, post().Duplicate, "a repeat")
	w.now.advance(2 * time.Minute)
	again := post()
	require.False(t, again.Duplicate, "another change")
	require.Equal(t, one.EventID, again.EventID)
	w.now.advance(2 * time.Minute)
	require.True(t, post().Duplicate, "the change before it is not handled yet")
}

func TestWhatIsKnownIsAskedForFirst(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	large := strings.Replace(meeting("large"), "Weekly", strings.Repeat("x", 33<<10), 1)
	w.zoom(t, meeting("1")).taken(t)
	starts, describes, _ := engine.calls()
	require.Equal(t, 1, starts)
	require.Zero(t, describes, "a new event of ordinary size costs one call")
	require.True(t, w.zoom(t, meeting("1")).taken(t).Duplicate)
	starts, describes, _ = engine.calls()
	require.Equal(t, 1, starts, "what was seen lately is not started again")
	require.Equal(t, 1, describes)

	w.zoom(t, large).taken(t)
	starts, describes, _ = engine.calls()
	require.Equal(t, 2, starts)
	require.Equal(t, 2, describes, "a large body is asked for first")
	require.True(t, w.zoom(t, large).taken(t).Duplicate)
	starts, _, _ = engine.calls()
	require.Equal(t, 2, starts)
	t.Run("a large event that the engine knows and we do not is not sent", func(t *testing.T) {
		again, memory := openFake(t, yaml("", doorSources...))
		memory.runs = engine.runs
		require.True(t, again.zoom(t, large).taken(t).Duplicate)
		starts, describes, _ := memory.calls()
		require.Zero(t, starts)
		require.Equal(t, 1, describes)
	})
}

func TestRepeatsOfOneIDAreBounded(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	w.zoom(t, meeting("1")).taken(t)
	for range 40 {
		require.True(t, w.zoom(t, meeting("1")).taken(t).Duplicate)
	}
	starts, describes, _ := engine.calls()
	require.Equal(t, 1, starts)
	require.Equal(t, 10, describes, "ten repeats a minute are looked up")
	w.now.advance(time.Minute)
	require.True(t, w.zoom(t, meeting("1")).taken(t).Duplicate)
	_, describes, _ = engine.calls()
	require.Equal(t, 11, describes)
	w.zoom(t, meeting("2")).taken(t)
	starts, _, _ = engine.calls()
	require.Equal(t, 2, starts, "other events are not held up by it")
}

func TestAKnownIDThatTheEngineForgotIsStartedAgain(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	id := w.zoom(t, meeting("1")).taken(t).EventID
	engine.mu.Lock()
	delete(engine.runs, id) // Its retention is over.
	engine.mu.Unlock()
	require.False(t, w.zoom(t, meeting("1")).taken(t).Duplicate)
}

func TestARefusedMetadataIsLeftOut(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	engine.onStart = func(_ context.Context, n int, _ client.StartWorkflowOptions) error {
		if n == 1 {
			return serviceerror.NewInvalidArgument("search attribute EventSource is not defined")
		}
		return nil
	}
	first := w.zoom(t, meeting("1")).taken(t)
	require.False(t, first.Queued)
	starts, _, _ := engine.calls()
	require.Equal(t, 2, starts)
	full, bare := engine.starts[0].options, engine.starts[1].options
	require.Positive(t, full.TypedSearchAttributes.Size())
	require.NotEmpty(t, full.StaticSummary)
	require.NotEmpty(t, full.StaticDetails)
	require.Zero(t, bare.TypedSearchAttributes.Size())
	require.Empty(t, bare.StaticSummary)
	require.Empty(t, bare.StaticDetails)
	require.Equal(t, full.ID, bare.ID)
	require.NotEmpty(t, bare.Memo[event.MemoDigest], "the digest tells collisions and stays")
}

func TestHowAStartIsAskedFor(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	w.zoom(t, meeting("1")).taken(t)
	o := engine.last(t).options
	require.Equal(t, enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, o.WorkflowIDReusePolicy)
	require.True(t, o.WorkflowExecutionErrorWhenAlreadyStarted)
	require.True(t, o.EnableEagerStart)
	require.Equal(t, `zoom meeting.started "Weekly"`, o.StaticSummary)
	require.Equal(t, "test", o.TaskQueue)
}

func TestMetadataNeverCostsAnEvent(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	for name, text := range map[string]string{
		"control characters":      `a\u0000b\u0007c\nd\u007f`,
		"a lone surrogate":        `a\ud800b`,
		"300 characters":          strings.Repeat("ü", 300),
		"invalid UTF-8":           "a\xff\xfeb",
		"Markdown and HTML":       `[x](javascript:1) <script>alert(1)</script> **b**`,
		"ten thousand characters": strings.Repeat("x", 10000),
		"a right-to-left mark":    "a\u202eb",
	} {
		t.Run(name, func(t *testing.T) {
			body := `{"event":"` + text + `","id":"` + name + `","order":{"number":"` + text + `"}}`
			a := w.post(t, "shop", body, signShop(body, w.now.time(), goodSecret)...).taken(t)
			require.False(t, a.Queued)
			s := engine.last(t)
			require.Equal(t, body, string(s.body.GetData()))
			for k, v := range s.options.TypedSearchAttributes.GetUntypedValues() {
				if text, ok := v.(string); ok {
					require.LessOrEqual(t, len([]rune(text)), 255, k.GetName())
					require.NotRegexp(t, "[\x00-\x1f\x7f]", text)
					require.Equal(t, strings.ToValidUTF8(text, "?"), text)
				}
			}
			require.LessOrEqual(t, len(s.options.StaticSummary), 400)
			require.NotContains(t, s.options.StaticDetails, "<script>")
			require.NotContains(t, s.options.StaticDetails, "[x](")
			_, err := json.Marshal(s.event)
			require.NoError(t, err)
		})
	}
	for _, at := range []string{"10000-01-01T00:00:00Z", "+12026-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "yesterday", "9999-12-31T23:59:59-14:00", ""} {
		t.Run("the time "+at, func(t *testing.T) {
			body := `{"event":"x","id":"` + at + `","at":"` + at + `"}`
			require.False(t, w.post(t, "shop", body, signShop(body, w.now.time(), goodSecret)...).taken(t).Queued)
			for k := range engine.last(t).options.TypedSearchAttributes.GetUntypedValues() {
				require.NotEqual(t, event.AttributeTime, k.GetName())
			}
			_, err := json.Marshal(engine.last(t).event)
			require.NoError(t, err, "the event can be written as an argument")
		})
	}
	t.Run("a time whose offset JSON does not know", func(t *testing.T) {
		const body = `{"event":"x","id":"offset","at":"2026-01-01T00:00:00+24:00"}`
		require.False(t, w.post(t, "shop", body, signShop(body, w.now.time(), goodSecret)...).taken(t).Queued)
	})
	t.Run("texts as long as the body", func(t *testing.T) {
		long := strings.Repeat("x", 300_000)
		body := `{"event":"` + long + `","id":"` + long + `","order":{"number":"` + long + `"}}`
		require.False(t, w.post(t, "shop", body, signShop(body, w.now.time(), goodSecret)...).taken(t).Queued)
		text, err := json.Marshal(engine.last(t).event)
		require.NoError(t, err)
		require.Less(t, len(text), 20_000, "they travel once, in the body")
		require.Equal(t, sha("shop\n"+long), engine.last(t).options.ID)
	})
	t.Run("milliseconds past the year 10000", func(t *testing.T) {
		body := strings.Replace(meeting("late"), "1687276800000", "999999999999999", 1)
		require.False(t, w.zoom(t, body).taken(t).Queued)
		_, err := json.Marshal(engine.last(t).event)
		require.NoError(t, err)
		w.zoom(t, strings.Replace(meeting("later"), "1687276800000", "1e300", 1)).taken(t)
	})
	require.Equal(t, http.StatusOK, w.zoom(t, meeting("1")).status)
}
