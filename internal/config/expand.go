package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxFile is the longest file of a secret or certificate, in bytes.
const maxFile = 1 << 20

// expand puts the environment's values in the place of ${NAME}; $${ stands for
// ${ itself. A value is taken as it is, never expanded again. The errors are one
// for each reference that cannot be resolved; they name variables, not values.
func expand(text string, lookup func(string) (string, bool)) (out string, expanded bool, errs []error) {
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), expanded, errs
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		b.WriteString(text[:i])
		name, rest, closed := strings.Cut(text[i+2:], "}")
		if !closed || !isVariable(name) {
			return text, true, append(errs, errors.New("a ${ must be followed by a variable's name and }; write $${ for the characters themselves"))
		}
		value, set := lookup(name)
		switch {
		case !set:
			errs = append(errs, fmt.Errorf("the environment variable %s is not set; set it, or write $${%s} for the text itself", name, name))
		case value == "":
			errs = append(errs, fmt.Errorf("the environment variable %s is empty; give it a value", name))
		}
		b.WriteString(value)
		text, expanded = rest, true
	}
}

// isVariable tells whether a name is one that POSIX allows a variable.
func isVariable(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// readSecret reads the file of a file: reference and takes one line end off it.
// exposed is set when anyone on the machine may read the file.
func (r *reading) readSecret(name string) (text string, exposed bool, err error) {
	name = r.beside(name)
	b, mode, err := readFile(name)
	if err != nil {
		return "", false, err
	}
	text = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if text == "" {
		return "", false, fmt.Errorf("%s is empty; put the secret in it", name)
	}
	return text, mode.Perm()&0o004 != 0, nil
}

// beside is a path as the file means it: relative ones start at its directory.
func (r *reading) beside(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(r.file), name)
}

// readFile reads a file that the configuration names.
func readFile(name string) ([]byte, os.FileMode, error) {
	// Asked first, because opening a pipe would wait for its writer.
	info, err := os.Stat(name)
	if err != nil {
		return nil, 0, fmt.Errorf("the file cannot be read, check path and permissions: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a regular file; name one that is", name)
	}
	if info.Size() > maxFile {
		return nil, 0, fmt.Errorf("%s is over %s; name the file that is meant", name, Size(maxFile))
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, 0, fmt.Errorf("the file cannot be read, check path and permissions: %w", err)
	}
	return b, info.Mode(), nil
}
