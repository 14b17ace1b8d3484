// Package engine connects grapnel to Temporal: it resolves where Temporal is,
// dials it lazily, runs one as a child process when none is configured, and
// makes the namespace and the search attributes that grapnel needs.
package engine
