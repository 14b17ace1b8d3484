package event

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"unicode/utf16"
)

// What follows reads JSON with nothing lost that encoding/json loses: lone
// surrogates, which it replaces, and the text of numbers. The key of an event
// depends on both.

type jsonKind byte

const (
	kindUndefined jsonKind = iota
	kindNull
	kindFalse
	kindTrue
	kindNumber
	kindString // ASCII without escapes: its text is its value
	kindWide   // any other string, in UTF-16 code units
	kindArray
	kindObject
)

// jsonNode is a value. from and to bound its literal in the text, without the quotes
// of a string; of a wide string its code units; of arrays and objects their
// members.
type jsonNode struct {
	kind     jsonKind
	from, to int32
}

// jsonMember is one of an object, or an item of an array, which has no key.
type jsonMember struct{ key, value jsonNode }

// jsonDocument is a JSON text and what was read of it. All lies side by side in a few
// slices: a node of its own for each value would cost more than the reading.
type jsonDocument struct {
	text    []byte
	units   []uint16
	members []jsonMember
	// ambiguous tells that other bytes read the same: a member is there twice, of
	// which the last counts, or bytes are no UTF-8.
	ambiguous bool
}

// parseJSON reads a JSON text. encoding/json judges it, so that the reader only
// ever sees what is valid and of a bounded depth.
func parseJSON(body []byte) (d *jsonDocument, root jsonNode, ok bool) {
	body = bytes.TrimPrefix(body, []byte(byteOrderMark))
	if len(body) > math.MaxInt32 || !json.Valid(body) {
		return nil, jsonNode{}, false
	}
	const few = 32
	d = &jsonDocument{text: body, members: make([]jsonMember, 0, few)}
	r := jsonReader{jsonDocument: d, open: make([]jsonMember, 0, few)}
	return d, r.value(), true
}

// literal is the text of a node: of a string that is not wide its value.
func (d *jsonDocument) literal(n jsonNode) []byte { return d.text[n.from:n.to] }

// children are the members of an object, or the items of an array.
func (d *jsonDocument) children(n jsonNode) []jsonMember { return d.members[n.from:n.to] }

// length of a string in UTF-16 code units.
func (n jsonNode) length() int { return int(n.to - n.from) }

// unit is a code unit of a string.
func (d *jsonDocument) unit(n jsonNode, i int) uint16 {
	if n.kind == kindString {
		return uint16(d.text[int(n.from)+i])
	}
	return d.units[int(n.from)+i]
}

// compare orders two strings by their UTF-16 code units, as ECMAScript does.
func (d *jsonDocument) compare(a, b jsonNode) int {
	if a.kind == kindString && b.kind == kindString {
		return bytes.Compare(d.literal(a), d.literal(b))
	}
	for i := range min(a.length(), b.length()) {
		if x, y := d.unit(a, i), d.unit(b, i); x != y {
			return int(x) - int(y)
		}
	}
	return a.length() - b.length()
}

// is tells whether a string is the one given.
func (d *jsonDocument) is(n jsonNode, name string) bool {
	if n.kind == kindString {
		return string(d.literal(n)) == name
	}
	return slices.Equal(d.units[n.from:n.to], utf16.Encode([]rune(name)))
}

// member finds a property; what is not there is undefined.
func (d *jsonDocument) member(n jsonNode, name string) jsonNode {
	if n.kind == kindObject {
		for _, m := range d.children(n) {
			if d.is(m.key, name) {
				return m.value
			}
		}
	}
	return jsonNode{}
}

// canonical writes the text with members sorted and no white space. Numbers keep
// their text: as doubles, two different big ones would look the same.
func (d *jsonDocument) canonical(root jsonNode) []byte {
	return d.append(make([]byte, 0, len(d.text)+len(d.text)/8), root, writeStyle{
		members: (*jsonDocument).sorted,
		number:  func(out, text []byte) []byte { return append(out, text...) },
	})
}

// sorted orders the members of an object by their keys, in place.
func (d *jsonDocument) sorted(n jsonNode) []jsonMember {
	members := d.children(n)
	slices.SortFunc(members, func(a, b jsonMember) int { return d.compare(a.key, b.key) })
	return members
}

// writeStyle is how a value is written: the order of an object's members, and numbers.
type writeStyle struct {
	members func(*jsonDocument, jsonNode) []jsonMember
	number  func(out, text []byte) []byte
}

// append writes a value without white space.
func (d *jsonDocument) append(out []byte, n jsonNode, s writeStyle) []byte {
	switch n.kind {
	case kindString, kindWide:
		return d.appendString(out, n)
	case kindNumber:
		return s.number(out, d.literal(n))
	case kindArray:
		out = append(out, '[')
		for i, c := range d.children(n) {
			if i > 0 {
				out = append(out, ',')
			}
			out = d.append(out, c.value, s)
		}
		return append(out, ']')
	case kindObject:
		out = append(out, '{')
		for i, m := range s.members(d, n) {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(d.appendString(out, m.key), ':')
			out = d.append(out, m.value, s)
		}
		return append(out, '}')
	default:
		return append(out, d.literal(n)...)
	}
}
