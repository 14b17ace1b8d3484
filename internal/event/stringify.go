package event

import "strings"

// Field is one member of the object that makes an event's key.
type Field struct {
	// Key is the member's name in that object.
	Key string
	// Paths are dotted paths into the body, tried in order as ECMAScript's ||
	// does: the first truthy value wins, else the last one.
	Paths []string
}

// stringify writes the chosen fields of a JSON body as ECMAScript's
// JSON.stringify (ECMA-262, SerializeJSONProperty) writes an object literal of
// them: members in the order given, absent ones left out, numbers as doubles.
// ok is false where reading a property of undefined or null would throw.
func (d *jsonDocument) stringify(root jsonNode, fields []Field) (text string, ok bool) {
	out := append(make([]byte, 0, 256), '{')
	for _, f := range fields {
		v, ok := d.either(root, f.Paths)
		if !ok {
			return "", false
		}
		if v.kind == kindUndefined {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = appendName(out, f.Key)
		out = append(out, ':')
		out = d.append(out, v, ecmaStyle())
	}
	return string(append(out, '}')), true
}

// either is a || b || c over property paths.
func (d *jsonDocument) either(root jsonNode, paths []string) (v jsonNode, ok bool) {
	for _, p := range paths {
		if v, ok = d.property(root, p); !ok {
			return jsonNode{}, false
		}
		if d.truthy(v) {
			return v, true
		}
	}
	return v, true
}

// property walks a dotted path; ok is false where ECMAScript would throw.
func (d *jsonDocument) property(n jsonNode, path string) (jsonNode, bool) {
	for name := range strings.SplitSeq(path, ".") {
		if n.kind == kindUndefined || n.kind == kindNull {
			return jsonNode{}, false
		}
		n = d.member(n, name)
	}
	return n, true
}

// truthy is ECMAScript's ToBoolean.
func (d *jsonDocument) truthy(n jsonNode) bool {
	switch n.kind {
	case kindUndefined, kindNull, kindFalse:
		return false
	case kindString, kindWide:
		return n.length() > 0
	case kindNumber:
		return parseNumber(d.literal(n)) != 0
	default:
		return true
	}
}
