package expression

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// maxOutput is the length in bytes of the JSON that a value may become. Lists that hold
// each other look small and are not.
const maxOutput = 4 << 20

// JSON writes a value: the members of objects in the order of their names, so that the
// same event always gives the same bytes, and what was taken out of a body whole with its
// numbers as they were written.
func JSON(v any) ([]byte, error) {
	w := jsonWriter{}
	w.strings = json.NewEncoder(&w.out)
	w.strings.SetEscapeHTML(false)
	if err := w.value(v); err != nil {
		return nil, &Error{Err: err}
	}
	return w.out.Bytes(), nil
}

type jsonWriter struct {
	out     bytes.Buffer
	strings *json.Encoder
}

var errTooLarge = errors.New("what it gives would be larger than 4 MiB")

func (w *jsonWriter) value(v any) error {
	if w.out.Len() > maxOutput {
		return errTooLarge
	}
	switch v := v.(type) {
	case nil:
		w.out.WriteString("null")
	case bool:
		w.out.WriteString(strconv.FormatBool(v))
	case string:
		w.text(v)
	case json.Number:
		w.out.WriteString(string(v))
	case []any:
		return writeList(w, slices.Values(v))
	case map[string]any:
		return w.object(slices.Sorted(maps.Keys(v)), func(name string) any { return v[name] })
	case ref.Val:
		return w.cel(v)
	default:
		return fmt.Errorf("a %T can't be written as JSON", v)
	}
	return nil
}

func (w *jsonWriter) text(s string) {
	_ = w.strings.Encode(s)         // A text always encodes.
	w.out.Truncate(w.out.Len() - 1) // The encoder ends a line.
}

// cel writes a value of CEL's own.
func (w *jsonWriter) cel(v ref.Val) error {
	switch v := v.(type) {
	case types.Null:
		w.out.WriteString("null")
	case types.Bool:
		w.out.WriteString(strconv.FormatBool(bool(v)))
	case types.Int:
		w.out.WriteString(strconv.FormatInt(int64(v), 10))
	case types.Uint:
		w.out.WriteString(strconv.FormatUint(uint64(v), 10))
	case types.Double:
		return w.double(float64(v))
	case types.String:
		w.text(string(v))
	case types.Timestamp:
		w.text(v.UTC().Format(time.RFC3339Nano))
	case *types.Optional:
		if !v.HasValue() {
			return w.value(nil)
		}
		return w.cel(v.GetValue())
	case *types.Err:
		return v
	case traits.Mapper:
		return w.mapping(v)
	case traits.Lister:
		return w.sequence(v)
	case types.Bytes:
		return errors.New("bytes can't be written as JSON; write base64.encode(…) or string(…)")
	default:
		return fmt.Errorf("a %s can't be written as JSON", v.Type().TypeName())
	}
	return nil
}

func (w *jsonWriter) double(f float64) error {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return errors.New("JSON has no number for NaN and infinity")
	}
	text, err := json.Marshal(f)
	w.out.Write(text)
	return err //nolint:wrapcheck // It does not happen.
}

func (w *jsonWriter) sequence(v traits.Lister) error {
	if plain, ok := v.Value().([]any); ok {
		return w.value(plain)
	}
	return writeList(w, func(yield func(ref.Val) bool) {
		for it := v.Iterator(); it.HasNext() == types.True && yield(it.Next()); {
		}
	})
}

func (w *jsonWriter) mapping(v traits.Mapper) error {
	if plain, ok := v.Value().(map[string]any); ok {
		return w.value(plain)
	}
	members := map[string]ref.Val{}
	for it := v.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		if !ok {
			return fmt.Errorf("the members of an object have names that are texts, not a %s", key.Type().TypeName())
		}
		members[string(name)] = v.Get(key)
	}
	return w.object(slices.Sorted(maps.Keys(members)), func(name string) any { return members[name] })
}

func (w *jsonWriter) object(names []string, value func(string) any) error {
	w.out.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			w.out.WriteByte(',')
		}
		w.text(name)
		w.out.WriteByte(':')
		if err := w.value(value(name)); err != nil {
			return err
		}
	}
	w.out.WriteByte('}')
	return nil
}

func writeList[T any](w *jsonWriter, all func(yield func(T) bool)) (err error) {
	w.out.WriteByte('[')
	first := true
	for one := range all {
		if !first {
			w.out.WriteByte(',')
		}
		first = false
		if err := w.value(one); err != nil {
			return err
		}
	}
	w.out.WriteByte(']')
	return nil
}
