package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Fault is one thing wrong with the configuration, or, among Warnings, one that
// works and should be looked at.
type Fault struct {
	// File is the configuration's name; empty for the environment.
	File string `json:"file,omitempty"`
	// Line and Column count from 1; Line is 0 where there is no place.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Path is the setting, as sources.zoom.secrets[0], or a variable's name.
	Path string `json:"path,omitempty"`
	// Message is a sentence that says what to do. It never holds a secret.
	Message string `json:"message"`
}

// String is the fault on one line: grapnel.yaml:12:5: sources.zoom: message.
func (f Fault) String() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		if f.Line > 0 {
			b.WriteString(":" + strconv.Itoa(f.Line) + ":" + strconv.Itoa(f.Column))
		}
		b.WriteString(": ")
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Message)
	return b.String()
}

// Faults is everything wrong with a configuration, in the order of the file.
type Faults []Fault

// Error is one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// sorted is the faults in the order of the file.
func (f Faults) sorted() Faults {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
	return f
}

// fileReading is one reading of a file: where things stand in it and what is wrong.
type fileReading struct {
	file   string
	lookup func(string) (string, bool)
	faults Faults
	// places are where settings stand, by path.
	places map[string]position
	// secrets are the resolved ones by path, for Fingerprint and Warnings.
	secrets map[string]Secret
	// contents are what the files held that settings name, by path, for Fingerprint.
	contents map[string]Secret
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

func newReading(file string, lookup func(string) (string, bool)) *fileReading {
	return &fileReading{
		file: file, lookup: lookup,
		places: map[string]position{}, secrets: map[string]Secret{}, contents: map[string]Secret{}, written: map[string]bool{},
		faulty: map[string]bool{}, tainted: map[string]bool{}, misshapen: map[string]bool{},
	}
}

// given tells whether the file holds the setting.
func (r *fileReading) given(path string) bool {
	_, ok := r.places[path]
	return ok
}

// fault reports what is wrong with a setting, at its place or, when it is not in
// the file, at that of what should hold it. One fault for a setting is enough.
func (r *fileReading) fault(path, message string) {
	if r.faulty[path] {
		return
	}
	for p := path; p != ""; p = parentPath(p) {
		if r.misshapen[p] {
			return
		}
	}
	r.faultAt(r.find(path), path, message)
}

// misshape reports a value of the wrong shape. What would be missing in it is
// not reported as well.
func (r *fileReading) misshape(n *yamlNode, path, message string) {
	r.faultAt(n.at, path, message)
	r.misshapen[path] = true
}

// broken tells whether a fault is known of a setting or of anything in it.
func (r *fileReading) broken(path string) bool { return r.tainted[path] }

func (r *fileReading) faultAt(at position, path, message string) {
	r.faults = append(r.faults, r.at(at, path, message))
	r.faulty[path] = true
	for p := path; p != "" && !r.tainted[p]; p = parentPath(p) {
		r.tainted[p] = true
	}
}

func (r *fileReading) at(at position, path, message string) Fault {
	return Fault{File: r.file, Line: at.line, Column: at.column, Path: path, Message: message}
}

// find is the place of a setting, or of the nearest thing around it.
func (r *fileReading) find(path string) position {
	for path != "" {
		if at, ok := r.places[path]; ok {
			return at
		}
		path = parentPath(path)
	}
	return position{1, 1}
}

// parentPath is the path of what holds a setting; "" holds all.
func parentPath(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// Nearest are the known names that a mistyped one may stand for, the likeliest
// first, at most three.
func Nearest(name string, known []string) []string {
	type candidate struct {
		name string
		far  int
	}
	var found []candidate
	lower := strings.ToLower(name)
	for _, k := range known {
		far := editDistance(lower, strings.ToLower(k))
		if len(lower) >= 3 && (strings.HasPrefix(k, lower) || strings.HasPrefix(lower, k)) {
			far = min(far, 1)
		}
		if far <= max(1, len(k)/3) {
			found = append(found, candidate{k, far})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return a.far - b.far })
	var out []string
	for _, c := range found[:min(len(found), 3)] {
		out = append(out, c.name)
	}
	return out
}

// editDistance is how many insertions, deletions, replacements and exchanges of two
// neighbours make b of a, no place being touched twice.
func editDistance(a, b string) int {
	a = a[:min(len(a), 64)]
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := range len(a) {
		for j := range len(b) {
			far := rows[i][j]
			if a[i] != b[j] {
				far++
			}
			far = min(far, rows[i][j+1]+1, rows[i+1][j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				far = min(far, rows[i-1][j-1]+1)
			}
			rows[i+1][j+1] = far
		}
	}
	return rows[len(a)][len(b)]
}
