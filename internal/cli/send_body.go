package cli

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/grapnel/grapnel/internal/verify"
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
func forged(p verify.Profile) (string, error) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	b64 := base64.StdEncoding.EncodeToString
	switch key := p.Key; {
	case p.Algorithm == "ecdsa-p256-sha256":
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return "", fmt.Errorf("make a key: %w", err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			return "", fmt.Errorf("write a key: %w", err)
		}
		return b64(der), nil
	case key == "hex":
		return hex.EncodeToString(b), nil
	case key == "base64":
		return b64(b), nil
	case key == "base64url":
		return base64.RawURLEncoding.EncodeToString(b), nil
	case key == "whsec":
		return "whsec_" + b64(b), nil
	case key == "whpk":
		return "whsk_" + b64(ed25519.NewKeyFromSeed(b)), nil
	default:
		return rand.Text(), nil
	}
}
