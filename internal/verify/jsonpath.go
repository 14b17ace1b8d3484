package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// This file reads single values out of a JSON body without decoding the rest.
// Numbers keep their text. What is no JSON simply has no values.

// jsonStep is one step of a path: a member's key, or an array's index.
type jsonStep struct {
	key   string
	index int // -1 for a key
}

type jsonPath []jsonStep

// parseJSONPath reads a.b[0].c; a leading [0] steps into an array at the top.
func parseJSONPath(s string) (jsonPath, error) {
	var p jsonPath
	rest := s
	for rest != "" {
		if rest[0] == '[' {
			number, after, closed := strings.Cut(rest[1:], "]")
			n, err := strconv.ParseUint(number, 10, 16)
			if err != nil || !closed {
				return nil, fmt.Errorf("the path %q needs a number between [ and ]", s)
			}
			p = append(p, jsonStep{index: int(n)})
			rest = after
			if strings.HasPrefix(rest, ".") && len(rest) > 1 {
				rest = rest[1:]
			} else if rest != "" && rest[0] != '[' {
				return nil, fmt.Errorf("the path %q needs a dot after ]", s)
			}
			continue
		}
		end := strings.IndexAny(rest, ".[")
		if end < 0 {
			end = len(rest)
		}
		if end == 0 || strings.HasSuffix(rest, ".") {
			return nil, fmt.Errorf("the path %q has an empty step", s)
		}
		p = append(p, jsonStep{key: rest[:end], index: -1})
		rest = strings.TrimPrefix(rest[end:], ".")
	}
	if len(p) == 0 {
		return nil, errors.New("the path is empty")
	}
	return p, nil
}

// span is where a value stands in a body.
type span struct{ from, to int }

// find gives the span of the value at a path. Of members of one name the last
// counts, as it does to encoding/json and JSON.parse, and so to those who handle
// the event. Where strict is true, a name that is there twice, case aside, makes
// doubled true: other decoders take the first, and a signature over one of them
// must not vouch for the other.
func (p jsonPath) find(body []byte, strict bool) (at span, found, doubled bool) {
	s := scanner{b: body}
	s.space()
	h, ok := s.seek(p, strict)
	if !ok || h.doubled {
		return span{}, false, h.doubled
	}
	return h.at, h.found, false
}

// jsonText is the text of a scalar: a string's content, a number or a boolean
// as it is written. null, objects and arrays have none.
func jsonText(raw []byte) (string, bool) {
	if len(raw) == 0 {
		return "", false
	}
	switch c := raw[0]; {
	case c == '"':
		if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
			return string(raw[1 : len(raw)-1]), true
		}
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return "", false
		}
		return s, true
	case c == '-' || c >= '0' && c <= '9' || c == 't' || c == 'f':
		return string(raw), true
	default:
		return "", false
	}
}
