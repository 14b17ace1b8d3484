package verify

import "strings"

// Covers reports whether the signature reaches a source, so that whoever
// captured a request cannot send it again with another text there. Where the
// sender shows a token, the token's holder can write every request as a whole:
// there all is covered or nothing is worth covering, and the answer is true.
func (v *Verifier) Covers(text string) bool {
	if c, ok := v.coded.(CodedCover); ok {
		return c.Covers(text)
	}
	if v.token() {
		return true
	}
	if v.coded != nil || v.p.Algorithm == algNone {
		return false
	}
	s, err := parseSource(text, v.p.Params)
	if err != nil {
		return false
	}
	if v.namesStamp(text) {
		return true
	}
	for _, j := range s {
		for i := range j.places {
			if !v.coversPlace(&j.places[i]) {
				return false
			}
		}
	}
	return true
}

// namesStamp tells whether a source is the whole of the {id} or the {timestamp}
// that is signed, or the first of their places.
func (v *Verifier) namesStamp(text string) bool {
	signed := func(kind partKind, whole string) bool {
		first, _, _ := strings.Cut(whole, "|")
		return whole != "" && (text == whole || strings.TrimSpace(text) == strings.TrimSpace(first)) &&
			v.hasPart(kind)
	}
	return signed(partID, v.p.MessageID) || signed(partTimestamp, v.p.Timestamp.From)
}

func (v *Verifier) hasPart(kind partKind) bool {
	for i := range v.content {
		if v.content[i].kind == kind {
			return true
		}
	}
	return false
}

func (v *Verifier) coversPlace(p *place) bool {
	if p.kind == placeConst {
		return true
	}
	if (p.kind == placeBody || p.kind == placeForm || p.kind == placeMember) && v.bodySigned {
		return true
	}
	if p.kind == placeQuery && v.hasPart(partURL) {
		return true
	}
	if v.namesStamp(p.raw) {
		return true
	}
	for i := range v.content {
		c := &v.content[i]
		if c.kind == partPlace && c.place.kind == p.kind && strings.EqualFold(c.place.name, p.name) {
			return p.kind == placeHeader || c.place.name == p.name
		}
	}
	return false
}
