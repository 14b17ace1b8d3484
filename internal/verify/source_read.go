package verify

import (
	"net/url"
	"strings"
)

// read gives the text of a source. doubled means that a place on the way holds
// more than one: what counts is then open, so nothing does.
func (q *reading) read(s source) (string, presence) {
	for i := range s {
		if text, n := q.readJoint(&s[i]); n != absent {
			return text, n
		}
	}
	return "", absent
}

func (q *reading) readJoint(j *joint) (string, presence) {
	if len(j.places) == 1 {
		return q.readPlace(&j.places[0])
	}
	var out []string
	for i := range j.places {
		text, n := q.readPlace(&j.places[i])
		if n == doubled || n == absent && j.tight {
			return "", n
		}
		if n == once && text != "" {
			out = append(out, text)
		}
	}
	if len(out) == 0 {
		return "", absent
	}
	sep := "."
	if j.tight {
		sep = ""
	}
	return strings.Join(out, sep), once
}

func (q *reading) readPlace(p *place) (string, presence) {
	text, n := q.readOuter(p)
	if p.inner == nil || n != once {
		return text, n
	}
	return readJSON(p.inner, []byte(text), q.strict)
}

func (q *reading) readOuter(p *place) (string, presence) {
	switch p.kind {
	case placeHeader:
		return single(q.r.Header.Values(p.name))
	case placeBody:
		return readJSON(p.path, q.r.Body, q.strict)
	case placeForm:
		return single(q.formValues()[p.name])
	case placeQuery:
		return single(q.queryValues()[p.name])
	case placeKey:
		return q.pair(p.name)
	case placeMember:
		return q.member(p.members)
	default:
		if p.name == "" {
			return "", absent
		}
		return p.name, once
	}
}

// member gives the first of some names that the body has at its top.
func (q *reading) member(names []string) (string, presence) {
	for _, name := range names {
		if _, ok, _ := (jsonPath{{key: name, index: -1}}).find(q.r.Body, q.strict); ok {
			return name, once
		}
	}
	return "", absent
}

func readJSON(p jsonPath, body []byte, strict bool) (string, presence) {
	at, ok, twice := p.find(body, strict)
	if twice {
		return "", doubled
	}
	if !ok {
		return "", absent
	}
	text, ok := jsonText(body[at.from:at.to])
	if !ok {
		return "", absent
	}
	return text, once
}

func single(values []string) (string, presence) {
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return "", absent
	case len(values) > 1:
		return "", doubled
	default:
		return values[0], once
	}
}

func (q *reading) formValues() url.Values {
	if q.form == nil {
		q.form, _ = url.ParseQuery(string(q.r.Body)) // What can be read counts.
	}
	return q.form
}

func (q *reading) queryValues() url.Values {
	if q.query == nil {
		q.query, _ = url.ParseQuery(q.r.Query)
	}
	return q.query
}
