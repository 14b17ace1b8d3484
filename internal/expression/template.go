package expression

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/grapnel/grapnel/internal/event"
)

// Template is a text with parts of an event in it, as order-{{.body.order.id}}, in the
// language of Go's text/template. It is safe for concurrent use.
type Template struct {
	text *template.Template
	// alone is set where the template is one part of the event and nothing else.
	alone bool
}

// maxTemplate is the length in bytes of what a template may become.
const maxTemplate = 1000

// templateFields are what a template may take from an event.
func templateFields() []string {
	return []string{"id", "source", "type", "subject", "senderId", "time", "received", "headers", "body"}
}

// templateFunctions are what a template may call.
func templateFunctions() []string {
	return []string{"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "index", "len", "slice"}
}

// ParseTemplate reads a template. It must say no more than which parts of the event stand
// where: loops and templates within it are refused.
func ParseTemplate(text string) (*Template, error) {
	if len(text) > maxLength {
		return nil, fmt.Errorf("is longer than %d characters", maxLength)
	}
	t, err := template.New("").Option("missingkey=error").Funcs(template.FuncMap{"_value": templateValue, "_json": jsonOf}).Parse(text)
	if err != nil {
		return nil, errors.New(plainError(err))
	}
	if t.Tree == nil || len(t.Root.Nodes) == 0 {
		return nil, errors.New("is empty")
	}
	nodes := t.Root.Nodes
	out := &Template{text: t}
	if len(nodes) == 1 {
		_, out.alone = nodes[0].(*parse.ActionNode)
	}
	v := templateVisitor{tree: t.Tree, root: true, end: "_value"}
	if out.alone {
		v.end = "_json"
	}
	for _, n := range nodes {
		if err := v.node(n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Literal is the text that every result begins with.
func (t *Template) Literal() string {
	first, ok := t.text.Root.Nodes[0].(*parse.TextNode)
	if !ok {
		return ""
	}
	return string(first.Text)
}

// templateVisitor checks the parts of a template, and has every value that it writes looked at.
type templateVisitor struct {
	tree *parse.Tree
	// root is set where the dot is the event.
	root bool
	// end is the function that every value goes through.
	end string
}

func (v templateVisitor) node(n parse.Node) error {
	switch n := n.(type) {
	case nil, *parse.TextNode, *parse.CommentNode:
		return nil
	case *parse.ActionNode:
		if err := v.pipe(n.Pipe); err != nil || len(n.Pipe.Decl) > 0 {
			return err
		}
		end := parse.NewIdentifier(v.end).SetPos(n.Pos).SetTree(v.tree)
		n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{end}})
		return nil
	case *parse.IfNode:
		return v.branch(&n.BranchNode, v)
	case *parse.WithNode:
		within := v
		within.root = false
		return v.branch(&n.BranchNode, within)
	}
	return errors.New("only values and {{if}} and {{with}} may stand in it, no loops and no templates")
}

func (v templateVisitor) branch(n *parse.BranchNode, within templateVisitor) error {
	if err := v.pipe(n.Pipe); err != nil {
		return err
	}
	for _, one := range n.List.Nodes {
		if err := within.node(one); err != nil {
			return err
		}
	}
	if n.ElseList == nil {
		return nil
	}
	for _, one := range n.ElseList.Nodes {
		if err := v.node(one); err != nil {
			return err
		}
	}
	return nil
}

// pipe checks the names that a value begins with, as far as they can be known.
func (v templateVisitor) pipe(p *parse.PipeNode) error {
	for _, c := range p.Cmds {
		for _, arg := range c.Args {
			switch arg := arg.(type) {
			case *parse.IdentifierNode:
				// A format that a sender wrote could ask for any number of characters.
				if !slices.Contains(templateFunctions(), arg.Ident) {
					return fmt.Errorf("the function %s has no place in it; there are %s", arg.Ident, strings.Join(templateFunctions(), ", "))
				}
			case *parse.PipeNode:
				if err := v.pipe(arg); err != nil {
					return err
				}
			case *parse.FieldNode:
				if v.root && !slices.Contains(templateFields(), arg.Ident[0]) {
					return fmt.Errorf("an event has no .%s; it has .%s", arg.Ident[0], strings.Join(templateFields(), ", ."))
				}
			}
		}
	}
	return nil
}

// Text gives the text for an event. A part that is missing, null, empty or no single
// value is an error: it would make one name of many.
func (t *Template) Text(in *Input) (string, error) {
	out, err := t.render(in)
	if err != nil {
		return "", err
	}
	if t.alone {
		return unquoted(out)
	}
	return string(out), nil
}

// JSON gives the value of the part of the event that the template alone is, and else its
// text, as JSON.
func (t *Template) JSON(in *Input) ([]byte, error) {
	out, err := t.render(in)
	if err != nil || t.alone {
		return out, err
	}
	return JSON(string(out))
}

func (t *Template) render(in *Input) ([]byte, error) {
	data, errBody := in.view()
	w := boundedBuffer{most: maxTemplate}
	if t.alone {
		w.most = maxOutput
	}
	if err := t.text.Execute(&w, data); err != nil {
		if errBody != nil {
			return nil, &Error{Err: errBody}
		}
		return nil, &Error{Err: errors.New(event.Clean(plainError(err), maxReason))}
	}
	return w.Bytes(), nil
}

// view is the event as templates see it. The error says why there is no body in it.
func (in *Input) view() (map[string]any, error) {
	v := map[string]any{
		"id": in.event.ID, "source": in.event.Source, "type": in.event.Type, "subject": in.event.Subject,
		"senderId": in.event.SenderID, "headers": in.headers(),
	}
	for name, t := range map[string]time.Time{"time": in.event.Time, "received": in.event.Received} {
		v[name] = ""
		if !t.IsZero() {
			v[name] = t.UTC().Format(time.RFC3339Nano)
		}
	}
	body, err := in.body()
	if err == nil {
		v["body"] = body
	}
	return v, err
}

// templateValue is what every value of a template goes through.
func templateValue(v any) (string, error) {
	var s string
	switch v := v.(type) {
	case nil:
		return "", errors.New("it is null")
	case string:
		s = v
	case json.Number:
		return string(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	default:
		return "", errors.New("it is an object or a list, no single value")
	}
	switch {
	case strings.TrimSpace(s) == "":
		return "", errors.New("it is empty")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return "", errors.New("it holds control characters")
	}
	return s, nil
}

// jsonOf is what the value goes through that a template alone is.
func jsonOf(v any) (string, error) {
	out, err := JSON(v)
	return string(out), err
}

func unquoted(text []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", &Error{Err: err}
	}
	s, err := templateValue(v)
	switch {
	case err != nil:
		return "", &Error{Err: err}
	case len(s) > maxTemplate:
		return "", &Error{Err: errTooLong}
	}
	return s, nil
}

// boundedBuffer is a buffer that takes so much and no more.
type boundedBuffer struct {
	bytes.Buffer
	most int
}

var errTooLong = fmt.Errorf("it gives more than %d bytes", maxTemplate)

// Write implements io.Writer.
func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}

// plainError is what text/template says without where it says it.
func plainError(err error) string {
	s := err.Error()
	if i := strings.LastIndex(s, ">: "); i >= 0 {
		where := s[:i]
		return s[i+3:] + " at " + where[strings.LastIndex(where, "<")+1:]
	}
	if rest, ok := strings.CutPrefix(s, "template: "); ok {
		return strings.TrimLeft(rest, ":0123456789 ")
	}
	return s
}
