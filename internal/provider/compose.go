package provider

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/verify"
)

// Compose makes a sample event of any type. A type of which the preset has no sample is made from
// its first sample: the type is put where the profile reads it.
func Compose(name string, profile verify.Profile, eventType, seed string, at time.Time) (Sample, error) {
	if eventType == "" || slices.Contains(Types(name), eventType) {
		return NewSample(name, eventType, seed, at)
	}
	s, err := NewSample(name, "", seed, at)
	if err != nil {
		return s, err
	}
	for source := range strings.SplitSeq(profile.Identity.Type, "|") {
		if strings.HasPrefix(source, "member:") {
			break // What the body holds is its type, and the sample's holds another.
		}
		places := strings.Split(source, " + ")
		if slices.ContainsFunc(places, func(place string) bool { return !settable(place) }) {
			continue
		}
		parts := strings.SplitN(eventType, ".", len(places))
		if len(parts) < len(places) {
			return s, fmt.Errorf("types of %s have %d parts, with a dot between; write one as %s", name, len(places), Types(name)[0])
		}
		for i, place := range places {
			if err := s.setPlace(place, parts[i]); err != nil {
				return s, err
			}
		}
		return s, nil
	}
	return s, fmt.Errorf("no type can be written into events of %s; use one of %s, or leave it out", name, strings.Join(Types(name), ", "))
}

// settable tells whether a text can be written to the place from which a type is read.
func settable(place string) bool {
	kind, where, _ := strings.Cut(strings.TrimSpace(place), ":")
	return slices.Contains([]string{"body", "header", "attribute", "form"}, kind) && !strings.Contains(where, "#")
}

// setPlace writes a text to such a place.
func (s *Sample) setPlace(place, text string) error {
	kind, where, _ := strings.Cut(strings.TrimSpace(place), ":")
	switch kind {
	case "header":
		s.Headers[where] = text
	case "attribute":
		s.Headers["ce-"+where] = url.PathEscape(text)
	case "form":
		form, err := url.ParseQuery(string(s.Body))
		if err != nil {
			return fmt.Errorf("the body is no form, so no type can be set in it: %w", err)
		}
		form.Set(where, text)
		s.Body = []byte(form.Encode())
	default:
		return s.Set(strings.TrimPrefix(strings.NewReplacer("[", ".", "]", "").Replace(where), "."), text)
	}
	return nil
}

// Set puts a value into the JSON body. The path holds names and list positions with dots between
// them: "items.0.id". Missing parts are made.
func (s *Sample) Set(path string, value any) error {
	d := json.NewDecoder(bytes.NewReader(s.Body))
	d.UseNumber()
	var root any
	if err := d.Decode(&root); err != nil {
		return fmt.Errorf("the body is no JSON, so nothing in it can be set: %w", err)
	}
	root, err := putAt(root, strings.Split(path, "."), value)
	if err != nil {
		return fmt.Errorf("set %s: %w", path, err)
	}
	if s.Body, err = json.Marshal(root); err != nil {
		return fmt.Errorf("set %s: %w", path, err)
	}
	return nil
}

// putAt gives the node with the value put in at a path below it.
func putAt(node any, path []string, value any) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	switch n := node.(type) {
	case nil:
		below, err := putAt(nil, path[1:], value)
		return map[string]any{path[0]: below}, err
	case map[string]any:
		below, err := putAt(n[path[0]], path[1:], value)
		n[path[0]] = below
		return n, err
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(n) {
			return nil, fmt.Errorf("the list has no place %q, only 0 to %d", path[0], len(n)-1)
		}
		n[i], err = putAt(n[i], path[1:], value)
		return n, err
	default:
		return nil, fmt.Errorf("%q is below a value that holds nothing", path[0])
	}
}
