package verify

import "strings"

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
		return refuse(MissingSignature, StepPresence, "the request carries no signature")
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

// collectEvery takes each of the headers that is there, maybe with the number
// of the only secret it belongs to.
func (q *reading) collectEvery(keyed bool) (found bool, f *Failure) {
	for i, name := range q.v.headers {
		values := q.r.Header.Values(name)
		if _, n := single(values); n == absent {
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

// collectFirst takes the first name of the header that is there.
func (q *reading) collectFirst() (found bool, f *Failure) {
	for _, name := range q.v.headers {
		values := q.r.Header.Values(name)
		if _, n := single(values); n != absent {
			return true, q.addHeader(values, -1)
		}
	}
	return false, nil
}

// addFrom takes a signature that stands in no header.
func (q *reading) addFrom() *Failure {
	text, n := q.read(q.v.from)
	switch n {
	case doubled:
		return refuse(MalformedSignature, StepPresence, "the signature is there twice")
	case absent:
		return refuse(MissingSignature, StepPresence, "the request carries no signature")
	default:
		q.fromBody = true
		return q.add(text, -1)
	}
}

// addHeader takes the signatures of one header. A header that is there twice is
// refused in every grammar: which line a proxy or the application believes is
// open.
func (q *reading) addHeader(values []string, only int) *Failure {
	if len(values) > 1 {
		return refuse(MalformedSignature, StepPresence, "the signature header is there twice")
	}
	if values[0] == "" {
		return refuse(MissingSignature, StepPresence, "the signature header is empty")
	}
	return q.add(values[0], only)
}

// numbered tells whether a header's name fits the pattern, {n} being 1 to 100.
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
