package expression

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/grapnel/grapnel/internal/event"
)

// Input is an event as expressions see it. Its body is decoded when the first of them
// looks at it, and only once.
type Input struct {
	event event.Event
	body  func() (any, error)
}

// NewInput makes the input of an event.
func NewInput(e event.Event, body []byte) *Input {
	return &Input{event: e, body: sync.OnceValues(func() (any, error) { return decode(e, body) })}
}

// decode reads a body whose numbers stay as they are written: a big one would lose digits
// as a double.
func decode(e event.Event, body []byte) (any, error) {
	if e.DataContentEncoding != "" {
		return nil, fmt.Errorf("the body is compressed by %s", event.Clean(e.DataContentEncoding, 40))
	}
	d := json.NewDecoder(bytes.NewReader(event.JSON(e.DataContentType, body)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, errors.New("the body is no JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the body is no JSON: something follows it")
	}
	return v, nil
}

// headers are those that the source keeps, and those that say what the body is, by their
// names in lower case.
func (in *Input) headers() map[string]string {
	h := make(map[string]string, len(in.event.Headers)+2)
	for name, value := range in.event.Headers {
		h[strings.ToLower(name)] = value
	}
	if in.event.DataContentType != "" {
		h["content-type"] = in.event.DataContentType
	}
	if in.event.DataContentEncoding != "" {
		h["content-encoding"] = in.event.DataContentEncoding
	}
	return h
}

// ResolveName implements interpreter.Activation.
func (in *Input) ResolveName(name string) (any, bool) {
	switch name {
	case "source":
		return in.event.Source, true
	case "type":
		return in.event.Type, true
	case "subject":
		return in.event.Subject, true
	case "id":
		return in.event.ID, true
	case "time":
		if in.event.Time.IsZero() {
			return types.NewErr("its sender does not say when it happened; received is always there"), true
		}
		return in.event.Time, true
	case "received":
		return in.event.Received, true
	case "headers":
		return in.headers(), true
	case "body":
		v, err := in.body()
		if err != nil {
			return types.NewErr("%s", err.Error()), true
		}
		return v, true
	}
	return nil, false
}

// Parent implements interpreter.Activation.
func (in *Input) Parent() interpreter.Activation { return nil }

// adapter gives CEL the values of a decoded body. CEL's own would make a double of a whole
// number that does not fit 64 bits, and so let two different numbers be equal.
type adapter struct{}

// NativeToValue implements types.Adapter.
func (a adapter) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case json.Number:
		return numberValue(string(v))
	case map[string]any:
		return types.NewStringInterfaceMap(a, v)
	case []any:
		return types.NewDynamicList(a, v)
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}

// numberValue is a number of JSON: a whole one exactly, any other as the nearest double.
func numberValue(text string) ref.Val {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return types.Int(i)
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil {
		return types.Uint(u)
	}
	f, err := strconv.ParseFloat(text, 64)
	if !strings.ContainsAny(text, ".eE") || err != nil || math.IsInf(f, 0) {
		return types.NewErr("the number %s does not fit 64 bits", event.Cut(text, 40))
	}
	return types.Double(f)
}
