// Package runbooks holds what to do about each alert, one page for each, so that
// the program can show them where nobody has the documentation at hand.
package runbooks

import "embed"

// files are the pages, named by their alert: "CircuitOpen.md".
//
//go:embed *.md
var files embed.FS

// Page gives the page of an alert as Markdown; ok is unset when there is none.
func Page(alert string) (text string, ok bool) {
	b, err := files.ReadFile(alert + ".md")
	return string(b), err == nil
}
