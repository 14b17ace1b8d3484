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

// This file reads single values out of a JSON body without decoding the rest. Numbers keep their
// text. A body that is not JSON simply has no values.

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
	s := scanner{b: bytes.TrimPrefix(body, []byte(byteOrderMark))}
	shift := len(body) - len(s.b)
	s.space()
	h, ok := s.seek(p, strict)
	if !ok || h.doubled {
		return span{}, false, h.doubled
	}
	return span{h.at.from + shift, h.at.to + shift}, h.found, false
}

// exactText gives a text as jsonText does, but only if no other bytes would give the same. Bytes
// that are not UTF-8 and lone surrogates all become U+FFFD, so a text with that character is
// refused.
func exactText(raw []byte) (string, bool) {
	text, ok := jsonText(raw)
	return text, ok && !strings.ContainsRune(text, utf8.RuneError)
}

// byteOrderMark may stand before UTF-8.
const byteOrderMark = "\ufeff"

// jsonText gives the text of a scalar: the content of a string, a number or a boolean as it is
// written. null, objects and arrays have no text.
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

// scanner walks through a JSON text. It stops where the text is not JSON.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) take(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// pathHit is what was found at a path.
type pathHit struct {
	at             span
	found, doubled bool
}

// seek reads over the next value to its end, and gives what stands at a path in it. ok is false
// when the value does not end; doubled is set even then. It recurses only for steps of the path,
// so a deep body does no harm.
func (s *scanner) seek(p jsonPath, strict bool) (h pathHit, ok bool) {
	switch {
	case len(p) == 0:
		from := s.i
		ok = s.skip()
		return pathHit{at: span{from, s.i}, found: ok}, ok
	case p[0].index >= 0 && s.take('['):
		return s.element(p, strict)
	case p[0].index < 0 && s.take('{'):
		return s.member(p, strict)
	default:
		return pathHit{}, s.skip()
	}
}

// member reads over the rest of an object and follows a path into the members with its first key.
func (s *scanner) member(p jsonPath, strict bool) (h pathHit, ok bool) {
	seen := false
	for !s.take('}') {
		s.space()
		from := s.i
		if s.i >= len(s.b) || s.b[s.i] != '"' || !s.skip() {
			return h, false
		}
		name := s.b[from:s.i]
		if !s.take(':') {
			return h, false
		}
		s.space()
		exact, alike := keyIs(name, p[0].key, strict)
		if strict && alike && seen {
			return pathHit{doubled: true}, false
		}
		seen = seen || alike
		if exact {
			h, ok = s.seek(p[1:], strict)
		} else {
			ok = s.skip()
		}
		if !ok {
			return h, false
		}
		s.take(',')
	}
	return h, true
}

// element reads over the rest of an array and follows a path into the element with its first
// index.
func (s *scanner) element(p jsonPath, strict bool) (h pathHit, ok bool) {
	for n := 0; !s.take(']'); n++ {
		s.space()
		if n == p[0].index {
			h, ok = s.seek(p[1:], strict)
		} else {
			ok = s.skip()
		}
		if !ok {
			return h, false
		}
		s.take(',')
	}
	return h, true
}

// keyIs compares a quoted name with a key: exactly and, where fold is set, also without regard to
// case.
func keyIs(quoted []byte, key string, fold bool) (exact, alike bool) {
	inner := quoted[1 : len(quoted)-1]
	if string(inner) == key {
		return true, true
	}
	if !fold && bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return false, false
	}
	name, ok := jsonText(quoted)
	if !ok {
		return false, false
	}
	return name == key, fold && strings.EqualFold(name, key)
}

// skip reads over one value, however deep, without recursion.
func (s *scanner) skip() bool {
	depth := 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			if !s.skipString() {
				return false
			}
		case '{', '[':
			depth++
			s.i++
		case '}', ']':
			depth--
			s.i++
		case ' ', '\t', '\r', '\n', ',', ':':
			if depth == 0 {
				return false
			}
			s.i++
			continue
		default:
			s.skipLiteral()
		}
		if depth <= 0 {
			return depth == 0
		}
	}
	return false
}

// skipPaired reads over one object or list. Its brackets must be paired, and no backslash may
// stand outside of its strings.
func (s *scanner) skipPaired() bool {
	var open []byte
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case '"':
			if !s.skipString() {
				return false
			}
			continue
		case '{', '[':
			open = append(open, c+2) // The closing bracket, in ASCII.
		case '}', ']':
			if len(open) == 0 || open[len(open)-1] != c {
				return false
			}
			open = open[:len(open)-1]
		case '\\':
			return false
		}
		s.i++
		if len(open) == 0 {
			return true
		}
	}
	return false
}

func (s *scanner) skipLiteral() {
	for ; s.i < len(s.b); s.i++ {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n', ',', ':', '{', '}', '[', ']', '"':
			return
		}
	}
}

func (s *scanner) skipString() bool {
	for i := s.i + 1; i < len(s.b); i++ {
		switch s.b[i] {
		case '"':
			s.i = i + 1
			return true
		case '\\':
			i++
		}
	}
	return false
}
