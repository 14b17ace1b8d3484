package verify

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Source is the text of a place in a request:
//
//	header:X-Event       a header
//	body:data.id         a path into the JSON body: a.b[0].c
//	form:CallSid         a field of a form body
//	query:token          a parameter of the URL
//	key:t                a pair of a kv signature header
//	attribute:type       an attribute of CloudEvents: the header ce-type, its
//	                     percent-encoding undone
//	member:a,b           the first of these names that the JSON body has at its top
//	const:text           the text itself
//	param:name           a value the source's owner gave
//
// place#path reads the text of a place as JSON. A | B takes the first that is there. A + B joins
// those that are there with a dot. A & B joins them with nothing between, and needs all of them.
// Each may be repeated, as in A + B + C.
type Source = string

type placeKind uint8

const (
	placeHeader placeKind = iota
	placeBody
	placeForm
	placeQuery
	placeKey
	placeMember
	placeConst
)

// place is one spot of a request.
type place struct {
	kind    placeKind
	name    string
	path    jsonPath // of body
	members []string
	inner   jsonPath // after #
	encoded bool     // percent-encoded, as CloudEvents' headers are
	raw     string   // as written, for coverage
}

// joint is a list of places whose texts are joined.
type joint struct {
	places []place
	tight  bool // & instead of +
}

// source is a compiled Source: a list of alternatives.
type source []joint

func parseSource(text string, params map[string]string) (source, error) {
	var s source
	for alt := range strings.SplitSeq(text, "|") {
		j := joint{tight: strings.Contains(alt, " & ")}
		sep := " + "
		if j.tight {
			sep = " & "
		}
		for one := range strings.SplitSeq(alt, sep) {
			p, err := parsePlace(strings.TrimSpace(one), params)
			if err != nil {
				return nil, err
			}
			j.places = append(j.places, p)
		}
		s = append(s, j)
	}
	return s, nil
}

func parsePlace(text string, params map[string]string) (place, error) {
	p := place{raw: text}
	kind, name, ok := strings.Cut(text, ":")
	if !ok || name == "" {
		return p, fmt.Errorf("%q is no source: write header:X, body:path, form:x, query:x, key:x, attribute:x, member:x,y, const:x or param:x", text)
	}
	name, inner, nested := strings.Cut(name, "#")
	p.name = name
	var err error
	if nested {
		if p.inner, err = parseJSONPath(inner); err != nil {
			return p, err
		}
	}
	switch kind {
	case "header":
		p.kind = placeHeader
	case "attribute":
		p.kind, p.name, p.encoded = placeHeader, "ce-"+name, true
	case "body":
		p.kind = placeBody
		p.path, err = parseJSONPath(name)
	case "form":
		p.kind = placeForm
	case "query":
		p.kind = placeQuery
	case "key":
		p.kind = placeKey
	case "member":
		p.kind = placeMember
		p.members = strings.Split(name, ",")
	case "const":
		p.kind = placeConst
	case "param":
		p.kind, p.name = placeConst, params[name]
	default:
		err = fmt.Errorf("%q is no kind of source: use header, body, form, query, key, attribute, member, const or param", kind)
	}
	return p, err
}

// presence tells how often a place holds a text.
type presence uint8

const (
	absent presence = iota
	once
	doubled
)

// read gives the text of a source. It is doubled when a place on the way holds more than one
// text: nothing says which of them counts, so none does.
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
	return q.readJSON(p.inner, []byte(text))
}

func (q *reading) readOuter(p *place) (string, presence) {
	switch p.kind {
	case placeHeader:
		text, n := singleText(q.r.Header.Values(p.name))
		if p.encoded && n == once {
			if plain, ok := decodeAttribute(text); ok {
				text = plain
			}
		}
		return text, n
	case placeBody:
		if text, ok := q.payload(); ok {
			return q.readJSON(p.path, []byte(text))
		}
		return q.readJSON(p.path, q.r.Body)
	case placeForm:
		return singleText(q.formValues()[p.name])
	case placeQuery:
		return singleText(q.queryValues()[p.name])
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

// payload gives the JSON in the field payload of a form, where GitHub and Slack put the
// attributes of an event. Only the body decides whether it is such a form: a stranger may change
// the Content-Type.
func (q *reading) payload() (string, bool) {
	v := q.v
	if !q.hidden || v.p.Body != bodyForm && v.p.Body != bodyMulti || !v.traits.SignsBody && !v.traits.Bearer || beginsJSON(q.r.Body) != 0 {
		return "", false
	}
	text, n := singleText(q.formValues()["payload"])
	return text, n == once
}

// beginsJSON gives the bracket with which a body begins; 0 if it begins otherwise.
func beginsJSON(body []byte) byte {
	s := scanner{b: bytes.TrimPrefix(body, []byte(byteOrderMark))}
	if s.space(); s.i < len(s.b) && (s.b[s.i] == '{' || s.b[s.i] == '[') {
		return s.b[s.i]
	}
	return 0
}

// member gives the first of some names that the body has as a member at its top.
func (q *reading) member(names []string) (string, presence) {
	for _, name := range names {
		if _, ok, _ := (jsonPath{{key: name, index: -1}}).find(q.r.Body, q.strict); ok {
			return name, once
		}
	}
	return "", absent
}

func (q *reading) readJSON(p jsonPath, body []byte) (string, presence) {
	at, ok, twice := p.find(body, q.strict)
	if twice {
		return "", doubled
	}
	if !ok {
		return "", absent
	}
	read := jsonText
	if q.exact {
		read = exactText
	}
	text, ok := read(body[at.from:at.to])
	if !ok {
		return "", absent
	}
	return text, once
}

func singleText(values []string) (string, presence) {
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

// decodeAttribute decodes an attribute in a header as CloudEvents' HTTP binding says (section
// 3.1.3.2): first the quotes that older senders put around it, then its percent-encoding, once.
func decodeAttribute(text string) (string, bool) {
	if n := len(text); n > 1 && text[0] == '"' && text[n-1] == '"' {
		var b strings.Builder
		for i := 1; i < n-1; i++ {
			if text[i] == '\\' && i < n-2 {
				i++
			}
			b.WriteByte(text[i])
		}
		text = b.String()
	}
	plain, err := url.PathUnescape(text)
	return plain, err == nil && utf8.ValidString(plain)
}

// checkAttributes refuses a request whose ID can't be decoded, because nothing would tell its
// event from others. Other attributes that can't be decoded count as they came.
func (v *Verifier) checkAttributes(r *Request) *Failure {
	for i := range v.identity.id {
		for _, p := range v.identity.id[i].places {
			if !p.encoded {
				continue
			}
			if text, n := singleText(r.Header.Values(p.name)); n == once {
				if _, ok := decodeAttribute(text); !ok {
					return Refuse(MalformedID, p.name+" is not the percent-encoding of UTF-8")
				}
			}
		}
	}
	return nil
}
