package engine_test

import (
	"bytes"
	"compress/zlib"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/grapnel/grapnel/internal/engine"
)

const compressed = "binary/zlib"

func payload(encoding, data string) *commonpb.Payload {
	return &commonpb.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte(encoding)}, Data: []byte(data),
	}
}

func encodingOf(p *commonpb.Payload) string {
	return string(p.GetMetadata()[converter.MetadataEncoding])
}

func encode(t *testing.T, from int, p *commonpb.Payload) *commonpb.Payload {
	t.Helper()
	out, err := engine.NewCodec(from).Encode([]*commonpb.Payload{p})
	require.NoError(t, err)
	require.Len(t, out, 1)
	return out[0]
}

func TestACodecCompressesWhatIsWorthIt(t *testing.T) {
	noise := make([]byte, 8<<10)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	for _, c := range []struct {
		name string
		from int
		data string
		want string
	}{
		{"a payload of the threshold", 4096, strings.Repeat("a", 4096), compressed},
		{"a payload below it", 4096, strings.Repeat("a", 4095), "json/plain"},
		{"a payload that would not get smaller", 4096, string(noise), "json/plain"},
		{"a payload too large to be read again", 4096, strings.Repeat("a", 2<<20), "json/plain"},
		{"any while it is off", 0, strings.Repeat("a", 100_000), "json/plain"},
		{"an empty one while it is off", 0, "", "json/plain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := payload("json/plain", c.data)
			before := proto.CloneOf(p)
			got := encode(t, c.from, p)
			require.Equal(t, c.want, encodingOf(got))
			require.True(t, proto.Equal(before, p), "what was given is not touched")
			if c.want != compressed {
				require.True(t, proto.Equal(p, got), "it stays byte for byte")
			}
		})
	}
}

func TestWhatACodecWritesEveryCodecReads(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var plain []*commonpb.Payload
	for range 200 {
		word := make([]byte, 1+r.IntN(64))
		for i := range word {
			word[i] = byte(r.Uint32())
		}
		p := payload([]string{"json/plain", "binary/plain"}[r.IntN(2)], string(bytes.Repeat(word, r.IntN(300))))
		p.Metadata["messageType"] = word
		plain = append(plain, p)
	}
	writer := engine.NewCodec(1024)
	for name, reader := range map[string]converter.PayloadCodec{
		"itself":               writer,
		"one that writes none": engine.NewCodec(0),
		"the SDK's own":        converter.NewZlibCodec(converter.ZlibCodecOptions{}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // Clients use theirs from many goroutines.
			packed, err := writer.Encode(plain)
			require.NoError(t, err)
			got, err := reader.Decode(packed)
			require.NoError(t, err)
			for i := range plain {
				require.True(t, proto.Equal(plain[i], got[i]), plain[i])
			}
		})
	}
}

func TestACodecReadsWhatTheSDKWrites(t *testing.T) {
	p := payload("json/plain", strings.Repeat("a", 10_000))
	packed, err := converter.NewZlibCodec(converter.ZlibCodecOptions{}).Encode([]*commonpb.Payload{p})
	require.NoError(t, err)
	got, err := engine.NewCodec(0).Decode(packed)
	require.NoError(t, err)
	require.True(t, proto.Equal(p, got[0]))
}

func zlibOf(t *testing.T, data []byte) string {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func TestACodecRefusesToRead(t *testing.T) {
	plain, err := proto.Marshal(payload("json/plain", strings.Repeat("a", 2<<20-100)))
	require.NoError(t, err)
	whole := zlibOf(t, plain)
	for _, c := range []struct {
		name  string
		data  string
		times int
		say   string
	}{
		{"a bomb", zlibOf(t, make([]byte, 64<<20)), 1, "more than 2097152 bytes"},
		{"more payloads than a call carries", whole, 9, "more than"},
		{"garbage", "garbage", 1, "not zlib data"},
		{"nothing at all", "", 1, "not zlib data"},
		{"what was cut short", whole[:len(whole)/2], 1, "damaged"},
		{"what has a flipped checksum", whole[:len(whole)-1] + "?", 1, "damaged"},
		{"what is no payload inside", zlibOf(t, []byte("no payload")), 1, "decompressed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var in []*commonpb.Payload
			for range c.times {
				in = append(in, payload(compressed, c.data))
			}
			_, err := engine.NewCodec(0).Decode(in)
			require.ErrorContains(t, err, c.say)
		})
	}
}
