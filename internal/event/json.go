package event

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// This file reads JSON with nothing lost that encoding/json loses: lone
// surrogates, which it replaces, and the text of numbers. The key of an event
// depends on both.

type kind byte

const (
	kindNull kind = iota
	kindFalse
	kindTrue
	kindNumber
	kindString
	kindArray
	kindObject
)

type node struct {
	kind    kind
	text    []byte   // the literal, of null, false, true and numbers
	str     []uint16 // of strings, in UTF-16 code units
	items   []*node
	members []member
}

type member struct {
	key   []uint16
	value *node
}

// member finds a property; nil is undefined.
func (n *node) member(key []uint16) *node {
	for _, m := range n.members {
		if slices.Equal(m.key, key) {
			return m.value
		}
	}
	return nil
}

// parse reads a JSON text. encoding/json judges it, so that the reader below
// only ever sees what is valid and of a bounded depth.
func parse(body []byte) (*node, bool) {
	if !json.Valid(body) {
		return nil, false
	}
	r := reader{b: body, units: make([]uint16, 0, len(body))}
	return r.value(), true
}

type reader struct {
	b []byte
	i int
	// units is where the strings stand, one behind the other: a text of n bytes
	// has at most n code units, so that it never grows.
	units []uint16
	// nodes are those that are made and not used yet.
	nodes []node
}

// node takes a node from a block of them.
func (r *reader) node(n node) *node {
	const block = 16
	if len(r.nodes) == 0 {
		r.nodes = make([]node, block)
	}
	next := &r.nodes[0]
	r.nodes = r.nodes[1:]
	*next = n
	return next
}

func (r *reader) value() *node {
	r.space()
	switch r.b[r.i] {
	case '{':
		return r.object()
	case '[':
		return r.array()
	case '"':
		return r.node(node{kind: kindString, str: r.string()})
	case 'n':
		return r.literal(kindNull, len("null"))
	case 'f':
		return r.literal(kindFalse, len("false"))
	case 't':
		return r.literal(kindTrue, len("true"))
	default:
		end := r.i
		for end < len(r.b) && bytes.IndexByte([]byte("+-.0123456789eE"), r.b[end]) >= 0 {
			end++
		}
		return r.literal(kindNumber, end-r.i)
	}
}

func (r *reader) literal(k kind, n int) *node {
	text := r.b[r.i : r.i+n]
	r.i += n
	return r.node(node{kind: k, text: text})
}

func (r *reader) object() *node {
	n := r.node(node{kind: kindObject})
	var index index
	for r.i++; ; r.i++ {
		r.space()
		if r.b[r.i] == '}' {
			r.i++
			return n
		}
		if r.b[r.i] == ',' {
			continue
		}
		key := r.string()
		r.space()
		r.i++ // the colon
		m := member{key: key, value: r.value()}
		// A repeated key keeps its first place and its last value, as
		// JSON.parse has it.
		if at, ok := index.find(n.members, key); ok {
			n.members[at] = m
		} else {
			n.members = append(n.members, m)
		}
		r.i--
	}
}

// index finds members by their keys: by looking at each while they are few, so
// that a small object costs no map, and many ones in constant time.
type index map[string]int

// fewMembers is how many are looked at one by one.
const fewMembers = 16

func (x *index) find(members []member, key []uint16) (at int, ok bool) {
	if len(members) <= fewMembers {
		for i := range members {
			if slices.Equal(members[i].key, key) {
				return i, true
			}
		}
		return 0, false
	}
	if *x == nil {
		*x = index{}
	}
	// Members are only ever added, and each by a call of this one.
	for i := len(*x); i < len(members); i++ {
		(*x)[units(members[i].key)] = i
	}
	at, ok = (*x)[units(key)]
	return at, ok
}

// units is a map key that keeps lone surrogates apart.
func units(s []uint16) string {
	b := make([]byte, 0, 2*len(s))
	for _, c := range s {
		b = append(b, byte(c>>8), byte(c))
	}
	return string(b)
}

func (r *reader) array() *node {
	n := r.node(node{kind: kindArray})
	for r.i++; ; r.i++ {
		r.space()
		switch r.b[r.i] {
		case ']':
			r.i++
			return n
		case ',':
		default:
			n.items = append(n.items, r.value())
			r.i--
		}
	}
}

func (r *reader) string() []uint16 {
	from := len(r.units)
	s := r.units
	for r.i++; r.b[r.i] != '"'; {
		c := r.b[r.i]
		if c != '\\' {
			// Bytes that are no UTF-8 read as U+FFFD, as a UTF-8 decoder has it.
			v, size := utf8.DecodeRune(r.b[r.i:])
			s = utf16.AppendRune(s, v)
			r.i += size
			continue
		}
		r.i += 2
		switch e := r.b[r.i-1]; e {
		case 'u':
			v, _ := strconv.ParseUint(string(r.b[r.i:r.i+4]), 16, 16)
			s = append(s, uint16(v))
			r.i += 4
		case '/':
			s = append(s, '/')
		default:
			s = append(s, uint16(shortEscapes[bytes.IndexByte([]byte("btnfr\"\\"), e)]))
		}
	}
	r.i++
	r.units = s
	return s[from:len(s):len(s)]
}

func (r *reader) space() {
	for r.i < len(r.b) && (r.b[r.i] == ' ' || r.b[r.i] == '\t' || r.b[r.i] == '\n' || r.b[r.i] == '\r') {
		r.i++
	}
}

// canonical writes a JSON text with members sorted and no white space. Numbers
// keep their text: as doubles, two different big ones would look the same.
func canonical(body []byte) ([]byte, bool) {
	root, ok := parse(body)
	if !ok {
		return nil, false
	}
	return root.appendCanonical(make([]byte, 0, len(body)+len(body)/8)), true
}

func (n *node) appendCanonical(out []byte) []byte {
	switch n.kind {
	case kindString:
		return appendString(out, n.str)
	case kindArray:
		out = append(out, '[')
		for i, c := range n.items {
			if i > 0 {
				out = append(out, ',')
			}
			out = c.appendCanonical(out)
		}
		return append(out, ']')
	case kindObject:
		slices.SortFunc(n.members, func(a, b member) int { return slices.Compare(a.key, b.key) })
		out = append(out, '{')
		for i, m := range n.members {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(appendString(out, m.key), ':')
			out = m.value.appendCanonical(out)
		}
		return append(out, '}')
	default:
		return append(out, n.text...)
	}
}
