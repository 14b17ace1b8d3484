package starter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/spool"
	"github.com/grapnel/grapnel/internal/verify"
)

const batchType = "application/cloudevents-batch+json"

// cloudEvent is an event in the structured mode.
func cloudEvent(source, id string) string {
	return fmt.Sprintf(`{"specversion":"1.0","type":"lamp.on","source":%q,"id":%q,"subject":"hall","data":{"n":1}}`, source, id)
}

// all reads the answer to a batch.
func (r reply) all(t *testing.T) []accepted {
	t.Helper()
	var a struct {
		Success bool       `json:"success"`
		Events  []accepted `json:"events"`
	}
	require.NoError(t, json.Unmarshal([]byte(r.body), &a), r.body)
	require.True(t, a.Success)
	require.NotNil(t, a.Events)
	return a.Events
}

func lamps(t *testing.T, settings ...string) (*doorway, *fakeTemporal) {
	t.Helper()
	return openFake(t, yaml("", doorSource("lamps", "cloudevents", goodSecret, settings...)))
}

func (w *doorway) batch(t *testing.T, body string) reply {
	t.Helper()
	return w.post(t, "lamps", body, "Authorization", "Bearer "+goodSecret, "Content-Type", batchType, "ce-id", "of-no-event")
}

func TestABatchIsItsEvents(t *testing.T) {
	w, engine := lamps(t)
	one, two, three := cloudEvent("/a", "1"), cloudEvent("/a", "2"), cloudEvent("/b c", "1%")
	r := w.batch(t, "[ "+one+" ,\n"+two+","+three+"]")
	require.Equal(t, http.StatusAccepted, r.status, r.body)
	got := r.all(t)
	require.Len(t, got, 3)
	starts, _, _ := engine.calls()
	require.Equal(t, 3, starts)
	for i, body := range []string{one, two, three} {
		require.Equal(t, got[i].EventID, sha("lamps\n"+[]string{"/a 1", "/a 2", "/b%20c 1%25"}[i]))
		for _, s := range engine.starts {
			if s.options.ID == got[i].EventID {
				require.Equal(t, body, string(s.body.GetData()), "its bytes as they came")
				require.Equal(t, "application/cloudevents+json", s.event.DataContentType)
				require.Equal(t, "lamp.on", s.event.Type)
				require.Equal(t, "hall", s.event.Subject)
			}
		}
	}
	t.Run("one of them by itself is a repeat, in each mode", func(t *testing.T) {
		structured := w.post(t, "lamps", one, "Authorization", "Bearer "+goodSecret, "Content-Type", "application/cloudevents+json")
		require.Contains(t, structured.body, got[0].EventID)
		require.Contains(t, structured.body, `"duplicate":true`)
		binary := w.post(t, "lamps", `{"n":1}`, "Authorization", "Bearer "+goodSecret, "ce-source", "/b%20c", "ce-id", "1%25", "ce-type", "lamp.on")
		require.Contains(t, binary.body, got[2].EventID)
		require.Contains(t, binary.body, `"duplicate":true`)
	})
	t.Run("in another batch, in another order and twice", func(t *testing.T) {
		again := w.batch(t, "["+three+","+cloudEvent("/a", "9")+","+one+","+one+"]").all(t)
		require.Equal(t, []bool{true, false, true, true}, []bool{again[0].Duplicate, again[1].Duplicate, again[2].Duplicate, again[3].Duplicate})
		require.Equal(t, got[2].EventID, again[0].EventID)
		require.Equal(t, got[0].EventID, again[3].EventID)
	})
	t.Run("none", func(t *testing.T) {
		r := w.batch(t, " [] ")
		require.Equal(t, http.StatusAccepted, r.status)
		require.Empty(t, r.all(t))
	})
	t.Run("one", func(t *testing.T) {
		require.Equal(t, http.StatusAccepted, w.batch(t, "["+cloudEvent("/a", "10")+"]").status)
	})
	t.Run("events without an ID are told apart by the whole and their place", func(t *testing.T) {
		bare := `{"type":"lamp.on"}`
		first := w.batch(t, "["+bare+","+bare+"]").all(t)
		require.NotEqual(t, first[0].EventID, first[1].EventID)
		other := w.batch(t, "["+bare+"]")
		require.NotContains(t, other.body, first[0].EventID)
		require.NotContains(t, other.body, "duplicate")
		repeat := w.batch(t, "["+bare+","+bare+"]").all(t)
		require.Equal(t, first[0].EventID, repeat[0].EventID)
		require.True(t, repeat[1].Duplicate)
	})
	for name, body := range map[string]string{
		"no JSON": "[" + one, "an object": one, "a text": `"x"`, "a number in the list": "[" + one + ",1]", "two lists": "[][]",
		"a list in the list": "[[" + one + "]]", "too many": "[" + strings.Repeat("{},", 5000) + "{}]",
	} {
		t.Run(name, func(t *testing.T) {
			before, _, _ := engine.calls()
			w.batch(t, body).refused(t, http.StatusBadRequest, "Invalid event")
			after, _, _ := engine.calls()
			require.Equal(t, before, after, "nothing of it was started")
		})
	}
}

func TestABatchIsAnsweredWhenAllOfItIsDurable(t *testing.T) {
	body := "[" + cloudEvent("/a", "1") + "," + cloudEvent("/a", "2") + "," + cloudEvent("/a", "3") + "]"
	third := sha("lamps\n/a 3")
	t.Run("without a disk it comes again", func(t *testing.T) {
		w, engine := lamps(t)
		away := errors.New("away")
		engine.set(func(_ context.Context, _ int, o client.StartWorkflowOptions) error {
			if o.ID == third {
				return away
			}
			return nil
		})
		w.batch(t, body).refused(t, http.StatusServiceUnavailable, "Try again later")
		engine.set(nil)
		again := w.batch(t, body).all(t)
		require.Len(t, again, 3)
		require.False(t, again[2].Duplicate, "it was not started before")
		engine.mu.Lock()
		defer engine.mu.Unlock()
		require.Len(t, engine.runs, 3, "each once")
	})
	t.Run("with a disk it is queued", func(t *testing.T) {
		disk, with := withSpool(t, spool.Options{})
		w, engine := openFake(t, yaml("", doorSource("lamps", "cloudevents", goodSecret)), with)
		engine.set(always(errors.New("away")))
		got := w.batch(t, body).all(t)
		require.Equal(t, []bool{true, true, true}, []bool{got[0].Queued, got[1].Queued, got[2].Queued})
		require.Equal(t, 3, disk.Depth())
	})
}

func TestWhatIsThereAgainInABatchCostsTheEngineNothing(t *testing.T) {
	w, engine := lamps(t)
	one := cloudEvent("/a", "1")
	got := w.batch(t, "["+strings.Repeat(one+",", 999)+one+"]").all(t)
	require.Len(t, got, 1000)
	require.False(t, got[0].Duplicate)
	require.True(t, got[999].Duplicate)
	require.Equal(t, got[0].EventID, got[999].EventID)
	starts, describes, _ := engine.calls()
	require.Equal(t, 1, starts+describes)
}

func TestABatchIsJudgedByTypes(t *testing.T) {
	w, engine := lamps(t, "events: [lamp.off]")
	got := w.batch(t, "["+cloudEvent("/a", "1")+","+strings.Replace(cloudEvent("/a", "2"), "lamp.on", "lamp.off", 1)+"]").all(t)
	require.True(t, got[0].Ignored)
	require.False(t, got[1].Ignored)
	starts, _, _ := engine.calls()
	require.Equal(t, 1, starts)
}

func TestItemsOfAdyenAreEvents(t *testing.T) {
	const key = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
	w, engine := openFake(t, yaml("", doorSource("pay", "adyen-payments", key)))
	profile, _ := provider.Get("adyen-payments")
	v, err := provider.Compile(profile)
	require.NoError(t, err)
	item := func(psp string) string {
		body := `{"live":"false","notificationItems":[{"NotificationRequestItem":{"additionalData":{},"amount":{"currency":"EUR","value":1},` +
			`"eventCode":"AUTHORISATION","merchantAccountCode":"M","merchantReference":"r","pspReference":"` + psp + `","success":"true"}}]}`
		signed, err := v.Sign(&verify.Request{Body: []byte(body)}, verify.Secret{Value: key}, w.now.time())
		require.NoError(t, err)
		_, list, _ := strings.Cut(string(signed.Body), `"notificationItems":[`)
		return strings.TrimSuffix(list, "]}")
	}
	post := func(items ...string) reply {
		return w.post(t, "pay", `{"live":"false","notificationItems":[`+strings.Join(items, ",")+`]}`)
	}
	a, b := item("a"), item("b")
	require.Equal(t, "[accepted]", post(a, b).body)
	starts, _, _ := engine.calls()
	require.Equal(t, 2, starts)
	for _, body := range []reply{post(a), post(b, a), post(b)} {
		require.Equal(t, "[accepted]", body.body)
	}
	engine.mu.Lock()
	require.Len(t, engine.runs, 2, "each item is one event, however they are put together")
	require.Contains(t, string(engine.starts[0].body.GetData()), `{"live":"false","notificationItems":[{"NotificationRequestItem"`)
	engine.mu.Unlock()
	beside := `{"live":"` + strings.Repeat("x", 100<<10) + `","notificationItems":[` + strings.Repeat(a+",", 99) + a + `]}`
	w.post(t, "pay", beside).refused(t, http.StatusBadRequest, "Invalid event")
	post(a, strings.Replace(b, `"value":1`, `"value":2`, 1)).refused(t, http.StatusUnauthorized, "Invalid signature")
}

func TestAttributesOfCloudEventsAreDecodedOnce(t *testing.T) {
	w, engine := lamps(t)
	post := func(headers ...string) reply {
		return w.post(t, "lamps", `{}`, append([]string{"Authorization", "Bearer " + goodSecret}, headers...)...)
	}
	for i, test := range []struct{ name, raw, want string }{
		{"as it is", "lamp.on", "lamp.on"},
		{"once", "%2541", "%41"},
		{"needlessly", "%6camp", "lamp"},
		{"UTF-8", "Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"},
		{"a plus", "a+b", "a+b"},
		{"quoted", `"a \"b\" %41"`, `a "b" A`},
		{"a percent sign that encodes nothing", "50%", "50%"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := post("ce-source", "/s", "ce-id", fmt.Sprint(i), "ce-type", test.raw, "ce-subject", test.raw, "ce-time", "2023-06-20T16%3A00%3A00Z")
			require.Equal(t, http.StatusAccepted, r.status, r.body)
			e := engine.last(t).event
			require.Equal(t, test.want, e.Type)
			require.Equal(t, test.want, e.Subject)
			require.Equal(t, 2023, e.Time.Year())
		})
	}
	t.Run("no other parts of an ID give the same", func(t *testing.T) {
		seen := map[string]string{}
		for _, parts := range [][2]string{{"/a", "b"}, {"/a%20b", ""}, {"/a", "%20b"}, {"/a%2520", "b"}, {"/a%20", "b"}, {"/a", "%2520b"}, {"/a%25", "20b"}} {
			if parts[1] == "" {
				continue
			}
			var a accepted
			require.NoError(t, json.Unmarshal([]byte(post("ce-source", parts[0], "ce-id", parts[1]).body), &a))
			require.Empty(t, seen[a.EventID], "%v", parts)
			seen[a.EventID] = fmt.Sprint(parts)
		}
	})
	for _, bad := range []string{"a%FF", "a%C0%A0", "a%ED%A0%80", "50%", "%zz", "a\xff"} {
		t.Run("an ID that is "+bad, func(t *testing.T) {
			post("ce-source", "/s", "ce-id", bad).refused(t, http.StatusBadRequest, "Invalid event")
			post("ce-source", bad, "ce-id", "1").refused(t, http.StatusBadRequest, "Invalid event")
		})
	}
}
