package coded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxJSONDepth bounds the nesting of a body that a coded verifier reads.
const maxJSONDepth = 32

// errAmbiguous says that two parsers could read the same object differently.
var errAmbiguous = errors.New("an object names a member twice, or in another case")

// strictObject decodes a JSON object and refuses what another parser might read differently: a
// member that comes twice, a member whose name differs only in case from a guarded name of its
// depth (the object's own members have depth 0, and a list counts as a level), invalid UTF-8, and
// anything after the object. A signature over chosen fields protects nothing if the next reader
// finds other values under the same names. Numbers are decoded as json.Number.
func strictObject(body []byte, guarded ...[]string) (map[string]any, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("the body is not UTF-8")
	}
	strict := strictDecoder{Decoder: json.NewDecoder(bytes.NewReader(body)), guarded: guarded}
	strict.UseNumber()
	value, err := strict.value(0)
	if err != nil {
		return nil, fmt.Errorf("the body is not a JSON object: %w", err)
	}
	if _, err := strict.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("the body is not a JSON object")
	}
	return object, nil
}

// strictDecoder is a decoder with the guarded names of each depth.
type strictDecoder struct {
	*json.Decoder
	guarded [][]string
}

// disguised reports whether a name differs only in case from a guarded one.
func (d strictDecoder) disguised(name string, depth int) bool {
	return depth < len(d.guarded) && slices.ContainsFunc(d.guarded[depth], func(guarded string) bool {
		return name != guarded && strings.EqualFold(name, guarded)
	})
}

// value decodes one value of any type.
func (d strictDecoder) value(depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxJSONDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return d.members(depth)
	case json.Delim('['):
		return d.items(depth)
	default:
		return token, nil
	}
}

// members decodes an object whose opening brace has been read.
func (d strictDecoder) members(depth int) (map[string]any, error) {
	object := map[string]any{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // The decoder admits nothing else before a colon.
		if _, twice := object[name]; twice || d.disguised(name, depth) {
			return nil, errAmbiguous
		}
		if object[name], err = d.value(depth + 1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return object, err
}

// items decodes an array whose opening bracket has been read.
func (d strictDecoder) items(depth int) ([]any, error) {
	items := []any{}
	for d.More() {
		item, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	_, err := d.Token()
	return items, err
}
