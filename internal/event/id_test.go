package event_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/grapnel/grapnel/internal/event"
)

// zoomFields is the object that the key of a Zoom event is made of.
func zoomFields() []event.Field {
	return []event.Field{
		{Key: "type", Paths: []string{"event"}},
		{Key: "accountId", Paths: []string{"payload.account_id"}},
		{Key: "objectId", Paths: []string{"payload.object.uuid", "payload.object.id"}},
		{Key: "timestamp", Paths: []string{"event_ts"}},
	}
}

// The pairs in testdata were made by running the JavaScript function
// generateEventId, with JSON.parse before it, under Node 20. A null ID is one
// that threw.
func TestIDAndDigestGiveWhatGenerateEventIDGives(t *testing.T) {
	src, err := os.ReadFile("testdata/generate_event_id.json")
	require.NoError(t, err)
	var pairs []struct {
		Name, Body string
		Text, ID   *string
	}
	require.NoError(t, json.Unmarshal(src, &pairs))
	require.NotEmpty(t, pairs)
	for _, p := range pairs {
		t.Run(p.Name, func(t *testing.T) {
			text, ok := event.Stringify([]byte(p.Body), zoomFields())
			require.Equal(t, p.ID != nil, ok)
			if ok {
				require.Equal(t, *p.Text, text)
			}
			id, _, told := event.IDAndDigest("zoom", []byte(p.Body), zoomFields())
			if told {
				require.Equal(t, *p.ID, id)
			}
			require.Equal(t, ok && p.Name != "repeated keys", told)
		})
	}
}

func TestIDAndDigestRefuseWhatIsNoJSON(t *testing.T) {
	for _, body := range []string{"", "{", `{"event":}`, "event=1", "{}{}", "\x00"} {
		_, _, ok := event.IDAndDigest("zoom", []byte(body), zoomFields())
		require.False(t, ok, body)
	}
}

func TestIDsAreTheHashesThatTheContractNames(t *testing.T) {
	hash := func(s string) string {
		h := sha256.Sum256([]byte(s))
		return hex.EncodeToString(h[:])
	}
	require.Equal(t, hash("stripe\nevt_1"), event.IDBySender("stripe", "evt_1"))
	require.Equal(t, hash("stripe\n{}"), event.IDByBody("stripe", []byte("{}")))
	require.Equal(t, hash("key\ndigest"), event.IDOfCollision("key", "digest"))
}

// digest is that of a body whose key is always the same.
func digest(t require.TestingT, source, body string) string {
	_, digest, ok := event.IDAndDigest(source, []byte(body), []event.Field{{Key: "k", Paths: []string{"none"}}})
	require.True(t, ok, body)
	return digest
}

func TestDigest(t *testing.T) {
	t.Run("key order and white space do not matter", func(t *testing.T) {
		require.Equal(t, digest(t, "zoom", `{"a":1,"b":[true,null]}`), digest(t, "zoom", "{ \"b\" : [true, null],\n\"a\": 1 }"))
		require.Equal(t, digest(t, "zoom", `{"a":"é"}`), digest(t, "zoom", `{"a":"\u00e9"}`))
	})
	for name, pair := range map[string][2]string{
		"big numbers differ in their last digit": {`{"a":12345678901234567890}`, `{"a":12345678901234567891}`},
		"lone surrogates differ":                 {`{"a":"\ud800"}`, `{"a":"\ud801"}`},
		"the order of an array matters":          {`[1,2]`, `[2,1]`},
		"a text is not a number":                 {`{"a":"1"}`, `{"a":1}`},
		"joined members differ from split ones":  {`{"a":"1,2"}`, `{"a":"1","2":""}`},
	} {
		t.Run(name, func(t *testing.T) { require.NotEqual(t, digest(t, "zoom", pair[0]), digest(t, "zoom", pair[1])) })
	}
	t.Run("another source is another digest", func(t *testing.T) {
		require.NotEqual(t, digest(t, "a", "{}"), digest(t, "b", "{}"))
	})
}

func TestABodyThatOthersReadLikeHasNoKey(t *testing.T) {
	for name, body := range map[string]string{
		"a member twice":                 `{"event":"a","event":"b"}`,
		"a member twice further in":      `{"event":"a","payload":{"object":{"id":1,"x":[{"y":1,"y":2}]}}}`,
		"a member twice by an escape":    `{"event":"a","\u0065vent":"a"}`,
		"a byte that is no UTF-8":        "{\"event\":\"a\xff\",\"payload\":{\"object\":{\"id\":1}}}",
		"a name that is no UTF-8":        "{\"event\":\"a\",\"\xff\":1,\"payload\":{\"object\":{\"id\":1}}}",
		"the first bytes of a character": "{\"event\":\"a\",\"x\":\"\xe2\x82\",\"payload\":{\"object\":{\"id\":1}}}",
	} {
		t.Run(name, func(t *testing.T) {
			_, _, ok := event.IDAndDigest("zoom", []byte(body), zoomFields())
			require.False(t, ok)
		})
	}
	_, _, ok := event.IDAndDigest("zoom", []byte(`{"event":"\ufffd and �","payload":{"object":{"id":1}}}`), zoomFields())
	require.True(t, ok, "a replacement character that was sent is a character")
}

// Whatever JSON a sender writes: the digest is the same after a round trip
// through another writer, and reading never fails.
func TestDigestSurvivesAnotherWriter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(rapid.String(), rapid.OneOf(
			rapid.Map(rapid.String(), func(s string) any { return s }),
			rapid.Map(rapid.Int64(), func(i int64) any { return i }),
			rapid.Map(rapid.SliceOf(rapid.String()), func(s []string) any { return s }),
		)).Draw(t, "object")
		compact, err := json.Marshal(m)
		require.NoError(t, err)
		indented, err := json.MarshalIndent(m, " ", "\t")
		require.NoError(t, err)
		require.Equal(t, digest(t, "s", string(compact)), digest(t, "s", string(indented)))
	})
}

func FuzzStringify(f *testing.F) {
	f.Add([]byte(`{"event":"a","payload":{"object":{"uuid":"\ud800"}},"event_ts":1e21}`))
	f.Add([]byte(`[{"a":[]},-0.1e-5,"\\\"",null]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		text, ok := event.Stringify(body, zoomFields())
		if ok && !json.Valid([]byte(text)) {
			t.Fatalf("not JSON: %q", text)
		}
		event.IDAndDigest("s", body, zoomFields())
	})
}

func TestMembersAreSortedHoweverMany(t *testing.T) {
	one, other := `{"k":{`, `{"k":{`
	for i := range 50 {
		one += fmt.Sprintf(`"m%d":%d,`, i, i)
		other += fmt.Sprintf(`"m%d":%d,`, 49-i, 49-i)
	}
	require.Equal(t, digest(t, "s", one+`"é\ud800":"\u00e9😀"}}`), digest(t, "s", other+`"\u00e9\ud800":"é😀"}}`))
	_, _, ok := event.IDAndDigest("s", []byte(one+`"m7":7}}`), zoomFields())
	require.False(t, ok, "a member twice among many")
}

// BenchmarkIDAndDigest is what it costs to name an event by its fields.
func BenchmarkIDAndDigest(b *testing.B) {
	for _, items := range []int{4, 5000} {
		body := `{"event":"meeting.started","event_ts":1687276800000,"payload":{"account_id":"a","object":{"uuid":"1","items":[`
		for i := range items {
			body += fmt.Sprintf(`{"id":%d,"name":"some name","email":"user%d@example.com","ok":true},`, i, i)
		}
		text := []byte(body[:len(body)-1] + `]}}}`)
		b.Run(fmt.Sprintf("%d bytes", len(text)), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				event.IDAndDigest("zoom", text, zoomFields())
			}
		})
	}
}
