package provider_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
)

// ids are those of the events of a request, if it is accepted.
func (l *lawful) ids(r *verify.Request) []string {
	if _, _, ok := l.event(r); !ok {
		return nil
	}
	events, _ := provider.Identify(l.v, l.name, r)
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.EventID
	}
	return ids
}

// One signature, one event, where each item of a body has a signature of its own: a
// stranger may put captured items together in any way, and change what is around them;
// no event comes of it but those that were sent.
func TestItemsSignedApartAreTheirEventsHoweverTheyArePutTogether(t *testing.T) {
	l := newLawful(t, "adyen-payments")
	var items, known []string
	for _, seed := range []string{"one", "two", "three"} {
		r := l.genuine(t, seed)[0]
		known = append(known, l.ids(r)...)
		_, list, ok := strings.Cut(string(r.Body), `"notificationItems":[`)
		require.True(t, ok)
		items = append(items, strings.TrimSuffix(list, "]}"))
	}
	require.Len(t, known, 3)
	together := func(live string, items ...string) *verify.Request {
		return request(provider.Sample{
			Method: "POST", ContentType: "application/json",
			Body: []byte(`{"live":"` + live + `","notificationItems":[` + strings.Join(items, ",") + `]}`),
		})
	}
	a, b, c := items[0], items[1], items[2]
	require.Equal(t, known, l.ids(together("false", a, b, c)))
	require.Equal(t, []string{known[2], known[0], known[0]}, l.ids(together("true", c, a, a)))
	accepted := 0
	for _, genuine := range []*verify.Request{together("false", a, b), together("false", a, b, a), together("", c)} {
		for i, m := range mutants(genuine) {
			if i%lawStride(2, 6) != 0 {
				continue
			}
			ids := l.ids(m.r)
			if len(ids) > 0 {
				accepted++
			}
			require.Subset(t, known, ids, "%s\n%s", m.how, m.r.Body)
		}
	}
	require.Positive(t, accepted)
	t.Logf("%d mutants accepted, none of which is another event", accepted)
}

// Where one signature is over the whole of a batch, nothing of it can be changed, and its
// events have the IDs that they would have had alone.
func TestABatchUnderOneSignatureIsTakenWholeOrNotAtAll(t *testing.T) {
	p := verify.Profile{
		Algorithm: "hmac-sha256", Signature: verify.Signature{Headers: []string{"X-Sig"}}, Dedupe: "id",
		Identity: verify.Identity{Type: "body:type", ID: "body:id"}, Batch: &verify.Batch{As: "application/json"},
	}
	v, err := provider.Compile(p)
	require.NoError(t, err)
	l := &lawful{name: "own", v: v, signs: verify.Secret{Value: "a-secret-of-the-tests"}, secrets: []verify.Secret{{Value: "a-secret-of-the-tests"}}}
	sign := func(body string) *verify.Request {
		r, err := l.sign(request(provider.Sample{Method: "POST", ContentType: "application/json", Body: []byte(body)}))
		require.NoError(t, err)
		return r
	}
	one, two, bare := `{"type":"a","id":"1"}`, `{"type":"b","id":"2"}`, `{"type":"c"}`
	alone := append(l.ids(sign(one)), l.ids(sign(two))...)
	batch := sign("[" + one + "," + two + "," + bare + "," + bare + "]")
	ids := l.ids(batch)
	require.Equal(t, alone, ids[:2])
	require.NotEqual(t, ids[2], ids[3], "each bare one is an event of its own")
	require.NotContains(t, l.ids(sign("["+bare+"]")), ids[2], "and that of another batch is another")
	accepted := 0
	for _, m := range mutants(batch) {
		if got := l.ids(m.r); len(got) > 0 {
			accepted++
			require.Equal(t, ids, got, m.how)
		}
	}
	require.Positive(t, accepted)
}
