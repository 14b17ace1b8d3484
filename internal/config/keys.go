package config

import (
	"fmt"
	"reflect"
	"strings"
)

// unknown reports a key that no setting has.
func (r *reading) unknown(t reflect.Type, m member, path string) {
	if why, ok := unavailable(t, m.key); ok {
		r.faultAt(m.at, path, why)
		return
	}
	known := keysOf(t)
	message := "there is no such setting; here are " + strings.Join(known, ", ")
	if near := Nearest(m.key, known); len(near) > 0 {
		message = "there is no such setting; did you mean " + strings.Join(near, " or ") + "?"
	}
	r.faultAt(m.at, path, message)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// fieldByKey is the field that a key of the file fills.
func fieldByKey(v reflect.Value, key string) (reflect.Value, bool) {
	t := v.Type()
	for i := range t.NumField() {
		if t.Field(i).IsExported() && keyName(t.Field(i)) == key && key != "" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// keyName is a field's key: its yaml tag, else its json tag; "" is none.
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

func shorten(s string) string {
	if len(s) > 60 {
		return fmt.Sprintf("%.60s…", s)
	}
	return s
}
