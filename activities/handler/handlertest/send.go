package handlertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SendOption changes a sample before it is sent.
type SendOption func(*sending)

type sending struct {
	set    []change
	body   []byte
	forged bool
	skew   time.Duration
}

// change is a value that a place in the body gets.
type change struct {
	path  string
	value any
}

// Set puts a value into the JSON body of the sample, at a path such as
// "data.object.amount" or "items.0.id".
func Set(path string, value any) SendOption {
	return func(s *sending) { s.set = append(s.set, change{path, value}) }
}

// Body sends another body.
func Body(body []byte) SendOption { return func(s *sending) { s.body = body } }

// Forged signs with a secret that the receiver does not know.
func Forged() SendOption { return func(s *sending) { s.forged = true } }

// Skew signs at another time than the kit's: -10m is ten minutes ago.
func Skew(d time.Duration) SendOption { return func(s *sending) { s.skew = d } }

// changed is a JSON body with changes.
func changed(body []byte, changes []change) ([]byte, error) {
	if len(changes) == 0 {
		return body, nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var root any
	if err := d.Decode(&root); err != nil {
		return nil, fmt.Errorf("the body is no JSON, so nothing in it can be set: %w", err)
	}
	for _, c := range changes {
		var err error
		if root, err = put(root, strings.Split(c.path, "."), c.value); err != nil {
			return nil, fmt.Errorf("set %s: %w", c.path, err)
		}
	}
	out, err := json.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("write the changed body: %w", err)
	}
	return out, nil
}

// put gives the node with a value at a path below it. What lacks on the way is
// made.
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
