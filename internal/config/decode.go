package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/grapnel/grapnel/internal/secret"
)

// tooLarge is the path of the fault that the file has too many nodes; it is reported once.
const tooLarge = "*"

// nodeDecoder is implemented by settings that can be written in several forms.
type nodeDecoder interface {
	decodeNode(r *fileReading, n *yamlNode, path string)
}

// defaulter is implemented by settings that have defaults.
type defaulter interface{ SetDefaults() }

// decode fills v from n and reports what does not fit.
func (r *fileReading) decode(v reflect.Value, n *yamlNode, path string) {
	if r.nodes++; r.nodes > maxNodes {
		if !r.faulty[tooLarge] {
			r.faulty[tooLarge] = true
			r.faultAt(n.at, path, "the file is too large with its aliases followed; write less")
		}
		return
	}
	if c, ok := reflect.TypeAssert[nodeDecoder](v.Addr()); ok {
		c.decodeNode(r, n, path)
		return
	}
	r.decodePlain(v, n, path)
}

// decodePlain decodes as the Go type says, without a decodeNode.
func (r *fileReading) decodePlain(v reflect.Value, n *yamlNode, path string) {
	if isScalar(v.Type()) {
		r.scalar(v, n, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		r.decode(allocate(v), n, path)
	case reflect.Struct:
		r.structure(v, n, path)
	case reflect.Map:
		r.table(v, n, path)
	case reflect.Slice:
		r.list(v, n, path)
	default:
		r.scalar(v, n, path)
	}
}

// allocate allocates what a pointer points to, with its defaults.
func allocate(v reflect.Value) reflect.Value {
	v.Set(reflect.New(v.Type().Elem()))
	if d, ok := reflect.TypeAssert[defaulter](v); ok {
		d.SetDefaults()
	}
	return v.Elem()
}

func (r *fileReading) structure(v reflect.Value, n *yamlNode, path string) {
	switch n.kind {
	case kindNull:
		return
	case kindMapping:
	default:
		r.misshape(n, path, "expects settings below it, not a single value or a list: "+
			strings.Join(keysOf(v.Type()), ", "))
		return
	}
	for _, m := range n.members {
		p := joinPath(path, m.key)
		field, ok := fieldByKey(v, m.key)
		if !ok {
			r.reportUnknown(v.Type(), m, p)
			continue
		}
		r.notePlace(m, p)
		r.decode(field, m.value, p)
	}
}

// notePlace notes where a setting stands in the file: for a single value the place of the value,
// else that of its key.
func (r *fileReading) notePlace(m yamlMember, path string) {
	r.places[path] = m.at
	if m.value.kind == kindScalar {
		r.places[path] = m.value.at
	}
}

func (r *fileReading) table(v reflect.Value, n *yamlNode, path string) {
	switch n.kind {
	case kindNull:
		return
	case kindMapping:
	default:
		r.misshape(n, path, "expects a mapping of names to values")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.members)))
	for _, m := range n.members {
		p := joinPath(path, m.key)
		r.notePlace(m, p)
		value := reflect.New(v.Type().Elem()).Elem()
		r.decode(value, m.value, p)
		v.SetMapIndex(reflect.ValueOf(m.key).Convert(v.Type().Key()), value)
	}
}

func (r *fileReading) list(v reflect.Value, n *yamlNode, path string) {
	switch n.kind {
	case kindNull:
		return
	case kindSequence:
	default:
		r.misshape(n, path, "expects a list; write the value in brackets, [like, this]")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		p := path + "[" + strconv.Itoa(i) + "]"
		r.places[p] = item.at
		r.decode(v.Index(i), item, p)
	}
}

// scalar reads a single value: it resolves references and then parses the text as the type asks.
func (r *fileReading) scalar(v reflect.Value, n *yamlNode, path string) {
	text, expanded, ok := r.text(n, path)
	if !ok {
		return
	}
	if s, isSecret := reflect.TypeAssert[*Secret](v.Addr()); isSecret {
		r.secret(s, text, path, expanded)
		return
	}
	if f, isFile := reflect.TypeAssert[*secret.File](v.Addr()); isFile {
		r.content(f, text, path)
		return
	}
	err := parseScalar(v, text)
	switch {
	case err == nil:
	case expanded:
		// The value is not quoted: it came from the environment, and may be a secret in the wrong
		// place.
		r.fault(path, "the value from the environment does not fit: "+err.Error())
	default:
		r.fault(path, strconv.Quote(shortenText(text))+" does not fit: "+err.Error())
	}
}

// text gives a scalar's text with its references resolved. expanded tells whether there were any.
func (r *fileReading) text(n *yamlNode, path string) (text string, expanded, ok bool) {
	switch n.kind {
	case kindNull:
		r.fault(path, "has no value; give it one or remove the line")
		return "", false, false
	case kindScalar:
	default:
		r.misshape(n, path, "expects a single value, not a list or a mapping; a text with colons or brackets needs quotes")
		return "", false, false
	}
	text, expanded, errs := expandVariables(n.text, r.lookup)
	for _, err := range errs {
		r.faultAt(n.at, path, err.Error())
	}
	return text, expanded, len(errs) == 0
}

func (r *fileReading) secret(s *Secret, text, path string, expanded bool) {
	if name, ok := strings.CutPrefix(text, "file:"); ok {
		content, exposed, err := r.readSecret(name)
		if err != nil {
			r.fault(path, err.Error())
			return
		}
		if exposed {
			r.exposed = append(r.exposed, path)
		}
		text, expanded = content, true
	}
	*s = NewSecret(text)
	r.secrets[path] = *s
	r.written[path] = !expanded
}

// content reads a file that a setting names.
func (r *fileReading) content(f *secret.File, name, path string) {
	f.Path = r.beside(name)
	text, mode, err := readFile(f.Path)
	if err != nil {
		r.fault(path, err.Error())
		return
	}
	if strings.HasSuffix(path, "key_file") && mode.Perm()&0o004 != 0 {
		r.exposed = append(r.exposed, path)
	}
	f.Content = NewSecret(string(text))
	r.contents[path] = f.Content
}

// reportUnknown reports a key that does not exist, and suggests similar ones.
func (r *fileReading) reportUnknown(t reflect.Type, m yamlMember, path string) {
	known := keysOf(t)
	message := "there is no such setting; here are " + strings.Join(known, ", ")
	if near := Nearest(m.key, known); len(near) > 0 {
		message = "there is no such setting; did you mean " + strings.Join(near, " or ") + "?"
	}
	r.faultAt(m.at, path, message)
}

func joinPath(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// fieldByKey finds the field of a struct that a key of the file fills.
func fieldByKey(v reflect.Value, key string) (reflect.Value, bool) {
	t := v.Type()
	for i := range t.NumField() {
		if t.Field(i).IsExported() && keyName(t.Field(i)) == key && key != "" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// keyName gives the key of a field, from its yaml tag, else from its json tag; "" if it has none.
func keyName(f reflect.StructField) string {
	for _, tag := range []string{"yaml", "json"} {
		if name, _, _ := strings.Cut(f.Tag.Get(tag), ","); name == "-" {
			return ""
		} else if name != "" {
			return name
		}
	}
	return strings.ToLower(f.Name)
}

func keysOf(t reflect.Type) []string {
	var out []string
	for f := range t.Fields() {
		if f.IsExported() && keyName(f) != "" {
			out = append(out, keyName(f))
		}
	}
	return out
}

func shortenText(s string) string {
	if len(s) > 60 {
		return fmt.Sprintf("%.60s…", s)
	}
	return s
}
