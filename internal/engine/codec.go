package engine

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"sync"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

// zlibEncoding marks a compressed payload. Encoding and format are those of the SDK's own zlib
// codec, so that codecs in other languages can read it.
const zlibEncoding = "binary/zlib"

// Bounds in bytes of what is compressed and of what is decompressed. Temporal takes 2 MB for one
// payload, so anything larger was made to do harm.
const (
	maxPayload  = 2 << 20
	maxPayloads = 16 << 20 // all payloads of one call together
)

// codec compresses large payloads and reads compressed ones.
type codec struct {
	from    int
	writers sync.Pool
}

// NewCodec makes the codec of every Temporal client of grapnel. It compresses payloads of at least
// from bytes if that makes them smaller; 0 compresses none. It always reads compressed payloads, so
// that compression can be switched off with compressed events in flight. It is an error if a
// payload is damaged or would decompress to more than 2 MiB.
//
// The SDK's own zlib codec is not used, because it allocates a writer of 0.8 MB for each payload
// and reads without a bound. This one reuses its writers.
func NewCodec(from int) converter.PayloadCodec {
	c := &codec{from: from}
	c.writers.New = func() any {
		// Fast costs half the CPU of the default and a tenth more bytes.
		w, _ := zlib.NewWriterLevel(nil, zlib.BestSpeed) // It fails only for an unknown level.
		return w
	}
	return c
}

// Encode implements converter.PayloadCodec.
func (c *codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	if c.from == 0 {
		return payloads, nil
	}
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		out[i] = p
		if len(p.GetData()) < c.from {
			continue
		}
		size := proto.Size(p)
		if size > maxPayload {
			continue // Decode could not read it. Temporal will refuse it.
		}
		packed, err := c.compress(p)
		if err != nil {
			return nil, err
		}
		if proto.Size(packed) < size {
			out[i] = packed
		}
	}
	return out, nil
}

func (c *codec) compress(p *commonpb.Payload) (*commonpb.Payload, error) {
	plain, err := proto.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("write a payload to compress it: %w", err)
	}
	var packed bytes.Buffer
	packed.Grow(len(plain) / 2)
	w, _ := c.writers.Get().(*zlib.Writer)
	defer c.writers.Put(w)
	w.Reset(&packed)
	_, _ = w.Write(plain) // A buffer takes everything.
	_ = w.Close()
	return &commonpb.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte(zlibEncoding)},
		Data:     packed.Bytes(),
	}, nil
}

// Decode implements converter.PayloadCodec.
func (c *codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out, left := make([]*commonpb.Payload, len(payloads)), maxPayloads
	for i, p := range payloads {
		if string(p.GetMetadata()[converter.MetadataEncoding]) != zlibEncoding {
			out[i] = p
			continue
		}
		plain, err := decompress(p.GetData(), min(left, maxPayload))
		if err != nil {
			return nil, fmt.Errorf("decompress a payload: %w", err)
		}
		left -= len(plain)
		out[i] = &commonpb.Payload{}
		if err := proto.Unmarshal(plain, out[i]); err != nil {
			return nil, fmt.Errorf("read a payload that was decompressed: %w", err)
		}
	}
	return out, nil
}

func decompress(packed []byte, most int) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("it is not zlib data: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if len(plain) > most {
		return nil, fmt.Errorf("it holds more than %d bytes", most)
	}
	return plain, r.Close()
}
