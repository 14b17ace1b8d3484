package layout_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/grapnel/grapnel"

// root is the top of the repository, as a path from this package.
const root = "../.."

// goFile is a parsed file of the repository.
type goFile struct {
	path   string // from the root, with slashes
	dir    string // its package's directory, "." at the root
	test   bool   // of a test, or of a package that only tests import: its name ends in test
	fset   *token.FileSet
	syntax *ast.File
	lines  int
}

// position says where a node stands, for a reader to click on.
func (f goFile) position(node ast.Node) string {
	p := f.fset.Position(node.Pos())
	return f.path + ":" + f.fset.Position(node.Pos()).String()[len(p.Filename)+1:]
}

// files lists what belongs to the repository: what git tracks or would offer to add, or, where
// there is no git (an unpacked archive), everything but what a build leaves.
func files(t *testing.T) []string {
	t.Helper()
	git := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = root
	var all []string
	if out, err := git.Output(); err == nil {
		all = strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	} else {
		all = walk(t)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	// A file that is deleted and not yet committed is listed still.
	all = slices.DeleteFunc(all, func(path string) bool {
		info, err := os.Stat(filepath.Join(root, path))
		return err != nil || info.IsDir()
	})
	require.Contains(t, all, "go.mod", "the list of files misses the obvious")
	return all
}

// helper tells a package that helps tests, such as internal/engine/enginetest.
func helper(dir string) bool {
	return dir != "." && strings.HasSuffix(dir, "test")
}

// walk lists the files below the root without asking git.
func walk(t *testing.T) []string {
	t.Helper()
	var all []string
	require.NoError(t, fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !entry.IsDir():
			all = append(all, path)
		case slices.Contains([]string{".git", ".grapnel", "bin"}, path):
			return fs.SkipDir
		}
		return nil
	}))
	return all
}

// goFiles parses every Go file of the repository, comments included.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	fset := token.NewFileSet()
	var parsed []goFile
	for _, path := range files(t) {
		if filepath.Ext(path) != ".go" || strings.Contains(path, "testdata/") {
			continue
		}
		source, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		syntax, err := parser.ParseFile(fset, path, source, parser.ParseComments)
		require.NoError(t, err)
		if ast.IsGenerated(syntax) {
			continue // A tool has written it, and writes it again.
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		parsed = append(parsed, goFile{
			path:   path,
			dir:    dir,
			test:   strings.HasSuffix(path, "_test.go") || helper(dir),
			fset:   fset,
			syntax: syntax,
			lines:  strings.Count(string(source), "\n"),
		})
	}
	return parsed
}

// read gives the text of a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	return string(text)
}
