package config

import (
	"strings"
)

// reading is one reading of a file: where things stand in it and what is wrong.
type reading struct {
	file   string
	lookup func(string) (string, bool)
	faults Faults
	// places are where settings stand, by path.
	places map[string]place
	// secrets are the resolved ones by path, for Fingerprint and Warnings.
	secrets map[string]Secret
	// exposed are the paths of secrets whose files anyone may read.
	exposed []string
	// written are the paths of secrets that stand in the file itself.
	written map[string]bool
	// faulty are the paths of faults, tainted those and the ones around them,
	// misshapen those of values of the wrong shape.
	faulty, tainted, misshapen map[string]bool
	nodes                      int

	fingerprints
}

func newReading(file string, lookup func(string) (string, bool)) *reading {
	return &reading{
		file: file, lookup: lookup,
		places: map[string]place{}, secrets: map[string]Secret{}, written: map[string]bool{},
		faulty: map[string]bool{}, tainted: map[string]bool{}, misshapen: map[string]bool{},
	}
}

// given tells whether the file holds the setting.
func (r *reading) given(path string) bool {
	_, ok := r.places[path]
	return ok
}

// fault reports what is wrong with a setting, at its place or, when it is not in
// the file, at that of what should hold it. One fault for a setting is enough.
func (r *reading) fault(path, message string) {
	if r.faulty[path] {
		return
	}
	for p := path; p != ""; p = parent(p) {
		if r.misshapen[p] {
			return
		}
	}
	r.faultAt(r.find(path), path, message)
}

// misshape reports a value of the wrong shape. What would be missing in it is
// not reported as well.
func (r *reading) misshape(n *node, path, message string) {
	r.faultAt(n.at, path, message)
	r.misshapen[path] = true
}

// broken tells whether a fault is known of a setting or of anything in it.
func (r *reading) broken(path string) bool { return r.tainted[path] }

func (r *reading) faultAt(at place, path, message string) {
	r.faults = append(r.faults, r.at(at, path, message))
	r.faulty[path] = true
	for p := path; p != "" && !r.tainted[p]; p = parent(p) {
		r.tainted[p] = true
	}
}

func (r *reading) at(at place, path, message string) Fault {
	return Fault{File: r.file, Line: at.line, Column: at.column, Path: path, Message: message}
}

// find is the place of a setting, or of the nearest thing around it.
func (r *reading) find(path string) place {
	for path != "" {
		if at, ok := r.places[path]; ok {
			return at
		}
		path = parent(path)
	}
	return place{1, 1}
}

// parent is the path of what holds a setting; "" holds all.
func parent(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }
