package payload_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/internal/payload"
)

func TestABodyTravelsAsItsBytes(t *testing.T) {
	for name, c := range map[string]struct{ body, encoding string }{
		"JSON with white space and a big number": {` {"a":12345678901234567890, "b":"<"} `, "json/plain"},
		"a form":                                 {"payload=%7B%7D", "binary/plain"},
		"nothing":                                {"", "binary/plain"},
		"no text":                                {"\xff\x00", "binary/plain"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := converter.GetDefaultDataConverter().ToPayload(payload.Body([]byte(c.body)))
			require.NoError(t, err)
			require.Equal(t, c.body, string(p.GetData()))
			require.Equal(t, c.encoding, string(p.GetMetadata()["encoding"]))
		})
	}
}

func TestWhatIsNotThereOrNotOursIsZero(t *testing.T) {
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	written, err := converter.GetDefaultDataConverter().ToPayload(at)
	require.NoError(t, err)
	foreign := &common.Payload{Metadata: map[string][]byte{"encoding": []byte("of/others")}, Data: []byte("x")}
	fields := map[string]*common.Payload{"at": written, "foreign": foreign}
	memo, attributes := &common.Memo{Fields: fields}, &common.SearchAttributes{IndexedFields: fields}
	require.Equal(t, at, payload.Memo[time.Time](memo, "at"))
	require.Equal(t, at, payload.Attribute[time.Time](attributes, "at"))
	for _, key := range []string{"foreign", "absent"} {
		require.Zero(t, payload.Memo[time.Time](memo, key))
		require.Empty(t, payload.Attribute[string](attributes, key))
	}
	require.Empty(t, payload.Memo[string](nil, "at"))
	require.Empty(t, payload.Attribute[string](nil, "at"))
}
