package destination

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"sync"
)

// Set holds the destinations in force, over reloads of the configuration. A destination whose
// Spec has not changed stays as it is, with its connections. The state of breakers and limits is
// kept by the destination's name.
type Set struct {
	deps Deps

	mu      sync.Mutex
	current map[string]*Destination
	gates   map[string]*gate
}

// NewSet makes an empty set whose destinations work with d.
func NewSet(d Deps) *Set {
	return &Set{deps: d.complete(), current: map[string]*Destination{}, gates: map[string]*gate{}}
}

// Open makes the destinations that specs describe, in the order of their names,
// or none of them. They are in force once Replace is called.
func (s *Set) Open(specs map[string]*Spec) ([]*Destination, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var opened []*Destination
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		if same, ok := s.current[name]; ok && reflect.DeepEqual(same.Spec, specs[name]) {
			opened = append(opened, same)
			continue
		}
		d, err := openDestination(specs[name], s.deps, s.gate(name))
		if err != nil {
			faults = append(faults, err)
			continue
		}
		opened = append(opened, d)
	}
	if len(faults) > 0 {
		s.discard(opened)
		return nil, errors.Join(faults...)
	}
	return opened, nil
}

// gate gives the gate that is kept for a destination's name.
func (s *Set) gate(name string) *gate {
	g, ok := s.gates[name]
	if !ok {
		g = newGate(name, s.deps)
		s.gates[name] = g
	}
	return g
}

// Replace puts the destinations that Open made into force, and closes those that are in force no
// longer.
func (s *Set) Replace(ds []*Destination) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.current
	s.current = make(map[string]*Destination, len(ds))
	for _, d := range ds {
		s.current[d.Name()] = d
		d.gate.configure(d.Spec)
	}
	for name, d := range before {
		if s.current[name] != d {
			d.Close()
		}
	}
}

// Discard closes destinations that Open made and that are not put into force.
func (s *Set) Discard(ds []*Destination) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.discard(ds)
}

func (s *Set) discard(ds []*Destination) {
	for _, d := range ds {
		if s.current[d.Name()] != d {
			d.Close()
		}
	}
}

// All lists the destinations in force by name.
func (s *Set) All() []*Destination {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Destination
	for _, name := range slices.Sorted(maps.Keys(s.current)) {
		all = append(all, s.current[name])
	}
	return all
}
