package layout_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/program"
)

// proseWidth is how many columns a line of prose may have, in a document and in a comment. A tab
// counts as four.
const proseWidth = 100

// Tables and code are as wide as they need to be.
func TestProseKeepsToOneWidth(t *testing.T) {
	var wide []string
	for _, path := range files(t) {
		if filepath.Ext(path) != ".md" {
			continue
		}
		code := false
		for i, line := range strings.Split(read(t, path), "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				code = !code
			}
			if !code && !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "    ") && tooWide(line) {
				wide = append(wide, fmt.Sprintf("%s:%d", path, i+1))
			}
		}
	}
	for _, file := range goFiles(t) {
		for i, line := range strings.Split(read(t, file.path), "\n") {
			// A comment behind code has the width of code.
			if strings.HasPrefix(strings.TrimSpace(line), "// ") && tooWide(line) {
				wide = append(wide, fmt.Sprintf("%s:%d", file.path, i+1))
			}
		}
	}
	require.Empty(t, wide, "break these lines at %d columns; a document that code prints is broken by that code", proseWidth)
}

// tooWide tells a line that could be broken: one whose excess is a single word, an address say,
// can't.
func tooWide(line string) bool {
	line = strings.TrimRight(strings.ReplaceAll(line, "\t", "    "), " ")
	words := strings.Fields(line)
	if utf8.RuneCountInString(line) <= proseWidth || len(words) == 0 {
		return false
	}
	return utf8.RuneCountInString(words[len(words)-1]) < proseWidth/2
}

// What is said with another word in this house, and where the old one stays.
func TestOneWordForOneThing(t *testing.T) {
	words := []struct{ word, instead, except string }{
		// These patterns do not match themselves.
		{`played[ ]again`, "replayed", `^$`},
		{`(given|after) a rest\b[^a]`, "gets no events for now; after some time", `^internal/layout/`},
		{`\b(its|each|next|longest|first) rest\b`, "retry delay", `^$`},
		{`(calls to|asks|tell|costs|costs us|starts in) the[ ]engine`, "Temporal", `^(internal/(engine|app|bench|chaos|e2e)/|docs/performance\.md|activities/handler/handlertest/)`},
		{`dead[ ]-letter`, "dead letter", `^$`},
		{`whitelist|blacklist`, "allow list, deny list", `^internal/(layout|provider/presets)/`},
	}
	var found []string
	for _, path := range files(t) {
		if ext := filepath.Ext(path); ext != ".go" && ext != ".md" && ext != ".yaml" && ext != ".html" {
			continue
		}
		text := strings.Join(strings.Fields(strings.ReplaceAll(read(t, path), "\n//", "\n")), " ")
		for _, w := range words {
			if at := regexp.MustCompile(w.word).FindStringIndex(text); at != nil && !regexp.MustCompile(w.except).MatchString(path) {
				found = append(found, fmt.Sprintf("%s: …%s…: write %s", path, text[max(at[0]-20, 0):at[1]], w.instead))
			}
		}
	}
	require.Empty(t, found)
}

// An adopter's program has a name of its own, and so have its commands. The help of a command is
// renamed as a whole; every other text that names a command has its name from program.Command.
func TestATextNamesTheProgramThatRuns(t *testing.T) {
	var stock []string
	for _, file := range goFiles(t) {
		// The figures of the bench are of a deployment, whatever its program is called.
		if file.test || file.dir == "internal/bench" || file.dir == "internal/program" {
			continue
		}
		help := map[ast.Node]bool{}
		ast.Inspect(file.syntax, func(node ast.Node) bool {
			if pair, ok := node.(*ast.KeyValueExpr); ok && file.dir == "internal/cli" {
				if key, ok := pair.Key.(*ast.Ident); ok && (key.Name == "Short" || key.Name == "Long" || key.Name == "Example") {
					help[pair.Value] = true
				}
			}
			text, ok := node.(*ast.BasicLit)
			if ok && text.Kind == token.STRING && !help[text] && program.Rename(text.Value, "shop") != text.Value {
				stock = append(stock, file.position(text)+" "+text.Value)
			}
			return true
		})
	}
	require.Empty(t, stock, "write program.Command(\"send zoom\")")
}
