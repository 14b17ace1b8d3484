package verify

import (
	"fmt"
	"strings"
)

// Source is the text of a place in a request:
//
//	header:X-Event       a header
//	body:data.id         a path into the JSON body: a.b[0].c
//	form:CallSid         a field of a form body
//	query:token          a parameter of the URL
//	key:t                a pair of a kv signature header
//	member:a,b           the first of these names that the JSON body has at its top
//	const:text           the text itself
//	param:name           a value the source's owner gave
//
// place#path reads the place's text as JSON. A | B takes the first that is
// there; A + B joins those that are there with a dot; A & B joins them with
// nothing between, and needs them all.
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
	raw     string   // as written, for coverage
}

// joint is places whose texts are joined.
type joint struct {
	places []place
	tight  bool // & instead of +
}

// source is alternatives.
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
		return p, fmt.Errorf("%q is no source: write header:X, body:path, form:x, query:x, key:x, member:x,y, const:x or param:x", text)
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
		err = fmt.Errorf("%q is no kind of source: use header, body, form, query, key, member, const or param", kind)
	}
	return p, err
}

// presence is how often a place holds a text.
type presence uint8

const (
	absent presence = iota
	once
	doubled
)
