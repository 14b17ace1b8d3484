package verify

import (
	"fmt"
	"hash"
	"strings"
)

type partKind uint8

const (
	partLiteral partKind = iota
	partBody
	partTimestamp
	partID
	partURL
	partURLNoQuery
	partMethod
	partSecret
	partPlace
)

// contentPiece is a literal or a place of a content template.
type contentPiece struct {
	kind  partKind
	text  string // of a literal
	place place  // of header, query and json
}

// scanTemplate cuts a template into literals and places. A place is a name of small letters in
// braces, maybe with a colon and an argument. Every other brace is a literal, so that JSON can be
// written as it is.
func scanTemplate(text string, literal func(string), named func(name, arg string) error) error {
	rest := text
	for rest != "" {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			break
		}
		end := strings.IndexAny(rest[open+1:], "{}")
		if end < 0 {
			break
		}
		end += open + 1
		name, arg, _ := strings.Cut(rest[open+1:end], ":")
		if rest[end] != '}' || !isName(name) {
			literal(rest[:open+1])
			rest = rest[open+1:]
			continue
		}
		if open > 0 {
			literal(rest[:open])
		}
		if err := named(name, arg); err != nil {
			return err
		}
		rest = rest[end+1:]
	}
	if rest != "" {
		literal(rest)
	}
	return nil
}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return s != "" && (s[0] < '0' || s[0] > '9')
}

// parseContent reads the template of the signed bytes.
func parseContent(text string, params map[string]string) ([]contentPiece, error) {
	var parts []contentPiece
	literal := func(s string) {
		if n := len(parts); n > 0 && parts[n-1].kind == partLiteral {
			parts[n-1].text += s
			return
		}
		parts = append(parts, contentPiece{kind: partLiteral, text: s})
	}
	err := scanTemplate(text, literal, func(name, arg string) error {
		p, err := contentPart(name, arg, params)
		if err == nil && p.kind == partLiteral {
			literal(p.text)
			return nil
		}
		parts = append(parts, p)
		return err
	})
	return parts, err
}

func contentPart(name, arg string, params map[string]string) (contentPiece, error) {
	plain := map[string]partKind{
		"body": partBody, "timestamp": partTimestamp, "id": partID, "url": partURL,
		"url_noquery": partURLNoQuery, "method": partMethod, "secret": partSecret,
	}
	if k, ok := plain[name]; ok && arg == "" {
		return contentPiece{kind: k}, nil
	}
	switch name {
	case "param":
		return contentPiece{kind: partLiteral, text: params[arg]}, nil
	case "json":
		name = "body"
	case "header", "query":
	default:
		return contentPiece{}, fmt.Errorf("{%s} is no place of a content: use body, timestamp, id, url, url_noquery, method, secret, header:X, query:x, json:path or param:x", name)
	}
	p, err := parsePlace(name+":"+arg, nil)
	return contentPiece{kind: partPlace, place: p}, err
}

// writeContent streams the signed bytes into a hash. The texts between bodies
// are gathered in scratch, so that the hash is called once for each.
func (q *reading) writeContent(h hash.Hash, secret string) {
	buf := q.scratch[:0]
	for i := range q.v.content {
		p := &q.v.content[i]
		if p.kind == partBody {
			if len(buf) > 0 {
				h.Write(buf)
				buf = buf[:0]
			}
			h.Write(q.r.Body)
			continue
		}
		buf = q.appendPart(buf, i, secret)
	}
	if len(buf) > 0 {
		h.Write(buf)
	}
	q.scratch = buf[:0]
}

// appendContent appends the signed bytes, for algorithms that need them whole.
func (q *reading) appendContent(buf []byte, secret string) []byte {
	for i := range q.v.content {
		if q.v.content[i].kind == partBody {
			buf = append(buf, q.r.Body...)
			continue
		}
		buf = q.appendPart(buf, i, secret)
	}
	return buf
}

func (q *reading) appendPart(buf []byte, i int, secret string) []byte {
	return append(buf, q.partText(i, secret)...)
}

// partText gives the text of a part other than the body.
func (q *reading) partText(i int, secret string) string {
	switch p := &q.v.content[i]; p.kind {
	case partLiteral:
		return p.text
	case partTimestamp:
		return q.stamp
	case partID:
		return q.id
	case partURL:
		return q.url(q.r.URL)
	case partURLNoQuery:
		u, _, _ := strings.Cut(q.r.URL, "?")
		return q.url(u)
	case partMethod:
		return q.r.Method
	case partSecret:
		return secret
	default:
		return q.texts[i]
	}
}

// url gives the URL as it came or, at the second try, with those escapes undone that the profile
// names.
func (q *reading) url(u string) string {
	if !q.unescape {
		return u
	}
	return q.v.urlUnescape.Replace(u)
}

// unescaper replaces the escapes of chars, in either case of the hex digits.
func unescaper(chars string) *strings.Replacer {
	var pairs []string
	for i := range len(chars) {
		upper := fmt.Sprintf("%%%02X", chars[i])
		pairs = append(pairs, upper, chars[i:i+1])
		if lower := strings.ToLower(upper); lower != upper {
			pairs = append(pairs, lower, chars[i:i+1])
		}
	}
	return strings.NewReplacer(pairs...)
}
