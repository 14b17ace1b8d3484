package config

import (
	"errors"
	"strings"

	"github.com/grapnel/grapnel/internal/verify"
)

// refuse reports what Compile found, each at the setting it came from.
func (c *Config) refuse(s *Source, path string, err error) {
	var faults verify.Faults
	if !errors.As(err, &faults) {
		c.read.fault(path, err.Error())
		return
	}
	for _, f := range faults {
		at, own := c.origin(s, path, f.Field)
		if own {
			c.read.fault(at, f.Text)
		} else {
			c.read.fault(at, f.Field+": "+f.Text)
		}
	}
}

// origin is the setting of the file that a profile's field came from; own is
// false when it is the preset's.
func (c *Config) origin(s *Source, path, field string) (at string, own bool) {
	mine := field
	switch {
	case field == "timestamp.past" || field == "timestamp.future":
		mine = "tolerance"
	case field == "ack.status":
		mine = "ack_status"
	case strings.HasPrefix(field, "fields") && c.read.given(join(path, "dedupe.fields")):
		return join(path, "dedupe."+field), true
	case strings.HasPrefix(field, "params.") && !c.read.given(join(path, "verify."+field)):
		return join(path, field), true
	case field == "identity.id" && !c.read.given(join(path, field)):
		mine = "dedupe" // Whether an id must be signed depends on it.
	}
	if at = join(path, mine); c.read.given(at) {
		return at, true
	}
	if s.Verify != nil {
		return join(path, "verify."+field), true
	}
	return join(path, "provider"), false
}
