// Package provider holds the senders that grapnel knows, as embedded YAML: for each a profile
// that says how its requests are verified, facts for the owner of a source, and sample events. A
// preset says nothing that a `verify:` block in grapnel.yaml could not say.
package provider

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/internal/verify/coded"
)

//go:embed presets/*.yaml
var files embed.FS

// Preset is a sender that grapnel knows.
type Preset struct {
	Name string `yaml:"-"`
	// Aliases are other names of the preset.
	Aliases []string       `yaml:"aliases"`
	Verify  verify.Profile `yaml:"verify"`
	Sample  Samples        `yaml:"sample"`
}

// catalogue holds the presets by their names, and the names by alias.
type catalogue struct {
	presets map[string]Preset
	aliases map[string]string
	names   []string
	err     error
}

// loadPresets reads the embedded presets once; the result never changes after that.
var loadPresets = sync.OnceValue(func() catalogue {
	c := catalogue{presets: map[string]Preset{}, aliases: map[string]string{}}
	entries, err := files.ReadDir("presets")
	if err != nil {
		c.err = err
		return c
	}
	for _, entry := range entries {
		if err := c.read(entry.Name()); err != nil {
			c.err = err
			return c
		}
	}
	slices.Sort(c.names)
	return c
})

func (c *catalogue) read(file string) error {
	text, err := files.ReadFile("presets/" + file)
	if err != nil {
		return fmt.Errorf("read preset: %w", err)
	}
	p := Preset{Name: strings.TrimSuffix(file, path.Ext(file))}
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&p); err != nil {
		return fmt.Errorf("preset %s: %w", p.Name, err)
	}
	c.presets[p.Name] = p
	c.names = append(c.names, p.Name)
	for _, alias := range append(p.Aliases, p.Name) {
		if other, taken := c.aliases[alias]; taken {
			return fmt.Errorf("preset %s: the name %s is %s's already", p.Name, alias, other)
		}
		c.aliases[alias] = p.Name
	}
	return nil
}

// Names gives the names of all presets, sorted, without aliases.
func Names() []string { return slices.Clone(loadPresets().names) }

// Lookup finds a preset by its name or an alias.
func Lookup(name string) (Preset, bool) {
	c := loadPresets()
	p, ok := c.presets[c.aliases[strings.ToLower(name)]]
	return p, ok
}

// Compile makes the verifier of a profile, be it a preset's or a user's own, with the schemes
// that are verified by code.
func Compile(p verify.Profile) (*verify.Verifier, error) { return p.Compile(coded.Schemes()) }

// IsBearer tells whether a sender signs nothing and shows at most a token. Whoever has seen one
// of its requests can send any other.
func IsBearer(p verify.Profile) bool { return coded.Schemes().IsBearer(p) }

// Get finds the profile of a preset by its name or an alias. The caller may
// replace its fields, but must not write into its slices and maps.
func Get(name string) (verify.Profile, bool) {
	p, ok := Lookup(name)
	return p.Verify, ok
}
