package event

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader reads a valid JSON text into its document.
type jsonReader struct {
	*jsonDocument
	at int
	// open are the members of what is not closed yet, innermost last.
	open []jsonMember
}

func (r *jsonReader) value() jsonNode {
	r.space()
	from := r.at
	switch r.text[r.at] {
	case '{':
		return r.object()
	case '[':
		return r.array()
	case '"':
		return r.string()
	case 'n':
		r.at += len("null")
		return r.literalFrom(kindNull, from)
	case 'f':
		r.at += len("false")
		return r.literalFrom(kindFalse, from)
	case 't':
		r.at += len("true")
		return r.literalFrom(kindTrue, from)
	default:
		for r.at < len(r.text) && inNumber(r.text[r.at]) {
			r.at++
		}
		return r.literalFrom(kindNumber, from)
	}
}

func inNumber(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

func (r *jsonReader) literalFrom(k jsonKind, from int) jsonNode {
	return jsonNode{kind: k, from: int32(from), to: int32(r.at)}
}

func (r *jsonReader) object() jsonNode {
	mark, index := len(r.open), memberIndex{}
	for r.at++; ; {
		r.space()
		switch r.text[r.at] {
		case '}':
			return r.close(kindObject, mark)
		case ',':
			r.at++
			continue
		}
		key := r.string()
		r.space()
		r.at++ // the colon
		m := jsonMember{key: key, value: r.value()}
		// A repeated key keeps its first place and its last value, as
		// JSON.parse has it.
		if same, ok := index.find(r.jsonDocument, r.open[mark:], key); ok {
			r.open[mark+same] = m
			r.ambiguous = true
		} else {
			r.open = append(r.open, m)
		}
	}
}

func (r *jsonReader) array() jsonNode {
	mark := len(r.open)
	for r.at++; ; {
		r.space()
		switch r.text[r.at] {
		case ']':
			return r.close(kindArray, mark)
		case ',':
			r.at++
		default:
			r.open = append(r.open, jsonMember{value: r.value()})
		}
	}
}

// close ends an object or array, whose members are open from mark on.
func (r *jsonReader) close(k jsonKind, mark int) jsonNode {
	r.at++
	from := len(r.members)
	r.members = append(r.members, r.open[mark:]...)
	r.open = r.open[:mark]
	return jsonNode{kind: k, from: int32(from), to: int32(len(r.members))}
}

// memberIndex finds members by their keys: by looking at each while they are few, so
// that a small object costs no map, and many ones in constant time.
type memberIndex map[string]int

// fewMembers is how many are looked at one by one.
const fewMembers = 16

func (x *memberIndex) find(d *jsonDocument, members []jsonMember, key jsonNode) (at int, ok bool) {
	if len(members) <= fewMembers {
		for i := range members {
			if d.compare(members[i].key, key) == 0 {
				return i, true
			}
		}
		return 0, false
	}
	if *x == nil {
		*x = memberIndex{}
	}
	// Members are only ever added, and each by a call of this one.
	for i := len(*x); i < len(members); i++ {
		(*x)[d.wide(members[i].key)] = i
	}
	at, ok = (*x)[d.wide(key)]
	return at, ok
}

// wide is a map key that keeps lone surrogates apart.
func (d *jsonDocument) wide(s jsonNode) string {
	b := make([]byte, 0, 2*s.length())
	for i := range s.length() {
		c := d.unit(s, i)
		b = append(b, byte(c>>8), byte(c))
	}
	return string(b)
}

func (r *jsonReader) string() jsonNode {
	r.at++
	from := r.at
	for r.text[r.at] != '"' && r.text[r.at] != '\\' && r.text[r.at] < utf8.RuneSelf {
		r.at++
	}
	if r.text[r.at] != '"' {
		return r.wideString(from)
	}
	n := r.literalFrom(kindString, from)
	r.at++
	return n
}

// wideString reads a string again that is not its own value.
func (r *jsonReader) wideString(from int) jsonNode {
	r.at = from
	first := len(r.units)
	for r.text[r.at] != '"' {
		c := r.text[r.at]
		if c != '\\' {
			// Bytes that are no UTF-8 read as U+FFFD, as a UTF-8 decoder has it.
			v, size := utf8.DecodeRune(r.text[r.at:])
			r.ambiguous = r.ambiguous || v == utf8.RuneError && size == 1
			r.units = utf16.AppendRune(r.units, v)
			r.at += size
			continue
		}
		r.at += 2
		switch e := r.text[r.at-1]; e {
		case 'u':
			v, _ := strconv.ParseUint(string(r.text[r.at:r.at+4]), 16, 16)
			r.units = append(r.units, uint16(v))
			r.at += 4
		case '/':
			r.units = append(r.units, '/')
		default:
			r.units = append(r.units, uint16(shortEscapes[bytes.IndexByte([]byte("btnfr\"\\"), e)]))
		}
	}
	r.at++
	return jsonNode{kind: kindWide, from: int32(first), to: int32(len(r.units))}
}

func (r *jsonReader) space() {
	for r.at < len(r.text) && (r.text[r.at] == ' ' || r.text[r.at] == '\t' || r.text[r.at] == '\n' || r.text[r.at] == '\r') {
		r.at++
	}
}
