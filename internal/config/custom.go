package config

import (
	"reflect"
	"strings"

	"github.com/grapnel/grapnel/internal/destination"
	"github.com/grapnel/grapnel/internal/event"
)

// decodeNode reads a secret: a single value, or a mapping with its bounds.
func (s *SourceSecret) decodeNode(r *reading, n *node, path string) {
	if n.kind == kindMapping {
		r.structure(reflect.ValueOf(s).Elem(), n, path)
		return
	}
	r.scalar(reflect.ValueOf(&s.Value).Elem(), n, path)
}

// decodeNode reads a list of addresses, or a mapping that names where more are.
func (a *AllowIPs) decodeNode(r *reading, n *node, path string) {
	if n.kind == kindSequence {
		r.list(reflect.ValueOf(&a.CIDRs).Elem(), n, path)
		return
	}
	r.structure(reflect.ValueOf(a).Elem(), n, path)
}

// decodeNode reads a mode, or a mapping with the fields that make the key.
func (d *Dedupe) decodeNode(r *reading, n *node, path string) {
	if n.kind != kindMapping {
		r.scalar(reflect.ValueOf(&d.Mode).Elem(), n, path)
		return
	}
	var custom struct {
		Fields []dedupeField `yaml:"fields"`
	}
	r.structure(reflect.ValueOf(&custom).Elem(), n, path)
	d.Mode = DedupeFields
	for _, f := range custom.Fields {
		d.Fields = append(d.Fields, event.Field(f))
	}
	if len(d.Fields) == 0 {
		r.fault(join(path, "fields"), "name the fields that make the key, as [payload.object.uuid, event_ts]")
	}
}

// dedupeField is a field of a dedupe key: a dotted path into the body, or a
// mapping of its key and the paths that may hold its value.
type dedupeField event.Field

func (f *dedupeField) decodeNode(r *reading, n *node, path string) {
	if n.kind != kindMapping {
		var text string
		r.scalar(reflect.ValueOf(&text).Elem(), n, path)
		text = strings.TrimPrefix(text, "body:")
		f.Key, f.Paths = text, []string{text}
		return
	}
	var long struct {
		Key  string   `yaml:"key"`
		From []string `yaml:"from"`
	}
	r.structure(reflect.ValueOf(&long).Elem(), n, path)
	for i, p := range long.From {
		long.From[i] = strings.TrimPrefix(p, "body:")
	}
	f.Key, f.Paths = long.Key, long.From
	if (f.Key == "" || len(f.Paths) == 0) && !r.broken(path) {
		r.fault(path, "give a field its key and the paths it may come from: {key: id, from: [data.id]}")
	}
}

// unavailable tells of settings that have a place in the file and are not taken
// yet, so that no one believes they are in force.
func unavailable(t reflect.Type, key string) (why string, ok bool) {
	if t != reflect.TypeFor[destination.Spec]() {
		return "", false
	}
	switch key {
	case "activity", "workflow":
		return "destinations of this kind are not available yet; use http, or a handler in activities/handlers.go", true
	case "breaker":
		return "circuit breakers are not available yet; remove the setting, retry already spaces attempts out", true
	case "limit":
		return "limits of a destination are not available yet; remove the setting", true
	}
	return "", false
}
