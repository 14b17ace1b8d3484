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

	"github.com/grapnel/grapnel/internal/event"
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

// Small files, each with the reason why it stands alone.
func smallFiles() map[string]string {
	const perEvent, example = "a file for each event type, so that an adopter finds a pattern to copy", "an adopter's program, as docs/handlers.md shows it"
	return map[string]string{
		"cmd/grapnel/main.go":              "the stock program is one call",
		"grapnel.go":                       "the library is one call",
		"activities/handlers.go":           "the list that a fork edits",
		"activities/deliver.go":            "what a destination answers, in a handler's words",
		"activities/handler/temporal.go":   "the only file of the handler API that may name Temporal's types",
		"activities/handler/log.go":        "how a handler's context carries its log",
		"activities/meeting_started.go":    perEvent,
		"activities/meeting_ended.go":      perEvent,
		"activities/participant_joined.go": perEvent,
		"activities/participant_left.go":   perEvent,
		"docs/shop/main.go":                example,
		"docs/shop/invoice_paid.go":        example,
		"docs/runbooks/runbooks.go":        "a program can embed only files below its own",
		"workflows/register.go":            "the names that runs in flight refer to",
		"starter/trace.go":                 "the only place where the receiver knows of traces",
		"internal/cli/setup.go":            "a file for each command",
		"internal/cli/send_body.go":        "the changes that send makes to a sample",
		"internal/bench/fsync_other.go":    "for the systems that count no other process's calls",
		"internal/spool/sync_linux.go":     "for one system",
		"internal/spool/sync_other.go":     "for all other systems",
	}
}

// Many small files make a reader open many: length has only moved into count.
func TestFilesHoldAnIdea(t *testing.T) {
	const least = 40
	reasons := smallFiles()
	for _, file := range goFiles(t) {
		if file.test || filepath.Base(file.path) == "doc.go" || file.lines >= least {
			continue
		}
		require.NotEmpty(t, reasons[file.path], "%s has %d lines; put it where it is read, or give its reason", file.path, file.lines)
		delete(reasons, file.path)
	}
	require.Empty(t, reasons, "these are gone, or are no longer small")
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

// The page that leads through the code names files; they have to be there.
func TestTheArchitectureNamesFilesThatAreThere(t *testing.T) {
	named := regexp.MustCompile("`((?:starter|workflows|activities|internal)/[a-z_/]+\\.go)`").FindAllStringSubmatch(read(t, "docs/architecture.md"), -1)
	require.NotEmpty(t, named)
	for _, match := range named {
		require.FileExists(t, filepath.Join(root, match[1]))
	}
}

// Where the path of an event leads through many files, nobody follows it.
func TestTheWayOfAnEventIsShort(t *testing.T) {
	_, way, ok := strings.Cut(read(t, "docs/architecture.md"), "\n## The files on the way\n")
	require.True(t, ok)
	door, rest, ok := strings.Cut(way, "From the start to handled")
	require.True(t, ok)
	rest, _, _ = strings.Cut(rest, "\n\nWhat guards")
	door, _, _ = strings.Cut(door, "`internal/spool/") // Only where Temporal is slow or away.
	named := regexp.MustCompile("`[\\w/]+\\.go`")
	for _, part := range []struct {
		text string
		most int
	}{{door, 12}, {rest, 8}} {
		files := named.FindAllString(part.text, -1)
		require.NotEmpty(t, files)
		require.LessOrEqual(t, len(files), part.most, "%v", files)
	}
}

// What the program says of a replayed event is looked up in the document.
func TestTheDocumentListsWhatBecomesOfAReplayedEvent(t *testing.T) {
	text := read(t, "docs/dead-letters.md")
	for _, became := range event.EveryBecame() {
		name := "`" + string(became) + "`"
		if became == event.BecameNothing {
			name = "empty"
		}
		require.Contains(t, text, "\n| "+became.Words()+" | "+name+" | ")
	}
}
