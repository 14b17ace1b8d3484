package cli

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// setPaths changes a JSON body: each change is PATH=VALUE, the path in dots, the
// value JSON or else a text. What lacks on the way is made.
func setPaths(body []byte, changes []string) ([]byte, error) {
	if len(changes) == 0 {
		return body, nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var root any
	if err := d.Decode(&root); err != nil {
		return nil, fmt.Errorf("--set changes JSON bodies only, and this one is none: %w", err)
	}
	for _, change := range changes {
		path, text, ok := strings.Cut(change, "=")
		if !ok || path == "" {
			return nil, fmt.Errorf("--set %s: write PATH=VALUE, for example payload.object.topic=Review", change)
		}
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		} else {
			value = json.RawMessage(text)
		}
		var err error
		if root, err = set(root, strings.Split(path, "."), value); err != nil {
			return nil, fmt.Errorf("--set %s: %w", change, err)
		}
	}
	out, err := json.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("write the changed body: %w", err)
	}
	return out, nil
}

// set gives the node with a value at a path below it.
func set(node any, path []string, value any) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	switch n := node.(type) {
	case nil:
		below, err := set(nil, path[1:], value)
		return map[string]any{path[0]: below}, err
	case map[string]any:
		below, err := set(n[path[0]], path[1:], value)
		n[path[0]] = below
		return n, err
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(n) {
			return nil, fmt.Errorf("the list has no place %q, only 0 to %d", path[0], len(n)-1)
		}
		n[i], err = set(n[i], path[1:], value)
		return n, err
	default:
		return nil, fmt.Errorf("%q is below a value that holds nothing", path[0])
	}
}

// forged is a secret of the right form that nobody was given.
func forged(key string) string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	switch key {
	case "hex":
		return hex.EncodeToString(b)
	case "base64":
		return base64.StdEncoding.EncodeToString(b)
	case "base64url":
		return base64.RawURLEncoding.EncodeToString(b)
	case "whsec":
		return "whsec_" + base64.StdEncoding.EncodeToString(b)
	default:
		return rand.Text()
	}
}
