package verify_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
)

// A signature over all of the body vouches for each event of a batch; one over parts of it
// lets a stranger put batches together.
func TestABatchNeedsASignatureThatReachesIt(t *testing.T) {
	list := &verify.Batch{As: "application/json"}
	for name, test := range map[string]struct {
		p     verify.Profile
		fault string
	}{
		"the whole body": {verify.Profile{Algorithm: "hmac-sha256", Signature: verify.Signature{Headers: []string{"X-Sig"}}, Batch: list}, ""},
		"a token":        {verify.Profile{Algorithm: "token", Signature: verify.Signature{Headers: []string{"X-Token"}}, Batch: list}, ""},
		"a header alone": {verify.Profile{
			Algorithm: "hmac-sha256", Content: "{header:X-Nonce}", Signature: verify.Signature{Headers: []string{"X-Sig"}}, Batch: list,
		}, "put captured events together"},
		"a type that is not signed": {verify.Profile{
			Algorithm: "hmac-sha256", Signature: verify.Signature{Headers: []string{"X-Sig"}}, Batch: &verify.Batch{As: "a/b", ContentType: "c/d"},
		}, "batch.content_type"},
		"no type": {verify.Profile{Algorithm: "token", Signature: verify.Signature{Headers: []string{"X-Token"}}, Batch: &verify.Batch{}}, "batch.as"},
		"no path": {verify.Profile{Algorithm: "token", Signature: verify.Signature{Headers: []string{"X-Token"}}, Batch: &verify.Batch{Items: "a..b"}}, "batch.items"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.p.Compile(nil)
			if test.fault == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.fault)
		})
	}
}

// Two batches that are signed apart are never one event where their events have no ID.
func TestEventsOfABatchWithoutAnIDAreTheBatchs(t *testing.T) {
	for _, dedupe := range []string{"", "body", "id"} {
		p := verify.Profile{
			Algorithm: "hmac-sha256", Signature: verify.Signature{Headers: []string{"X-Sig"}},
			Batch: &verify.Batch{As: "application/json"}, Dedupe: dedupe, Identity: verify.Identity{ID: "body:id"},
		}
		v, err := p.Compile(nil)
		require.NoError(t, err)
		seen := map[string]bool{}
		for _, body := range []string{`[{"a":1}]`, `[{"a":1},{"a":1}]`, ` [{"a":1}]`, `[{"a":1},{"a":2}]`} {
			parts, err := v.Events(&verify.Request{Header: verify.HTTPHeader{}, Body: []byte(body)})
			require.NoError(t, err)
			for _, one := range parts {
				d := v.Distinguish(one)
				require.Empty(t, d.ID)
				require.False(t, seen[string(d.Bytes)], body)
				seen[string(d.Bytes)] = true
			}
		}
		require.Len(t, seen, 6)
	}
}
