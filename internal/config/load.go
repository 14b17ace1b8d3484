package config

import (
	"fmt"
	"os"
	"reflect"
)

// Load reads the file at path. lookup resolves ${VAR} references; os.LookupEnv
// is the usual one. The error is Faults when the file could be read.
func Load(path string, lookup func(string) (string, bool)) (*Config, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the configuration cannot be read, check GRAPNEL_CONFIG: %w", err)
	}
	return Parse(path, src, lookup)
}

// Parse is Load of a text; name stands for the file in faults, and relative
// file: references start at its directory. The error is Faults, all of them.
func Parse(name string, src []byte, lookup func(string) (string, bool)) (*Config, error) {
	r := newReading(name, lookup)
	c := defaults()
	c.read = r
	if root := r.parse(src); root != nil {
		r.structure(reflect.ValueOf(c).Elem(), root, "")
		if !r.faulty[tooLarge] {
			c.validate()
		}
	}
	if len(r.faults) > 0 {
		return nil, r.faults.sorted()
	}
	return c, nil
}
