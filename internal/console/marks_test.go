package console_test

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	// rects finds the marks of the plots, each with its link.
	rects = regexp.MustCompile(`(?:<a href="([^"]*)" tabindex="-1">)?<rect class="([a-z]+)" [^>]*><title>([^<]*)`)
	links = regexp.MustCompile(` href="(/[^"]*)"`)
	rows  = regexp.MustCompile(`(?s)<tbody>(.*?)</tbody>`)
)

// Every mark leads to a list of what it counts: by its own link, or by that of the column behind
// it.
func TestEveryMarkLeadsToTheListBehindIt(t *testing.T) {
	c := newCompany(1)
	shown := page(t, c.options(t))
	for _, path := range []string{"/", "/?range=6h", "/?range=24h", "/destinations", "/sources"} {
		t.Run(path, func(t *testing.T) {
			w := get(t, shown, path)
			require.Equal(t, http.StatusOK, w.Code)
			lists := map[string]int{}
			for _, found := range rects.FindAllStringSubmatch(w.Body.String(), -1) {
				href, gap := html.UnescapeString(found[1]), found[2] == "column" && strings.HasSuffix(found[3], "not known")
				require.True(t, href != "" || gap, "%v", found)
				list, _, _ := strings.Cut(href, "?")
				lists[list]++
			}
			if path == "/" {
				for _, list := range []string{"/events", "/dead-letters", "/sources"} {
					require.Positive(t, lists[list], list)
				}
			}
		})
	}
	text := get(t, shown, "/").Body.String()
	for _, want := range []string{
		`circuit open</title>`, `paused</title>`, `/events?since=2026-03-04T11%3A57%3A00Z&amp;source=zoom&amp;type=meeting.%2A&amp;until=2026-03-04T11%3A59%3A00Z`,
	} {
		require.Contains(t, text, want)
	}
}

// Every link of every page leads to a page that exists.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	c := newCompany(1)
	shown := page(t, c.options(t))
	seen := map[string]bool{"/metrics": true, "/readyz": true, "/endpoints": true} // The admin listener serves these, not the console.
	var follow []string
	for _, path := range c.gallery() {
		follow = append(follow, path)
	}
	for n := 0; n < len(follow); n++ {
		path, _, _ := strings.Cut(follow[n], "#")
		if seen[path] {
			continue
		}
		seen[path] = true
		w := get(t, shown, path)
		if path == "/events/x" {
			continue // This page is meant to be missing.
		}
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
		if n > len(c.gallery())+5000 || strings.HasPrefix(path, "/events/") {
			continue
		}
		for _, found := range links.FindAllStringSubmatch(w.Body.String(), -1) {
			follow = append(follow, html.UnescapeString(found[1]))
		}
	}
	t.Logf("%d pages", len(seen))
	require.Greater(t, len(seen), 300)
}

func TestEveryRowOfAListLeadsToItsEvent(t *testing.T) {
	c := newCompany(1)
	shown := page(t, c.options(t))
	event := regexp.MustCompile(`href="/events/[0-9a-f]{64}"`)
	for _, path := range []string{"/events", "/dead-letters", "/dead-letters?from=60", "/operations/x", "/operations/x?became=handled"} {
		found := rows.FindAllStringSubmatch(get(t, shown, path).Body.String(), -1)
		require.NotEmpty(t, found, path)
		list := found[len(found)-1][1]
		require.Positive(t, strings.Count(list, "<tr>"), path)
		require.Len(t, event.FindAllString(list, -1), strings.Count(list, "<tr>"), path)
	}
	// The event's page leads on to Temporal's Web UI.
	require.Contains(t, get(t, shown, "/events/"+c.dead[0].ID).Body.String(), `href="http://127.0.0.1:8233/namespaces/default/workflows/`+c.dead[0].ID)
}

func TestAllDeadLettersCanBePagedThrough(t *testing.T) {
	shown := page(t, crowd(t))
	seen := map[string]bool{}
	path := "/dead-letters?route=destination-03&by=type"
	event := regexp.MustCompile(`href="/events/([0-9a-f]{64})"`)
	older := regexp.MustCompile(`href="([^"]*)">Older letters`)
	for path != "" {
		text := get(t, shown, path).Body.String()
		for _, id := range event.FindAllStringSubmatch(text, -1) {
			seen[id[1]] = true
		}
		path = ""
		if next := older.FindStringSubmatch(text); next != nil {
			path = html.UnescapeString(next[1])
		}
	}
	require.Len(t, seen, 500)
}
