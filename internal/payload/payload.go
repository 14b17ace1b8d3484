// Package payload is how our values travel in Temporal's payloads: the body of an event as
// an argument, and what a run's memo and search attributes say of it.
package payload

import (
	"encoding/json"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
)

// Body is the body of an event as an argument of its own. Its bytes stay exactly as they
// were sent, and the Web UI still shows JSON as JSON.
func Body(body []byte) converter.RawValue {
	encoding := converter.MetadataEncodingBinary
	if json.Valid(body) {
		encoding = converter.MetadataEncodingJSON
	}
	return converter.NewRawValue(&common.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte(encoding)},
		Data:     body,
	})
}

// Memo reads a value of a run's memo.
func Memo[T any](m *common.Memo, key string) T { return decoded[T](m.GetFields()[key]) }

// Attribute reads a search attribute of a run.
func Attribute[T any](a *common.SearchAttributes, name string) T {
	return decoded[T](a.GetIndexedFields()[name])
}

// decoded gives the zero value where there is no payload, and where it does not decode:
// then it was not written by us.
func decoded[T any](p *common.Payload) (value T) {
	if p != nil {
		_ = converter.GetDefaultDataConverter().FromPayload(p, &value)
	}
	return value
}
