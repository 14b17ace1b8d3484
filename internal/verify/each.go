package verify

import (
	"slices"
	"strings"
)

// eachPath leads to the token that every element of a list in the body must
// show: body:value[].clientState is the list at value, and clientState in each.
type eachPath struct{ list, item jsonPath }

// each compiles a signature.from that may hold [], and gives the source of the
// first element, where the signer writes the token.
func (c *compiler) each(text string) Source {
	path, isBody := strings.CutPrefix(text, "body:")
	list, item, several := strings.Cut(path, "[].")
	if !isBody || !several {
		return text
	}
	s := &c.p.Signature
	if c.p.Algorithm != algToken || len(s.Headers) > 0 || s.Pattern != "" || s.Prefix != "" || strings.ContainsAny(item, "|#&+") {
		c.fault("signature.from", "[] takes the token of every element of a list: it goes with algorithm token, "+
			"in one path alone, and without headers and prefix")
		return ""
	}
	from := "body:" + list + "[0]." + item
	var err error
	c.v.each = &eachPath{}
	if c.v.each.list, err = parseJSONPath(list); err != nil {
		return from // The source's own fault tells of it.
	}
	c.v.each.item, _ = parseJSONPath(item)
	return from
}

// showEach writes the token into every element that has a place for it.
func (w *signer) showEach(text string) error {
	for n := 0; ; n++ {
		path := slices.Concat(w.v.each.list, jsonPath{{index: n}}, w.v.each.item)
		if _, ok, _ := path.find(w.r.Body, true); !ok && n > 0 {
			return nil
		}
		if err := w.splice(path, text); err != nil {
			return err
		}
	}
}

// addEach takes the tokens of all elements. Equal ones count as one, so that
// only a list of many different ones is too much.
func (q *reading) addEach() *Failure {
	at, ok, twice := q.v.each.list.find(q.r.Body, true)
	if twice {
		return refuse(MalformedSignature, StepPresence, "the list of what shows the token is there twice")
	}
	s := scanner{b: q.r.Body[at.from:at.to]}
	if !ok || !s.take('[') {
		return refuse(MissingSignature, StepPresence, "the body holds no list of what shows the token")
	}
	for !s.take(']') {
		s.space()
		from := s.i
		if !s.skip() {
			return refuse(MalformedSignature, StepPresence, "the list of what shows the token has no end")
		}
		if f := q.addElement(s.b[from:s.i]); f != nil {
			return f
		}
		s.take(',')
	}
	if len(q.sigs) == 0 {
		return refuse(MissingSignature, StepPresence, "the list of what shows the token is empty")
	}
	return nil
}

func (q *reading) addElement(element []byte) *Failure {
	text, n := readJSON(q.v.each.item, element, true)
	switch {
	case n == doubled:
		return refuse(MalformedSignature, StepPresence, "an element shows the token twice")
	case n == absent || text == "":
		return refuse(MissingSignature, StepPresence, "an element shows no token")
	}
	for i := range q.sigs {
		if q.sigs[i].text == text {
			return nil
		}
	}
	return q.add(text, -1)
}
