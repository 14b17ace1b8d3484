package provider

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/verify"
)

// Compose is NewSample for events of any type. One that the preset has no sample
// of is made from its first, with the type put where the profile reads it.
func Compose(name string, profile verify.Profile, eventType, seed string, at time.Time) (Sample, error) {
	if eventType == "" || slices.Contains(Types(name), eventType) {
		return NewSample(name, eventType, seed, at)
	}
	s, err := NewSample(name, "", seed, at)
	if err != nil {
		return s, err
	}
	switch kind, where, _ := strings.Cut(profile.Identity.Type, ":"); kind {
	case "body":
		err = s.Set(where, eventType)
	case "header":
		s.Headers = map[string]string{where: eventType}
	default:
		err = fmt.Errorf("events of %s name no type; leave it out", name)
	}
	return s, err
}

// Set puts a value into the JSON body, at a path of names and places of lists in
// dots: "items.0.id". What lacks on the way is made.
func (s *Sample) Set(path string, value any) error {
	d := json.NewDecoder(bytes.NewReader(s.Body))
	d.UseNumber()
	var root any
	if err := d.Decode(&root); err != nil {
		return fmt.Errorf("the body is no JSON, so nothing in it can be set: %w", err)
	}
	root, err := put(root, strings.Split(path, "."), value)
	if err != nil {
		return fmt.Errorf("set %s: %w", path, err)
	}
	if s.Body, err = json.Marshal(root); err != nil {
		return fmt.Errorf("set %s: %w", path, err)
	}
	return nil
}

// put gives the node with a value at a path below it.
func put(node any, path []string, value any) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	switch n := node.(type) {
	case nil:
		below, err := put(nil, path[1:], value)
		return map[string]any{path[0]: below}, err
	case map[string]any:
		below, err := put(n[path[0]], path[1:], value)
		n[path[0]] = below
		return n, err
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(n) {
			return nil, fmt.Errorf("the list has no place %q, only 0 to %d", path[0], len(n)-1)
		}
		n[i], err = put(n[i], path[1:], value)
		return n, err
	default:
		return nil, fmt.Errorf("%q is below a value that holds nothing", path[0])
	}
}
