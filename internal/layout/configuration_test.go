package layout_test

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/config"
)

// The reference of grapnel.yaml is printed from the structs that the file is read
// into: their keys, their defaults and their comments.
// GRAPNEL_UPDATE_GOLDEN=1 writes it anew.
func TestTheConfigurationReferenceIsPrintedFromTheCode(t *testing.T) {
	const file = "docs/configuration.md"
	r := &reference{comments: commentsOf(t)}
	fmt.Fprint(&r.text, "# Configuration\n\n"+
		broken("Every key of `grapnel.yaml`, printed from the code. The file at the root shows the usual ones with comments, and "+
			"`grapnel check` reports every fault of yours with line and column. A key that is not given has its default. "+
			"The environment variables stand in the README.")+"\n\n"+
		broken("`${NAME}` in a value is taken from the environment, `file:/path` in the place of a secret from a file. A duration is "+
			"written `90s`, `5m` or `30d`, a size `512KB` or `1MiB`.")+"\n")
	sample, err := config.Parse("", []byte("sources: {a: {provider: generic-hmac, secrets: [a-secret-of-some-length]}}"), os.LookupEnv)
	require.NoError(t, err)
	top := *sample
	top.Sources = nil
	r.section("The file", "", reflect.ValueOf(top))
	for len(r.later) > 0 {
		// What stands within a setting comes next after it.
		next, rest := r.later[0], r.later[1:]
		r.later = nil
		r.section("`"+next.path+"`", next.path, next.value)
		r.later = append(r.later, rest...)
	}
	require.Empty(t, r.missing, "these keys have no comment in the code")
	if os.Getenv("GRAPNEL_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(filepath.Join(root, file), []byte(r.text.String()), 0o600))
		return
	}
	require.Equal(t, r.text.String(), read(t, file), "write it anew with GRAPNEL_UPDATE_GOLDEN=1")
}

// reference is the text as far as it is written.
type reference struct {
	text     strings.Builder
	comments map[string]string
	later    []settings
	missing  []string
}

// settings are a struct of settings that has a section of its own.
type settings struct {
	path  string
	value reflect.Value
}

// commentsOf reads the comment of every struct and of every field, by package
// directory, struct and field: "internal/config.Source.URL".
func commentsOf(t *testing.T) map[string]string {
	t.Helper()
	comments := map[string]string{}
	for _, file := range goFiles(t) {
		ast.Inspect(file.syntax, func(node ast.Node) bool {
			general, ok := node.(*ast.GenDecl)
			if !ok {
				return true
			}
			for _, spec := range general.Specs {
				named, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				shape, ok := named.Type.(*ast.StructType)
				if !ok {
					continue
				}
				name := file.dir + "." + named.Name.Name
				comments[name] = general.Doc.Text()
				for _, field := range shape.Fields.List {
					for _, id := range field.Names {
						comments[name+"."+id.Name] = field.Doc.Text()
					}
				}
			}
			return true
		})
	}
	return comments
}

// section writes the table of a struct, and puts off those of the structs in it.
func (r *reference) section(title, path string, v reflect.Value) {
	typ := v.Type()
	name := strings.TrimPrefix(typ.PkgPath(), module+"/") + "." + typ.Name()
	fmt.Fprintf(&r.text, "\n## %s\n\n%s\n\n| key | kind | default | meaning |\n|---|---|---|---|\n",
		title, broken(capital(sentence(r.comments[name], typ.Name()))+"."))
	for i := range typ.NumField() {
		field := typ.Field(i)
		key := keyOf(field)
		if key == "" {
			continue
		}
		meaning := keysFor(sentence(r.comments[name+"."+field.Name], field.Name), typ)
		if meaning == "" {
			r.missing = append(r.missing, name+"."+field.Name)
		}
		at := strings.TrimPrefix(path+"."+key, ".")
		kind := r.kind(at, field.Type, v.Field(i))
		fmt.Fprintf(&r.text, "| `%s` | %s | %s | %s |\n", key, kind, defaultOf(v.Field(i)), strings.ReplaceAll(meaning, "|", `\|`))
	}
}

// broken breaks a paragraph into lines of prose.
func broken(paragraph string) string {
	var text strings.Builder
	column := 0
	for word := range strings.FieldsSeq(paragraph) {
		width := utf8.RuneCountInString(word)
		switch {
		case column == 0:
		case column+1+width > proseWidth:
			text.WriteByte('\n')
			column = 0
		default:
			text.WriteByte(' ')
			column++
		}
		text.WriteString(word)
		column += width
	}
	return text.String()
}

// keyOf is the key of a field in the file; empty: it has none.
func keyOf(field reflect.StructField) string {
	key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
	if key == "" {
		key, _, _ = strings.Cut(field.Tag.Get("json"), ",")
	}
	if key == "-" || !field.IsExported() {
		return ""
	}
	return key
}

// sentence is a comment without the name that it begins with, on one line.
func sentence(comment, name string) string {
	text := strings.Join(strings.Fields(comment), " ")
	if rest, ok := strings.CutPrefix(text, name+" "); ok {
		text = regexp.MustCompile(`^(is|are) `).ReplaceAllString(rest, "")
	}
	text = strings.TrimSuffix(text, ".")
	return regexp.MustCompile(`\[(\w+)\]`).ReplaceAllString(text, "$1")
}

// keysFor puts keys in the place of the names that the code has for them.
func keysFor(text string, typ reflect.Type) string {
	for field := range typ.Fields() {
		if key := keyOf(field); key != "" {
			text = regexp.MustCompile(`\b`+field.Name+`\b`).ReplaceAllString(text, "`"+key+"`")
		}
	}
	return text
}

func capital(text string) string {
	if text == "" || strings.HasPrefix(text, "grapnel.yaml") {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// kind says in a few words what a value looks like. A struct gets a section.
func (r *reference) kind(path string, typ reflect.Type, v reflect.Value) string {
	switch typ {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[config.Size]():
		return "size"
	case reflect.TypeFor[config.Secret]():
		return "secret"
	case reflect.TypeFor[time.Time]():
		return "time"
	}
	switch typ.Kind() {
	case reflect.Pointer:
		return r.kind(path, typ.Elem(), fresh(typ.Elem()))
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Float64:
		return "number"
	case reflect.Map:
		return "names to: " + r.kind(path+".NAME", typ.Elem(), fresh(typ.Elem()))
	case reflect.Slice:
		return "list of: " + r.kind(path+"[]", typ.Elem(), fresh(typ.Elem()))
	case reflect.Struct:
		if !hasKeys(typ) {
			return "text"
		}
		r.later = append(r.later, settings{path, v})
		return "settings, see `" + path + "`"
	default:
		return "text"
	}
}

func hasKeys(typ reflect.Type) bool {
	for field := range typ.Fields() {
		if keyOf(field) != "" {
			return true
		}
	}
	return false
}

// fresh is the value that a setting has before the file is read.
func fresh(typ reflect.Type) reflect.Value {
	if typ.Kind() == reflect.Pointer {
		return fresh(typ.Elem())
	}
	v := reflect.New(typ)
	if d, ok := reflect.TypeAssert[interface{ SetDefaults() }](v); ok {
		d.SetDefaults()
	}
	return v.Elem()
}

// defaultOf writes a default, where it says anything.
func defaultOf(v reflect.Value) string {
	switch v.Kind() { //nolint:exhaustive // Every other kind is written as it is.
	case reflect.Pointer, reflect.Map, reflect.Struct:
		return ""
	case reflect.Slice:
		var all []string
		for i := range v.Len() {
			all = append(all, strings.Trim(defaultOf(v.Index(i)), "`"))
		}
		if len(all) == 0 {
			return ""
		}
		return "`[" + strings.Join(all, ", ") + "]`"
	}
	if v.IsZero() {
		return ""
	}
	if d, ok := reflect.TypeAssert[time.Duration](v); ok {
		return "`" + spelled(d) + "`"
	}
	return fmt.Sprintf("`%v`", v.Interface())
}

// spelled writes a duration as people do: 720h0m0s is 30d.
func spelled(d time.Duration) string {
	const day = 24 * time.Hour
	if d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
