package verify

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// scanner walks a JSON text. It trusts nothing of it: what is no JSON ends the
// walk.
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

// member moves to the value of a key in the object at hand: to the last, where
// there are more.
func (s *scanner) member(key string, strict bool) (ok, doubled bool) {
	if !s.take('{') {
		return false, false
	}
	at, seen := -1, false
	for !s.take('}') {
		s.space()
		from := s.i
		if s.i >= len(s.b) || s.b[s.i] != '"' || !s.skip() {
			return false, false
		}
		name := s.b[from:s.i]
		if !s.take(':') {
			return false, false
		}
		exact, alike := keyIs(name, key, strict)
		if strict && alike && seen {
			return false, true
		}
		seen = seen || alike
		s.space()
		if exact {
			at = s.i
		}
		if !s.skip() {
			return false, false
		}
		s.take(',')
	}
	if at < 0 {
		return false, false
	}
	s.i = at
	return true, false
}

// keyIs compares a quoted name with a key, exactly and, where fold is set, case
// aside.
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

// element moves to the n-th value of the array at hand.
func (s *scanner) element(n int) bool {
	if !s.take('[') {
		return false
	}
	for ; n > 0; n-- {
		s.space()
		if !s.skip() || !s.take(',') {
			return false
		}
	}
	s.space()
	return s.i < len(s.b) && s.b[s.i] != ']'
}

// skip passes one value, however deep, without recursion.
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

func (s *scanner) skipLiteral() {
	for s.i < len(s.b) && strings.IndexByte(" \t\r\n,:{}[]\"", s.b[s.i]) < 0 {
		s.i++
	}
}

func (s *scanner) skipString() bool {
	for i := s.i + 1; i < len(s.b); {
		end := bytes.IndexByte(s.b[i:], '"')
		if end < 0 {
			return false
		}
		i += end
		slashes := 0
		for s.b[i-1-slashes] == '\\' {
			slashes++
		}
		i++
		if slashes%2 == 0 {
			s.i = i
			return true
		}
	}
	return false
}
