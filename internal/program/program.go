// Package program knows what the program that runs is called: grapnel, or the name that an
// adopter has given to theirs. A text that tells people to type a command names it so.
package program

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// stock is what the program is called in this repository and its documents.
const stock = "grapnel"

// Name is what the program that runs is called.
func Name() string {
	if len(os.Args) == 0 {
		return stock
	}
	return nameOf(os.Args[0])
}

// nameOf reads the name from the path of the binary. A test's binary has none of its own. A
// name that a shell would not take for one word can't stand in a hint, and the command line
// would take its first word for the whole.
func nameOf(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".exe")
	if !word.MatchString(name) || strings.HasSuffix(name, ".test") {
		return stock
	}
	return name
}

var word = regexp.MustCompile(`^[\pL\pN_][\pL\pN_.+@-]*$`)

// Command is a command of the program as people type it: Command("send zoom") is
// "grapnel send zoom".
func Command(arguments string) string { return Name() + " " + arguments }

// Named is a text of the documentation with the name of the program that runs.
func Named(text string) string { return Rename(text, Name()) }

// Rename gives a text in which the program's commands begin with another name than grapnel.
func Rename(text, name string) string {
	return inText.ReplaceAllStringFunc(text, func(command string) string {
		return name + strings.TrimPrefix(command, stock)
	})
}

// inText finds commands in a text. Elsewhere the word is the name of the system.
var inText = regexp.MustCompile(`\bgrapnel (bench|check|completion|dlq|env|events|health|help|meetings|ops|pause|` +
	`providers|resume|route|send|setup|spool|starter|sweep|temporal|up|verify|version|worker)\b`)
