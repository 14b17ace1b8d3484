package config

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// A file is refused that has more than maxSource bytes, is nested deeper than maxDepth, or has
// more than maxNodes nodes once its aliases are followed.
const (
	maxSource = 256 << 10
	maxDepth  = 64
	maxNodes  = 100_000
)

// parse reads a file into nodes. It gives nil after a fault of the syntax.
func (r *fileReading) parse(src []byte) *yamlNode {
	if len(src) > maxSource {
		r.faultAt(position{1, 1}, "", fmt.Sprintf("the file is over %s; a configuration is smaller", Size(maxSource)))
		return nil
	}
	file, err := parseYAML(src)
	if err != nil {
		r.syntax(err, src)
		return nil
	}
	c := nodeConverter{fileReading: r, anchors: map[string]*yamlNode{}}
	var root *yamlNode
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
		root = &yamlNode{at: position{1, 1}}
	}
	return root
}

// parseYAML calls the library's parser and turns its panics into errors: a malformed file that is
// read again must not end the process.
func parseYAML(src []byte) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the YAML parser failed; look for unbalanced quotes, brackets or indentation")
		}
	}()
	return parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
}

// syntax reports an error of the parser without the excerpt that the parser prints, because it
// may hold a secret.
func (r *fileReading) syntax(err error, src []byte) {
	at, text := position{1, 1}, "the file is no YAML"
	var e yaml.Error
	switch {
	case errors.As(err, &e):
		at, text = positionOf(e.GetToken(), at), "this is no YAML: "+e.GetMessage()
	case err != nil && !strings.ContainsAny(err.Error(), "\n"):
		text = err.Error()
	}
	r.faultAt(at, "", text+yamlRemedy(src, at))
}

// yamlRemedy says what is likely to be wrong with a line that the parser refuses, without quoting
// it.
func yamlRemedy(src []byte, at position) string {
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

func positionOf(t *token.Token, otherwise position) position {
	if t == nil || t.Position == nil {
		return otherwise
	}
	return position{max(t.Position.Line, 1), max(t.Position.Column, 1)}
}

// position is where something stands in the file.
type position struct{ line, column int }

type nodeKind uint8

const (
	kindNull nodeKind = iota
	kindScalar
	kindMapping
	kindSequence
)

// yamlNode is a part of the file: a text, a list or a mapping.
type yamlNode struct {
	kind nodeKind
	at   position
	// text is a scalar as it is written, before references are resolved. The setting decides what
	// it means: no, for example, is a fine name of a source.
	text    string
	members []yamlMember
	items   []*yamlNode
}

type yamlMember struct {
	key   string
	at    position
	value *yamlNode
}

// nodeConverter makes nodes from the library's syntax tree.
type nodeConverter struct {
	*fileReading
	anchors map[string]*yamlNode
}

func (c *nodeConverter) node(n ast.Node, path string, depth int) *yamlNode {
	if n == nil {
		return &yamlNode{at: position{1, 1}}
	}
	at := positionOf(n.GetToken(), position{1, 1})
	if depth > maxDepth {
		c.faultAt(at, path, "this is nested too deep; a configuration is not")
		return nil
	}
	switch n := n.(type) {
	case *ast.NullNode:
		return &yamlNode{at: at}
	case *ast.LiteralNode:
		return &yamlNode{kind: kindScalar, at: at, text: n.Value.Value}
	case *ast.StringNode:
		return &yamlNode{kind: kindScalar, at: at, text: n.Value}
	case *ast.AnchorNode:
		v := c.node(n.Value, path, depth+1)
		c.anchors[nameOf(n.Name)] = v
		return v
	case *ast.AliasNode:
		v := c.anchors[nameOf(n.Value)]
		if v == nil {
			c.faultAt(at, path, "this alias names no anchor that stands before it; define the anchor first")
		}
		return v
	case *ast.TagNode:
		return c.tagged(n, path, depth)
	case *ast.SequenceNode:
		return c.sequence(n, at, path, depth)
	case *ast.MappingNode:
		return c.mapping(n.Values, at, path, depth)
	case *ast.MappingValueNode:
		return c.mapping([]*ast.MappingValueNode{n}, at, path, depth)
	case ast.ScalarNode:
		return &yamlNode{kind: kindScalar, at: at, text: n.GetToken().Value}
	}
	c.faultAt(at, path, "this kind of YAML has no place in a configuration; write plain mappings, lists and values")
	return nil
}

// tagged accepts the tags of YAML's core schema, which change nothing here, and refuses all
// others.
func (c *nodeConverter) tagged(n *ast.TagNode, path string, depth int) *yamlNode {
	switch n.GetToken().Value {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq":
		return c.node(n.Value, path, depth+1)
	}
	c.faultAt(positionOf(n.GetToken(), position{1, 1}), path, "YAML tags have no meaning here; remove it")
	return nil
}

func nameOf(n ast.Node) string {
	if n == nil {
		return ""
	}
	return n.GetToken().Value
}

func (c *nodeConverter) sequence(n *ast.SequenceNode, at position, path string, depth int) *yamlNode {
	out := &yamlNode{kind: kindSequence, at: at}
	for i, v := range n.Values {
		if item := c.node(v, path+"["+strconv.Itoa(i)+"]", depth+1); item != nil {
			out.items = append(out.items, item)
		}
	}
	return out
}

func (c *nodeConverter) mapping(values []*ast.MappingValueNode, at position, path string, depth int) *yamlNode {
	out := &yamlNode{kind: kindMapping, at: at}
	var merged []*yamlNode
	lines := map[string]int{}
	for _, v := range values {
		if v == nil || v.Key == nil {
			continue
		}
		key := keyOf(v.Key)
		value := c.node(v.Value, joinPath(path, key), depth+1)
		if value == nil {
			continue
		}
		if v.Key.IsMergeKey() {
			merged = append(merged, value)
			continue
		}
		m := yamlMember{key: key, at: positionOf(v.Key.GetToken(), at), value: value}
		if first, twice := lines[key]; twice {
			c.faultAt(m.at, joinPath(path, key), fmt.Sprintf("this key is given twice, first on line %d; keep one of them", first))
			continue
		}
		lines[key] = m.at.line
		out.members = append(out.members, m)
	}
	for _, from := range merged {
		c.merge(out, from, lines)
	}
	if len(out.members) > 0 && at.line >= out.members[0].at.line {
		out.at = out.members[0].at
	}
	return out
}

// merge takes over the keys of the mapping that << names, except those that the mapping has
// itself.
func (c *nodeConverter) merge(into, from *yamlNode, lines map[string]int) {
	switch from.kind {
	case kindSequence:
		for _, item := range from.items {
			c.merge(into, item, lines)
		}
	case kindMapping:
		if c.nodes += len(from.members); c.nodes > maxNodes {
			return // Decoding reports it.
		}
		for _, m := range from.members {
			if _, given := lines[m.key]; !given {
				lines[m.key] = m.at.line
				into.members = append(into.members, m)
			}
		}
	default:
		c.faultAt(from.at, "<<", "only a mapping can be merged; name the anchor of one")
	}
}

func keyOf(k ast.MapKeyNode) string {
	switch k := k.(type) {
	case *ast.StringNode:
		return k.Value
	case *ast.MappingKeyNode:
		if inner, ok := k.Value.(ast.MapKeyNode); ok {
			return keyOf(inner)
		}
	}
	return k.GetToken().Value
}
