package event

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// ecmaStyle writes a value as ECMAScript's JSON.stringify does.
func ecmaStyle() writeStyle {
	return writeStyle{
		members: (*jsonDocument).ownKeys,
		number:  func(out, text []byte) []byte { return appendNumber(out, parseNumber(text)) },
	}
}

// ownKeys orders members as ECMAScript's OrdinaryOwnPropertyKeys: array indices
// in ascending order, then the others in the order of creation.
func (d *jsonDocument) ownKeys(n jsonNode) []jsonMember {
	sorted := slices.Clone(d.children(n))
	slices.SortStableFunc(sorted, func(a, b jsonMember) int {
		x, xi := d.arrayIndex(a.key)
		y, yi := d.arrayIndex(b.key)
		switch {
		case xi && yi:
			return int(int64(x) - int64(y))
		case xi:
			return -1
		case yi:
			return 1
		default:
			return 0
		}
	})
	return sorted
}

func (d *jsonDocument) arrayIndex(key jsonNode) (uint32, bool) {
	if key.length() == 0 || key.length() > 10 {
		return 0, false
	}
	digits := make([]byte, 0, 10)
	for i := range key.length() {
		digits = utf8.AppendRune(digits, rune(d.unit(key, i)))
	}
	s := string(digits)
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == math.MaxUint32 || strconv.FormatUint(n, 10) != s {
		return 0, false
	}
	return uint32(n), true
}

// parseNumber reads a JSON number as a double; what is out of range is an infinity,
// as in ECMAScript.
func parseNumber(text []byte) float64 {
	f, _ := strconv.ParseFloat(string(text), 64)
	return f
}

// appendNumber is ECMA-262's Number::toString; JSON.stringify writes what is
// not finite as null, and minus zero as 0.
func appendNumber(out []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 0) || math.IsNaN(f):
		return append(out, "null"...)
	case f == 0:
		return append(out, '0')
	}
	if a := math.Abs(f); a >= 1e-6 && a < 1e21 {
		return strconv.AppendFloat(out, f, 'f', -1, 64)
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	// Go writes at least two digits of exponent, ECMAScript as few as it can.
	mantissa, exponent, _ := strings.Cut(s, "e")
	sign := exponent[:1]
	return append(out, mantissa+"e"+sign+strings.TrimLeft(exponent[1:], "0")...)
}

// appendString writes a string; one that is not wide needs no escape.
func (d *jsonDocument) appendString(out []byte, n jsonNode) []byte {
	if n.kind == kindWide {
		return appendUnits(out, d.units[n.from:n.to])
	}
	return append(append(append(out, '"'), d.literal(n)...), '"')
}

// appendName writes a name of ours as appendString does.
func appendName(out []byte, name string) []byte {
	for _, c := range name {
		if c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return appendUnits(out, utf16.Encode([]rune(name)))
		}
	}
	return append(append(append(out, '"'), name...), '"')
}

// appendUnits is ECMA-262's QuoteJSONString: lone surrogates are escaped, and
// of the rest only what JSON demands.
func appendUnits(out []byte, s []uint16) []byte {
	out = append(out, '"')
	for i := 0; i < len(s); i++ {
		c := rune(s[i])
		if utf16.IsSurrogate(c) && i+1 < len(s) {
			if r := utf16.DecodeRune(c, rune(s[i+1])); r != utf8.RuneError {
				out = utf8.AppendRune(out, r)
				i++
				continue
			}
		}
		out = appendUnit(out, c)
	}
	return append(out, '"')
}

// shortEscapes are the escapes of QuoteJSONString's table.
const shortEscapes = "\b\t\n\f\r\"\\"

func appendUnit(out []byte, c rune) []byte {
	if i := strings.IndexRune(shortEscapes, c); i >= 0 {
		return append(out, '\\', "btnfr\"\\"[i])
	}
	if c < ' ' || utf16.IsSurrogate(c) {
		const digits = "0123456789abcdef"
		return append(out, '\\', 'u', digits[c>>12&15], digits[c>>8&15], digits[c>>4&15], digits[c&15])
	}
	return utf8.AppendRune(out, c)
}
