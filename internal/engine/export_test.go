package engine

import "time"

// Untied gives options whose engine outlives a killed parent, as on systems
// where the kernel does not end a child with its parent.
func (o EmbeddedOptions) Untied() EmbeddedOptions {
	o.untied = true
	return o
}

// Beside gives options whose engine runs at grapnel's own priority.
func (o EmbeddedOptions) Beside(beside bool) EmbeddedOptions {
	o.beside = beside
	return o
}

// Grace gives options that let a left-over engine take so long to stop.
func (o EmbeddedOptions) Grace(d time.Duration) EmbeddedOptions {
	o.grace = d
	return o
}

// EnginesIn reads a list of processes as systems without /proc give it.
func EnginesIn(list string, port int) []int { return enginesIn(list, port) }
