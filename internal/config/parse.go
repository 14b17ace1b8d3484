package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// A file past maxSource bytes, deeper than maxDepth or, with its aliases
// followed, of more than maxNodes nodes is no configuration of ours.
const (
	maxSource = 256 << 10
	maxDepth  = 64
	maxNodes  = 100_000
)

// parse reads a file into a node; a fault of the syntax ends it.
func (r *reading) parse(src []byte) *node {
	if len(src) > maxSource {
		r.faultAt(place{1, 1}, "", fmt.Sprintf("the file is over %s; a configuration is smaller", Size(maxSource)))
		return nil
	}
	file, err := parseYAML(src)
	if err != nil {
		r.syntax(err, src)
		return nil
	}
	c := converter{reading: r, anchors: map[string]*node{}}
	var root *node
	for _, doc := range file.Docs {
		if doc == nil || doc.Body == nil {
			continue
		}
		n := c.node(doc.Body, "", 0)
		switch {
		case n == nil || n.kind == kindNull:
		case root != nil:
			r.faultAt(n.at, "", "the file holds a second document; keep everything in one, without ---")
		default:
			root = n
		}
	}
	if root == nil {
		root = &node{at: place{1, 1}}
	}
	return root
}

// parseYAML is the library's parser, whose panics on malformed input are turned
// into errors: a file is read again while the process runs.
func parseYAML(src []byte) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the YAML parser failed; look for unbalanced quotes, brackets or indentation")
		}
	}()
	return parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
}

// syntax reports an error of the parser without the excerpt it would print,
// which may hold a secret.
func (r *reading) syntax(err error, src []byte) {
	at, text := place{1, 1}, "the file is no YAML"
	var e yaml.Error
	switch {
	case errors.As(err, &e):
		at, text = placeOf(e.GetToken(), at), "this is no YAML: "+e.GetMessage()
	case err != nil && !strings.ContainsAny(err.Error(), "\n"):
		text = err.Error()
	}
	r.faultAt(at, "", text+remedy(src, at))
}

// remedy says what is likely to be wrong with a line that the parser refuses; it
// shows nothing of it.
func remedy(src []byte, at place) string {
	lines := bytes.SplitAfterN(src, []byte("\n"), at.line+1)
	line := bytes.TrimLeft(lines[min(at.line, len(lines))-1], " ")
	switch {
	case bytes.HasPrefix(line, []byte("\t")):
		return "; indent with spaces, YAML takes no tabs"
	case bytes.Contains(line, []byte("${")):
		return "; a value with ${ needs quotes between brackets, as [\"${NAME}\"]"
	}
	return ""
}

func placeOf(t *token.Token, otherwise place) place {
	if t == nil || t.Position == nil {
		return otherwise
	}
	return place{max(t.Position.Line, 1), max(t.Position.Column, 1)}
}
