package verify_test

import (
	"bytes"
	"compress/gzip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/verify"
)

func TestABodyThatWasCompressedAfterSigning(t *testing.T) {
	p := bodySigned()
	p.Gzip = true
	v := reader(t, p)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write([]byte(`{"a":1}`))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	r := sign(t, v, post(`{"a":1}`, "Content-Encoding", "gzip"), verify.Secret{Value: "k"})
	r.Body = packed.Bytes()
	require.Error(t, v.Verify(r, one("k"), at()))

	plain, err := v.Decompress(r, 7)
	require.NoError(t, err)
	require.JSONEq(t, `{"a":1}`, string(plain.Body))
	require.NoError(t, v.Verify(plain, one("k"), at()))

	_, err = v.Decompress(r, 6)
	require.ErrorIs(t, err, verify.ErrTooLarge)

	r.Body = packed.Bytes()[:packed.Len()-4]
	_, err = v.Decompress(r, 100)
	require.Equal(t, verify.MalformedSignature, reason(t, err))
	r.Body = []byte("{}")
	_, err = v.Decompress(r, 100)
	require.Equal(t, verify.MalformedSignature, reason(t, err))

	same, err := reader(t, bodySigned()).Decompress(r, 1)
	require.NoError(t, err)
	require.Same(t, r, same, "a profile that does not say so never decompresses")
	delete(r.Header.(verify.HTTPHeader), "Content-Encoding")
	same, err = v.Decompress(r, 1)
	require.NoError(t, err)
	require.Same(t, r, same)
}
