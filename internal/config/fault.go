package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Fault is one thing that is wrong with the configuration. Among Warnings it is one that works
// and should be looked at all the same.
type Fault struct {
	// File is the name of the configuration file; empty for the environment.
	File string `json:"file,omitempty"`
	// Line and Column count from 1. Line is 0 where the fault has no place in the file.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Path names the setting, such as sources.zoom.secrets[0], or the variable.
	Path string `json:"path,omitempty"`
	// Message is a sentence that says what to do. It never holds a secret.
	Message string `json:"message"`
}

// String writes the fault on one line, as grapnel.yaml:12:5: sources.zoom: message.
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

// Error writes a line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// sorted gives the faults in the order of the file.
func (f Faults) sorted() Faults {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
	return f
}

// fileReading is one reading of a file: where each setting stands, and what is wrong.
type fileReading struct {
	file   string
	lookup func(string) (string, bool)
	faults Faults
	// places holds where each setting stands, by its path.
	places map[string]position
	// secrets holds the resolved secrets by path, for Fingerprint and Warnings.
	secrets map[string]Secret
	// contents holds by path what was in the files that settings name, for Fingerprint.
	contents map[string]Secret
	// exposed holds the paths of secrets whose files anyone on the machine may read.
	exposed []string
	// written holds the paths of secrets that stand in the configuration file itself.
	written map[string]bool
	// faulty holds the paths that have a fault, tainted these and all paths around them,
	// misshapen the paths whose value has the wrong shape.
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

// fault reports what is wrong with a setting. A setting that is not in the file is reported at
// the place of what should hold it. A setting gets one fault at most.
func (r *fileReading) fault(path, message string) {
	if r.faulty[path] {
		return
	}
	for p := path; p != ""; p = parentPath(p) {
		if r.misshapen[p] {
			return
		}
	}
	r.faultAt(r.placeOf(path), path, message)
}

// misshape reports a value of the wrong shape, for example a list instead of a mapping. Keys that
// are missing in it are then not reported.
func (r *fileReading) misshape(n *yamlNode, path, message string) {
	r.faultAt(n.at, path, message)
	r.misshapen[path] = true
}

// broken tells whether a setting, or anything in it, has a fault already.
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

// placeOf gives the place of a setting, else of the nearest setting around it.
func (r *fileReading) placeOf(path string) position {
	for path != "" {
		if at, ok := r.places[path]; ok {
			return at
		}
		path = parentPath(path)
	}
	return position{1, 1}
}

// parentPath gives the path of what holds a setting; "" is the whole file.
func parentPath(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// Nearest gives the known names that a mistyped one may stand for: at most three, the likeliest
// first.
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

// editDistance counts the insertions, deletions, replacements and exchanges of two neighbours
// that turn a into b, when no place is touched twice.
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
