package layout_test

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// graph holds the imports of the program, tests left out: package directory to import paths.
type graph map[string][]string

// imports reads the graph; packages of ours appear as directories, others by their import path.
func imports(t *testing.T) graph {
	t.Helper()
	g := graph{}
	for _, file := range goFiles(t) {
		if file.test {
			continue
		}
		g[file.dir] = append(g[file.dir], importsOf(t, file)...)
	}
	return g
}

// importsOf gives what one file imports.
func importsOf(t *testing.T, file goFile) []string {
	t.Helper()
	var paths []string
	for _, spec := range file.syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
			imported = ours
		} else if imported == module {
			imported = "."
		}
		paths = append(paths, imported)
	}
	return paths
}

// ours tells the packages of this module in a list of imports.
func (g graph) ours(dir string) []string {
	var own []string
	for _, imported := range g[dir] {
		if _, ok := g[imported]; ok && imported != dir {
			own = append(own, imported)
		}
	}
	slices.Sort(own)
	return slices.Compact(own)
}

// reaches finds a way from one package to another and gives it, or nil.
func (g graph) reaches(from, to string) []string {
	seen := map[string]bool{}
	var search func(dir string, way []string) []string
	search = func(dir string, way []string) []string {
		way = append(slices.Clone(way), dir)
		if dir == to {
			return way
		}
		seen[dir] = true
		for _, next := range g.ours(dir) {
			if seen[next] {
				continue
			}
			if found := search(next, way); found != nil {
				return found
			}
		}
		return nil
	}
	return search(from, nil)
}

// standard tells a package of the standard library, and one of ours, which has rules of its own:
// the first element of its path holds no dot.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	g := imports(t)
	for dir, allowed := range map[string][]string{
		".":                     {"activities/handler", "internal/app", "internal/cli"},
		"cmd/grapnel":           {"."},
		"docs/shop":             {".", "activities/handler"},
		"internal/event":        {},
		"internal/verify":       {},
		"internal/verify/coded": {"internal/verify"},
		"internal/meeting":      {"internal/event"},
		"internal/payload":      {},
		"activities/handler":    {"internal/event"},
		"workflows":             {"internal/event", "internal/meeting", "internal/payload"},
	} {
		t.Run(dir, func(t *testing.T) {
			require.NotEmpty(t, g[dir], "there is no such package")
			for _, imported := range g.ours(dir) {
				require.Contains(t, allowed, imported, "%s imports it", dir)
			}
		})
	}
}

func TestPackagesThatNeedOnlyTheStandardLibrary(t *testing.T) {
	g := imports(t)
	for dir, besides := range map[string][]string{
		"internal/event": nil,
		// Cryptography is no place for code of one's own.
		"internal/verify":       {},
		"internal/verify/coded": {"github.com/go-jose/go-jose/v4", "github.com/hashicorp/golang-lru/v2/simplelru", "golang.org/x/time/rate"},
	} {
		t.Run(dir, func(t *testing.T) {
			require.NotEmpty(t, g[dir])
			for _, imported := range g[dir] {
				require.True(t, standard(imported) || slices.Contains(besides, imported), "%s imports %s", dir, imported)
			}
		})
	}
}

func TestTheProgramHoldsNoTestCode(t *testing.T) {
	for dir, imported := range imports(t) {
		for _, one := range imported {
			require.False(t, helper(one) || one == "testing", "%s imports %s", dir, one)
		}
	}
}

func TestNoWayLeadsBack(t *testing.T) {
	g := imports(t)
	for _, rule := range []struct{ from, to string }{
		{"activities", "workflows"},
		{"activities", "worker"},
		{"workflows", "activities"},
		{"starter", "activities"},
		{"starter", "worker"},
		{"activities/handler", "internal/destination"},
		{"worker", "starter"},
	} {
		t.Run(rule.from+" never reaches "+rule.to, func(t *testing.T) {
			require.NotEmpty(t, g[rule.from], "there is no such package")
			require.NotEmpty(t, g[rule.to], "there is no such package")
			require.Empty(t, g.reaches(rule.from, rule.to))
		})
	}
}

// What the receiver knows of destinations it reads from the configuration; it delivers to none.
func TestTheReceiverDeliversNothing(t *testing.T) {
	for _, imported := range imports(t).ours("starter") {
		require.NotEqual(t, "internal/destination", imported)
	}
}

func TestOnlyTheProcessSeesBothSides(t *testing.T) {
	g := imports(t)
	for dir := range g {
		if strings.HasPrefix(dir, "docs/") {
			continue // An adopter's program, which is one by grapnel.Main.
		}
		if dir != "." && dir != "cmd/grapnel" && dir != "internal/cli" {
			require.Empty(t, g.reaches(dir, "internal/cli"), "only the program sees the commands")
		}
		if dir == "internal/app" || dir == "internal/e2e" {
			continue
		}
		own := g.ours(dir)
		door := slices.Contains(own, "starter")
		work := slices.ContainsFunc(own, func(imported string) bool {
			return imported == "worker" || imported == "workflows" || path.Dir(imported) == "activities" ||
				imported == "activities"
		})
		require.False(t, door && work, "%s imports the starter and the worker's side: %v", dir, own)
		if dir == "internal/cli" {
			require.False(t, door || work, "the commands see internal/app, and neither half: %v", own)
		}
	}
}
