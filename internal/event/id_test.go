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
func TestIDByFieldsIsWhatGenerateEventIDGives(t *testing.T) {
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
			id, ok := event.IDByFields([]byte(p.Body), zoomFields())
			require.Equal(t, p.ID != nil, ok)
			if ok {
				require.Equal(t, *p.Text, text)
				require.Equal(t, *p.ID, id)
			}
		})
	}
}

func TestIDByFieldsRefusesWhatIsNoJSON(t *testing.T) {
	for _, body := range []string{"", "{", `{"event":}`, "event=1", "{}{}", "\x00"} {
		_, ok := event.IDByFields([]byte(body), zoomFields())
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

func TestDigest(t *testing.T) {
	digest := func(body string) string { return event.Digest("zoom", []byte(body)) }
	t.Run("key order and white space do not matter", func(t *testing.T) {
		require.Equal(t, digest(`{"a":1,"b":[true,null]}`), digest("{ \"b\" : [true, null],\n\"a\": 1 }"))
		require.Equal(t, digest(`{"a":"é"}`), digest(`{"a":"\u00e9"}`))
		require.Equal(t, digest(`{"a":2}`), digest(`{"a":1,"a":2}`), "of two values of one name the last counts, as to encoding/json")
	})
	for name, pair := range map[string][2]string{
		"big numbers differ in their last digit": {`{"a":12345678901234567890}`, `{"a":12345678901234567891}`},
		"lone surrogates differ":                 {`{"a":"\ud800"}`, `{"a":"\ud801"}`},
		"the order of an array matters":          {`[1,2]`, `[2,1]`},
		"a text is not a number":                 {`{"a":"1"}`, `{"a":1}`},
		"what is no JSON counts by its bytes":    {`a=1`, `a=1 `},
		"joined members differ from split ones":  {`{"a":"1,2"}`, `{"a":"1","2":""}`},
	} {
		t.Run(name, func(t *testing.T) { require.NotEqual(t, digest(pair[0]), digest(pair[1])) })
	}
	t.Run("another source is another digest", func(t *testing.T) {
		require.NotEqual(t, event.Digest("a", []byte("{}")), event.Digest("b", []byte("{}")))
	})
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
		require.Equal(t, event.Digest("s", compact), event.Digest("s", indented))
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
		event.Digest("s", body)
	})
}

func TestIDAndDigestAreThoseOfTheirOwn(t *testing.T) {
	many := `{"k":{`
	for i := range 50 {
		many += fmt.Sprintf(`"m%d":%d,"m%d":"later",`, i, i, i/2)
	}
	many += `"é\ud800":"\u00e9😀"}}`
	fields := []event.Field{{Key: "k", Paths: []string{"k"}}, {Key: "x", Paths: []string{"x"}}}
	for _, body := range []string{
		`{"k":{"b":1,"a":[2,{"z":null}]},"x":"y"}`, many, `{"k":1}`, `{}`, `[]`, `null`, `no JSON`, ``, `"é😀\n"`,
	} {
		id, ok := event.IDByFields([]byte(body), fields)
		gotID, digest, gotOK := event.IDAndDigest("s", []byte(body), fields)
		require.Equal(t, ok, gotOK, body)
		require.Equal(t, id, gotID, body)
		require.Equal(t, event.Digest("s", []byte(body)), digest, body)
	}
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
