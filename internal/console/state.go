package console

import (
	"html"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/grapnel/grapnel/docs/runbooks"
	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/alert"
	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/eventlog"
	"github.com/grapnel/grapnel/internal/program"
	"github.com/grapnel/grapnel/internal/telemetry/series"
)

// sourceLine is one source on the page of sources.
type sourceLine struct {
	Source
	series.Heard
	Last time.Time
	// DayCount is the number of events of the last day.
	DayCount float64
	Refused  []refusalGroup
	Line     Plot
}

// refusalGroup counts the refused requests of one cause; the latest is its example.
type refusalGroup struct {
	Reason  string
	Count   int
	Example admin.Rejection
	Body    string
}

func (c *Console) sources(r *http.Request) (any, error) {
	from, whose := c.figures(r.Context(), 60)
	refused := map[string]map[string]*refusalGroup{}
	order := map[string][]string{}
	for _, x := range c.rejections() {
		if refused[x.Source] == nil {
			refused[x.Source] = map[string]*refusalGroup{}
		}
		g, ok := refused[x.Source][x.Reason]
		if !ok {
			g = &refusalGroup{Reason: x.Reason, Example: x, Body: viewBody(x.Body).Text}
			refused[x.Source][x.Reason] = g
			order[x.Source] = append(order[x.Source], x.Reason)
		}
		g.Count++
	}
	groups := func(source string) (all []refusalGroup) {
		for _, reason := range order[source] {
			all = append(all, *refused[source][reason])
		}
		return all
	}
	var all []sourceLine
	for _, s := range c.sourceList() {
		h := heard(from, s)
		all = append(all, sourceLine{Source: s, Heard: h, Last: h.Last, DayCount: sumPoints(h.Day), Refused: groups(s.Name), Line: c.byHour(s.Name, h.Day)})
	}
	return map[string]any{"Sources": all, "Strangers": groups(""), "Whose": whose, "CanPause": c.Pause != nil}, nil
}

func (c *Console) rejections() []admin.Rejection {
	if c.Rejections == nil {
		return nil
	}
	return c.Rejections.List("")
}

// destinationLine is one destination or handler on the page of destinations.
type destinationLine struct {
	Destination
	routeFigures
	// Dead is how many dead letters still have this route to do.
	Dead int
	// Failure is the most frequent reason of those.
	Failure string
	// Running and Lately are links to its events under way and of the last hour. If no filter can
	// select its events, they link to those of all routes.
	Running, Lately string
}

func (c *Console) destinations(r *http.Request) (any, error) {
	_, minutes := rangeOf(r)
	from, whose := c.figures(r.Context(), minutes)
	lines := map[string]routeLine{}
	for _, l := range c.routes(from, minutes) {
		lines[l.Name] = l
	}
	dead, running := map[string][]eventlog.Row{}, 0
	if c.Letters != nil {
		census := c.Letters()
		running = int(census.Unsettled)
		for _, row := range census.Rows {
			for _, route := range row.Routes {
				dead[route] = append(dead[route], row)
			}
		}
	}
	show := func(d Destination) destinationLine {
		one := destinationLine{Destination: d, routeFigures: lines[d.Name].routeFigures, Dead: len(dead[d.Name])}
		pattern := patternOf(d.Name, d.Events)
		one.Running = linkTo("/events", append(slices.Clone(pattern), "state", "running")...)
		one.Lately = linkTo("/events", append(pattern, "since", "1h")...)
		if groups := eventlog.Groups(dead[d.Name], eventlog.ByReason); len(groups) > 0 {
			one.Failure = groups[0].Key
		}
		delete(lines, d.Name)
		return one
	}
	var all, handlers []destinationLine
	if c.Destinations != nil {
		for _, d := range c.Destinations() {
			all = append(all, show(d))
		}
	}
	for _, name := range sortedKeys(lines) {
		handlers = append(handlers, show(Destination{Name: name}))
	}
	return map[string]any{"Destinations": all, "Handlers": handlers, "CanPause": c.Pause != nil, "Running": running, "Whose": whose}, nil
}

// pause handles the form that pauses or resumes a source or a destination.
func (c *Console) pause(kind string) func(r *http.Request) (string, error) {
	return func(r *http.Request) (string, error) {
		name, paused, reason := r.PathValue("name"), r.PostForm.Get("verb") == "pause", strings.TrimSpace(r.PostForm.Get("why"))
		admin.Audit(r.Context(), zap.String(kind, name), zap.Bool("paused", paused), zap.String("reason", reason), zap.String("actor", defaultActor()))
		if paused && reason == "" {
			return "", fault{http.StatusBadRequest, "Say why: whoever looks next will ask."}
		}
		if !c.has(kind, name) {
			return "", fault{http.StatusNotFound, "There is no such " + kind + "."}
		}
		return "/" + kind + "s#" + url.PathEscape(name), c.Pause(r.Context(), kind, name, event.PauseChange{
			Paused: paused, Pause: event.Pause{Since: c.Now().UTC(), Actor: defaultActor(), Reason: reason},
		})
	}
}

// has tells whether there is a source or a destination of this name.
func (c *Console) has(kind, name string) bool {
	if kind == event.PauseSource {
		return slices.ContainsFunc(c.sourceList(), func(s Source) bool { return s.Name == name })
	}
	return c.Destinations != nil && slices.ContainsFunc(c.Destinations(), func(d Destination) bool { return d.Name == name })
}

func (c *Console) configuration(r *http.Request) (any, error) {
	if c.Configuration == nil {
		return Configuration{}, nil
	}
	return c.Configuration(r.Context()), nil
}

// alertsData is the alerts, active and past, and all rules.
type alertsData struct {
	On, Past []alert.Alert
	Rules    []alert.Rule
}

func (c *Console) alerts(*http.Request) (any, error) {
	d := alertsData{Rules: alert.Rules()}
	if c.Alerts != nil {
		d.On, d.Past = c.Alerts.Active(), c.Alerts.Past()
	}
	return d, nil
}

func (c *Console) runbook(r *http.Request) (any, error) {
	name := strings.TrimSuffix(r.PathValue("name"), ".md")
	page, ok := runbooks.Page(name)
	if !ok {
		return nil, fault{http.StatusNotFound, "There is no such runbook."}
	}
	return markdown(program.Named(page)), nil
}

var (
	mdCode = regexp.MustCompile("`([^`]+)`")
	mdBold = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	mdLink = regexp.MustCompile(`\[([^\]]+)\]\(([A-Za-z]+)\.md\)`)
)

// markdown writes as HTML what our own runbooks use: headings, lists, paragraphs, code, bold and
// links to each other.
func markdown(text string) template.HTML {
	var b strings.Builder
	list := ""
	end := func(next string) {
		if list != "" && list != next {
			b.WriteString("</" + list + ">")
			list = ""
		}
	}
	item := func(kind, line string) {
		end(kind)
		if list == "" {
			b.WriteString("<" + kind + ">")
			list = kind
		}
		b.WriteString("<li>" + inlineMarkdown(line) + "</li>")
	}
	for _, line := range markdownBlocks(text) {
		switch {
		case strings.HasPrefix(line, "## "):
			end("")
			b.WriteString("<h2>" + inlineMarkdown(line[3:]) + "</h2>")
		case strings.HasPrefix(line, "# "):
			b.WriteString("<h1>" + inlineMarkdown(line[2:]) + "</h1>")
		case strings.HasPrefix(line, "- "):
			item("ul", line[2:])
		case isNumbered(line):
			item("ol", line[3:])
		default:
			end("")
			b.WriteString("<p>" + inlineMarkdown(line) + "</p>")
		}
	}
	end("")
	return template.HTML(b.String()) //nolint:gosec // G203: the pages are ours, embedded, and escaped first.
}

// markdownBlocks joins the lines of each paragraph and of each item of a list.
func markdownBlocks(text string) (blocks []string) {
	open := false
	for line := range strings.SplitSeq(text, "\n") {
		begins := strings.HasPrefix(line, "#") || strings.HasPrefix(line, "- ") || isNumbered(line)
		switch {
		case line == "":
			open = false
		case open && !begins:
			blocks[len(blocks)-1] += " " + strings.TrimSpace(line)
		default:
			blocks = append(blocks, line)
			open = !strings.HasPrefix(line, "#")
		}
	}
	return blocks
}

func isNumbered(line string) bool {
	return len(line) > 3 && line[0] >= '1' && line[0] <= '9' && line[1] == '.'
}

func inlineMarkdown(s string) string {
	s = html.EscapeString(s)
	s = mdCode.ReplaceAllString(s, "<code>$1</code>")
	s = mdBold.ReplaceAllString(s, "<strong>$1</strong>")
	return mdLink.ReplaceAllString(s, `<a href="/runbooks/$2">$1</a>`)
}
