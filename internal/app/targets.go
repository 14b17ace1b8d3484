package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/grapnel/grapnel/activities"
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/provider"
)

// Target is a handler or a destination, with the sources whose events can reach it.
type Target struct {
	// Kind is handler or destination.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Events are the patterns of source/type that it takes.
	Events []string `json:"events"`
	// At is the place in the source code that binds a handler.
	At string `json:"at,omitempty"`
	// Sources are the configured sources whose events can reach it.
	Sources []string `json:"sources"`
	// Fault says what is probably wrong if no source can reach it.
	Fault string `json:"fault,omitempty"`
}

// String names the target with the place it was bound at.
func (t Target) String() string {
	if t.At == "" {
		return t.Kind + " " + t.Name
	}
	return t.Kind + " " + t.Name + " (" + t.At + ")"
}

// handlers makes activities with the program's handlers. The error names every binding that can't
// be used.
func (w World) handlers() (*activities.Activities, error) {
	a := activities.New(nil, "")
	if err := a.Bind(w.Bind...); err != nil {
		return nil, fmt.Errorf("handlers:\n%w", err)
	}
	return a, nil
}

// Targets lists the program's handlers and a configuration's destinations, handlers first. The
// error names every handler's binding that can't be used.
func (w World) Targets(c *config.Config) ([]Target, error) {
	a, err := w.handlers()
	if err != nil {
		return nil, err
	}
	return targetsUnder(c, a), nil
}

// targetsUnder lists the handlers of a, which may be nil, and the destinations of c.
func targetsUnder(c *config.Config, a *activities.Activities) []Target {
	var all []Target
	if a != nil {
		for _, b := range a.Bindings(c.Examples) {
			all = append(all, findSources(c, Target{
				Kind: "handler", Name: b.Name, At: b.At, Events: []string{b.Source + "/" + b.Type},
			}))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Destinations)) {
		all = append(all, findSources(c, Target{Kind: "destination", Name: name, Events: c.Destinations[name].Events}))
	}
	return all
}

// findSources fills in Sources, or Fault if no source can reach the target.
func findSources(c *config.Config, t Target) Target {
	t.Sources = []string{}
	var hints []string
	for _, pattern := range t.Events {
		t.Sources = append(t.Sources, c.Senders(pattern)...)
		hints = append(hints, whyNoMatch(c, pattern))
	}
	slices.Sort(t.Sources)
	t.Sources = slices.Compact(t.Sources)
	if len(t.Sources) == 0 {
		t.Fault = "no source of the configuration sends what it takes: " + strings.Join(hints, "; ")
	}
	return t
}

// whyNoMatch says why no event matches a pattern of source/type.
func whyNoMatch(c *config.Config, pattern string) string {
	source, typ, _ := strings.Cut(pattern, "/")
	known := slices.Sorted(maps.Keys(c.Sources))
	_, preset := provider.Get(source)
	switch {
	case c.Sources[source] != nil:
		return fmt.Sprintf("the events of source %s are %s, which do not include %s", source, strings.Join(c.Sources[source].Events, ", "), typ)
	case strings.Contains(source, "*"):
		return fmt.Sprintf("no event matches %s", pattern)
	case preset:
		return fmt.Sprintf("there is no source %s; add it with its preset", source)
	}
	for _, near := range [][]string{config.Nearest(source, known), config.Nearest(source, provider.Names())} {
		if len(near) > 0 {
			return fmt.Sprintf("there is no source %s; did you mean %s?", source, strings.Join(near, " or "))
		}
	}
	return fmt.Sprintf("there is no source %s, and no preset of that name", source)
}
