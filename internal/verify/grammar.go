package verify

import "strings"

// candidate is one signature of a request, still encoded.
type candidate struct {
	text string
	key  int // the only secret it may be checked with, -1 for any
}

func (q *reading) add(text string, only int) *Failure {
	if len(text) > maxSignature {
		return refuse(MalformedSignature, StepPresence, "the signature header is longer than any sender's")
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
		return refuse(MalformedSignature, StepPresence, "the request carries too many signatures")
	}
	if f == nil && len(q.sigs) == before {
		return refuse(MissingSignature, StepPresence, "the header holds no signature of a version that is taken")
	}
	return f
}

func (q *reading) addPlain(text string, only int) *Failure {
	sig := &q.v.p.Signature
	bare, ok := strings.CutPrefix(text, sig.Prefix)
	if !ok && !sig.PrefixOptional {
		return refuse(MalformedSignature, StepPresence, "the signature does not begin as this sender's do")
	}
	q.sigs = append(q.sigs, candidate{bare, only})
	return nil
}

// addPairs reads t=1,v1=ab. Unknown keys are ignored; a repeated timestamp is
// noted, because which one was signed is open.
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
		return refuse(MalformedSignature, StepPresence, "the signature header holds no key=value pairs")
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
