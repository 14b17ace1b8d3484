package engine

import "time"

// Untied makes the engine outlive a killed parent, as on systems where the kernel does not end a
// child with its parent.
func (o EmbeddedOptions) Untied() EmbeddedOptions {
	o.untied = true
	return o
}

// Beside makes the engine run at grapnel's own priority.
func (o EmbeddedOptions) Beside(beside bool) EmbeddedOptions {
	o.beside = beside
	return o
}

// With adds arguments to the engine's command line. They override our own.
func (o EmbeddedOptions) With(args ...string) EmbeddedOptions {
	o.further = args
	return o
}

// Grace sets how long a left-over engine may take to stop.
func (o EmbeddedOptions) Grace(d time.Duration) EmbeddedOptions {
	o.grace = d
	return o
}

// EnginesIn reads the output of ps, for systems without /proc.
func EnginesIn(list string, port int) []int { return enginesIn(list, port) }
