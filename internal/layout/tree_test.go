package layout_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestTheTopHoldsOnlyWhatTheDesignNames(t *testing.T) {
	allowed := []string{
		"workflows", "activities", "worker", "starter", "internal", "docs", "deploy",
		"docker-compose.yml", "go.mod", "go.sum", "Makefile", "README.md",
		"grapnel.go", "doc.go", "cmd", "grapnel.yaml", "Dockerfile", "deploy", "LICENSE",
		"CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md",
	}
	for _, path := range files(t) {
		top, _, _ := strings.Cut(path, "/")
		require.True(t, strings.HasPrefix(top, ".") || slices.Contains(allowed, top), "%s does not belong at the top", path)
	}
}

func TestFilesStayShort(t *testing.T) {
	const aim, limit = 400, 500
	for _, file := range goFiles(t) {
		// A table of cases may be twice as long.
		factor := 1
		if file.test {
			factor = 2
		}
		if file.lines > factor*aim {
			t.Logf("%s has %d lines; the aim is %d", file.path, file.lines, factor*aim)
		}
		require.LessOrEqual(t, file.lines, factor*limit, "%s is too long; split it by what it does", file.path)
	}
}

func TestNothingUnfinishedOrForeignIsCommitted(t *testing.T) {
	// Put together here, so that this file does not find itself.
	unfinished := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME)\b`)
	// Where modules and images come from is the user's own setting.
	registry := regexp.MustCompile(`\b(proxy\.golang|sum\.golang|registry\.npmjs)\.` + `org\b|` +
		`\b(docker|gcr|ghcr|quay|k8s\.gcr)\.` + `io/|\bregistry-1\.docker\.` + `io\b|\bpypi\.` + `org\b`)
	var found []string
	for _, path := range files(t) {
		if path == "go.sum" || path == "LICENSE" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		if !utf8.Valid(text) {
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			if unfinished.MatchString(line) || registry.MatchString(line) {
				found = append(found, path+":"+strconv.Itoa(i+1)+": "+strings.TrimSpace(line))
			}
		}
	}
	require.Empty(t, found)
}

func TestEveryMakeTargetIsPhonyOrAFile(t *testing.T) {
	makefile := read(t, "Makefile")
	phony := regexp.MustCompile(`(?m)^\.PHONY: (.+)$`).FindStringSubmatch(makefile)
	require.NotNil(t, phony)
	var targets []string
	for _, match := range regexp.MustCompile(`(?m)^([a-z0-9-]+):`).FindAllStringSubmatch(makefile, -1) {
		targets = append(targets, match[1])
	}
	require.ElementsMatch(t, strings.Fields(phony[1]), targets)
}
