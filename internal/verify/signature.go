package verify

import (
	"slices"
	"strings"
)

// candidate is one signature of a request, still encoded.
type candidate struct {
	text string
	key  int // the only secret it may be checked with, -1 for any
}

func (q *reading) add(text string, only int) *Failure {
	if len(text) > maxSignature {
		return Refuse(MalformedSignature, "the signature header is longer than that of any sender")
	}
	before := len(q.sigs)
	var f *Failure
	switch q.v.p.Signature.Grammar {
	case grammarKV:
		f = q.addPairs(text, only)
	case grammarList:
		f = q.addVersions(text, only)
	default:
		f = q.addPlain(text, only)
	}
	if f == nil && len(q.sigs) > maxCandidates {
		return Refuse(MalformedSignature, "the request carries too many signatures")
	}
	if f == nil && len(q.sigs) == before {
		return Refuse(MissingSignature, "the header holds no signature of an accepted version")
	}
	return f
}

func (q *reading) addPlain(text string, only int) *Failure {
	sig := &q.v.p.Signature
	bare, ok := strings.CutPrefix(text, sig.Prefix)
	if !ok && !sig.PrefixOptional {
		return Refuse(MalformedSignature, "the signature does not begin as those of this sender do")
	}
	q.sigs = append(q.sigs, candidate{bare, only})
	return nil
}

// addPairs reads t=1,v1=ab. Unknown keys are ignored. A repeated timestamp is noted, because
// nothing says which of them was signed.
func (q *reading) addPairs(text string, only int) *Failure {
	sig := &q.v.p.Signature
	pairs := false
	for rest, more := text, true; more; {
		var one string
		one, rest, more = strings.Cut(rest, q.v.separator)
		name, value, ok := strings.Cut(strings.TrimSpace(one), "=")
		if !ok {
			continue
		}
		pairs = true
		name = strings.TrimSpace(name)
		for _, k := range sig.Keys {
			if name == k {
				q.sigs = append(q.sigs, candidate{strings.TrimSpace(value), only})
			}
		}
	}
	q.kv = text
	if !pairs {
		return Refuse(MalformedSignature, "the signature header holds no key=value pairs")
	}
	return nil
}

// pair finds one pair of the kv header.
func (q *reading) pair(key string) (string, presence) {
	var value string
	n := absent
	for rest, more := q.kv, q.kv != ""; more; {
		var one string
		one, rest, more = strings.Cut(rest, q.v.separator)
		name, v, ok := strings.Cut(strings.TrimSpace(one), "=")
		if !ok || strings.TrimSpace(name) != key {
			continue
		}
		if n != absent {
			return "", doubled
		}
		value, n = strings.TrimSpace(v), once
	}
	if value == "" {
		return "", absent
	}
	return value, n
}

// addVersions reads v1,ab v1,cd (Standard Webhooks).
func (q *reading) addVersions(text string, only int) *Failure {
	for one := range strings.FieldsSeq(text) {
		version, value, ok := strings.Cut(one, ",")
		if !ok {
			continue
		}
		for _, k := range q.v.p.Signature.Keys {
			if version == k {
				q.sigs = append(q.sigs, candidate{value, only})
			}
		}
	}
	return nil
}

// collect finds the signatures of a request.
func (q *reading) collect() *Failure {
	var found bool
	var f *Failure
	switch sig := &q.v.p.Signature; {
	case sig.Pattern != "":
		found, f = q.collectNumbered()
	case sig.Every:
		found, f = q.collectEvery(sig.KeyPerHeader)
	default:
		found, f = q.collectFirst()
	}
	switch {
	case f != nil || found:
		return f
	case q.v.each != nil:
		return q.addEach()
	case q.v.from != nil:
		return q.addFrom()
	default:
		return Refuse(MissingSignature, "the request carries no signature")
	}
}

// collectNumbered takes every header whose name fits the pattern.
func (q *reading) collectNumbered() (found bool, f *Failure) {
	for _, name := range q.r.Header.Names() {
		if !q.v.numbered(name) {
			continue
		}
		found = true
		if f = q.addHeader(q.r.Header.Values(name), -1); f != nil {
			return found, f
		}
	}
	return found, nil
}

// collectEvery takes each of the headers that the request has. With keyed, each is checked only
// with the secret of the same number.
func (q *reading) collectEvery(keyed bool) (found bool, f *Failure) {
	for i, name := range q.v.headers {
		values := q.r.Header.Values(name)
		if _, n := singleText(values); n == absent {
			continue
		}
		found = true
		only := -1
		if keyed {
			only = i
		}
		if f = q.addHeader(values, only); f != nil {
			return found, f
		}
	}
	return found, nil
}

// collectFirst takes the header under the first of its names that the request has.
func (q *reading) collectFirst() (found bool, f *Failure) {
	for _, name := range q.v.headers {
		values := q.r.Header.Values(name)
		if _, n := singleText(values); n != absent {
			return true, q.addHeader(values, -1)
		}
	}
	return false, nil
}

// addFrom takes a signature that stands elsewhere than in a header.
func (q *reading) addFrom() *Failure {
	text, n := q.read(q.v.from)
	switch n {
	case doubled:
		return Refuse(MalformedSignature, "the signature is there twice")
	case absent:
		return Refuse(MissingSignature, "the request carries no signature")
	default:
		q.fromBody = true
		return q.add(text, -1)
	}
}

// addHeader takes the signatures of one header. A header that comes twice is refused: a proxy and
// the application may each believe another line.
func (q *reading) addHeader(values []string, only int) *Failure {
	if len(values) > 1 {
		return Refuse(MalformedSignature, "the signature header is there twice")
	}
	if len(values) == 0 || values[0] == "" {
		return Refuse(MissingSignature, "the signature header is empty")
	}
	return q.add(values[0], only)
}

// numbered tells whether a header's name fits the pattern, where {n} is 1 to 100.
func (v *Verifier) numbered(name string) bool {
	if len(name) <= len(v.patternHead)+len(v.patternTail) ||
		!strings.EqualFold(name[:len(v.patternHead)], v.patternHead) ||
		!strings.EqualFold(name[len(name)-len(v.patternTail):], v.patternTail) {
		return false
	}
	digits := name[len(v.patternHead) : len(name)-len(v.patternTail)]
	if digits[0] == '0' || len(digits) > 3 {
		return false
	}
	n := 0
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
		n = 10*n + int(digits[i]-'0')
	}
	return n <= maxCandidates
}

// eachPath leads to a token in every element of a list: body:value[].clientState stands for the
// list at value, and clientState in each element.
type eachPath struct{ list, item jsonPath }

// each compiles a signature.from that may hold []. It gives the source of the first element's
// token, where the signer writes it.
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

// addEach takes the tokens of all elements. Equal tokens count once, so that only a list with
// many different ones is refused.
func (q *reading) addEach() *Failure {
	at, ok, twice := q.v.each.list.find(q.r.Body, true)
	if twice {
		return Refuse(MalformedSignature, "the list that holds the tokens is there twice")
	}
	s := scanner{b: q.r.Body[at.from:at.to]}
	if !ok || !s.take('[') {
		return Refuse(MissingSignature, "the body does not hold the list with the tokens")
	}
	for !s.take(']') {
		s.space()
		from := s.i
		if !s.skip() {
			return Refuse(MalformedSignature, "the list that holds the tokens does not end")
		}
		if f := q.addElement(s.b[from:s.i]); f != nil {
			return f
		}
		s.take(',')
	}
	if len(q.sigs) == 0 {
		return Refuse(MissingSignature, "the list that holds the tokens is empty")
	}
	return nil
}

func (q *reading) addElement(element []byte) *Failure {
	text, n := q.readJSON(q.v.each.item, element)
	switch {
	case n == doubled:
		return Refuse(MalformedSignature, "an element of the list holds two tokens")
	case n == absent || text == "":
		return Refuse(MissingSignature, "an element of the list holds no token")
	}
	for i := range q.sigs {
		if q.sigs[i].text == text {
			return nil
		}
	}
	return q.add(text, -1)
}
