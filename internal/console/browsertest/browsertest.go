// Package browsertest tests pages in a real browser: it drives a headless Chromium, collects the
// browser's errors and warnings, and audits pages as axe and Lighthouse do.
package browsertest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

//go:embed audit.js
var audit string

// Look is a viewport, in CSS pixels, and a colour scheme.
type Look struct {
	Width, Height int64
	Dark          bool
}

// String names the look, for files and tests.
func (l Look) String() string {
	scheme := "light"
	if l.Dark {
		scheme = "dark"
	}
	return fmt.Sprintf("%dx%d-%s", l.Width, l.Height, scheme)
}

// Looks returns a desktop and a phone, each in light and in dark, and a tablet.
func Looks() []Look {
	return []Look{
		{Width: 1280, Height: 800},
		{Width: 1280, Height: 800, Dark: true},
		{Width: 390, Height: 844},
		{Width: 390, Height: 844, Dark: true},
		{Width: 800, Height: 600},
	}
}

// find returns the path of a Chromium, or nothing.
func find() string {
	for _, name := range []string{os.Getenv("GRAPNEL_TEST_CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "headless-shell"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Browser is one tab of a browser process of its own.
type Browser struct {
	tab  context.Context
	home string

	mu     sync.Mutex
	faults []string
}

// patience is how long a step may take on a busy machine.
const patience = time.Minute

// New starts a browser. A request to an address that does not begin with home is a fault. If no
// Chromium is installed, the test is skipped.
func New(t testing.TB, home string) *Browser {
	t.Helper()
	path := find()
	if path == "" {
		t.Skip("SKIPPED, NOTHING WAS LOOKED AT: no Chromium is installed (Debian: apt-get install chromium; or GRAPNEL_TEST_CHROMIUM)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // It refuses to start as root otherwise.
	}
	b := &Browser{home: home}
	silent := func(string, ...any) {}
	process, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	tab, leave := chromedp.NewContext(process, chromedp.WithErrorf(silent), chromedp.WithLogf(silent), chromedp.WithListener(b.hear))
	t.Cleanup(leave)
	b.tab = tab
	require.NoError(t, chromedp.Do(tab), "start %s", path)
	_, err := chromedp.Call(tab, cdplog.Enable, cdp.Empty{})
	require.NoError(t, err)
	_, err = chromedp.Call(tab, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	return b
}

// hear notes the browser's errors and warnings, and requests to other addresses than home.
func (b *Browser) hear(ev any) {
	switch ev := ev.(type) {
	case *cdplog.EventEntryAdded:
		if l := ev.Entry.Level; l == cdplog.EntryLevelError || l == cdplog.EntryLevelWarning {
			b.fault(fmt.Sprintf("%s: %s %s", ev.Entry.Source, ev.Entry.Text, ev.Entry.URL))
		}
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.ConsoleAPICalledTypeError || ev.Type == runtime.ConsoleAPICalledTypeWarning {
			b.fault(fmt.Sprintf("console: %v", ev.Args))
		}
	case *runtime.EventExceptionThrown:
		b.fault("exception: " + ev.ExceptionDetails.Text)
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(ev.Request.URL)
		if err == nil && (u.Scheme == "http" || u.Scheme == "https") && !strings.HasPrefix(ev.Request.URL, b.home) {
			b.fault("a request to elsewhere: " + ev.Request.URL)
		}
	}
}

func (b *Browser) fault(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, text)
}

// Faults returns the faults since the last call of Faults.
func (b *Browser) Faults() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.faults
	b.faults = nil
	return all
}

// Do runs actions within a minute, or fails the test; what names them.
func (b *Browser) Do(t testing.TB, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%s: %v; the page at %s is:\n%s", what, err, b.Path(t), b.Text(t))
	}
}

// As shows pages in a look from now on.
func (b *Browser) As(t testing.TB, l Look) {
	t.Helper()
	scheme := "light"
	if l.Dark {
		scheme = "dark"
	}
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	b.Do(t, "look as "+l.String(), chromedp.EmulateViewport(l.Width, l.Height))
	_, err := chromedp.Call(b.tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
	require.NoError(t, err)
}

// Open goes to a page of home.
func (b *Browser) Open(t testing.TB, path string) {
	t.Helper()
	b.Do(t, "open "+path, chromedp.Navigate(b.home+path))
}

// Click clicks on the first link, button or summary inside the element in whose text contains text.
func (b *Browser) Click(t testing.TB, in, text string) {
	t.Helper()
	b.Do(t, "click on "+text, chromedp.Click(fmt.Sprintf(
		`//%s//*[self::a or self::button or self::summary][contains(normalize-space(.), %q)]`, in, text), chromedp.NodeVisible))
}

// Type writes into the field that a CSS selector finds.
func (b *Browser) Type(t testing.TB, field, text string) {
	t.Helper()
	b.Do(t, "write into "+field, chromedp.SendKeys(chromedp.CSS(field), text, chromedp.NodeVisible))
}

// Check clicks on the first check box that a CSS selector finds.
func Check(box string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.CSS(box), chromedp.NodeVisible)
}

// Visit goes to any address.
func (b *Browser) Visit(t testing.TB, address string) {
	t.Helper()
	b.Do(t, "visit "+address, chromedp.Navigate(address))
}

// Post sends a form by script from the current page, with the CSRF value of the page's own forms,
// and returns the status of the answer.
func (b *Browser) Post(t testing.TB, path, form string) int {
	t.Helper()
	csrf := eval[string](b, `(document.querySelector("input[name=csrf]") || {value: ""}).value`)
	require.NotEmpty(t, csrf, "the page at %s has no form", b.Path(t))
	return b.PostBare(t, path, form+"&csrf="+csrf)
}

// PostBare sends a form by script from the current page and returns the status of the answer.
func (b *Browser) PostBare(t testing.TB, path, form string) int {
	t.Helper()
	status := eval[int](b, fmt.Sprintf(`(() => { const r = new XMLHttpRequest(); r.open("POST", %q, false);
		r.setRequestHeader("Content-Type", "application/x-www-form-urlencoded"); r.send(%q); return r.status; })()`, path, form))
	var left []string
	for _, fault := range b.Faults() {
		if !strings.Contains(fault, "status of "+strconv.Itoa(status)) {
			left = append(left, fault) // The browser also logs the status, which the caller gets.
		}
	}
	for _, fault := range left {
		b.fault(fault)
	}
	return status
}

// Complains waits until a fault contains a text, and drops the faults so far.
func (b *Browser) Complains(t testing.TB, of string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		all := strings.Join(b.Faults(), "\n")
		if strings.Contains(all, of) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the browser does not complain of %s", of)
		}
	}
}

// Cookies returns the cookies of home, each as "name: HttpOnly SameSite=…".
func (b *Browser) Cookies(t testing.TB) []string {
	t.Helper()
	r, err := chromedp.Call(b.tab, network.GetCookies, network.GetCookiesParams{URLs: []string{b.home}})
	require.NoError(t, err)
	var all []string
	for _, c := range r.Cookies {
		kept := c.Name + ":"
		if c.HTTPOnly {
			kept += " HttpOnly"
		}
		all = append(all, kept+" SameSite="+c.SameSite.String())
	}
	return all
}

// Text returns the visible text of the page.
func (b *Browser) Text(t testing.TB) string {
	t.Helper()
	return eval[string](b, `document.body.innerText`)
}

// Path returns the path, query and fragment of the page's address.
func (b *Browser) Path(t testing.TB) string {
	t.Helper()
	return eval[string](b, `location.pathname + location.search + location.hash`)
}

// eval evaluates an expression in the page. While the browser leaves the page this can fail; eval
// returns the zero value then.
func eval[T any](b *Browser, expression string) T {
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	value, _ := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	return value
}

// See waits until the page shows all texts, and reloads it every second meanwhile. what names the
// wait.
func (b *Browser) See(t testing.TB, what string, texts ...string) {
	t.Helper()
	end := time.Now().Add(patience)
	for n := 1; ; n++ {
		missing := missing(b.Text(t), texts)
		if missing == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: the page at %s does not say %q but:\n%s", what, b.Path(t), missing, b.Text(t))
		}
		time.Sleep(250 * time.Millisecond)
		if n%4 == 0 {
			b.Do(t, "load again", chromedp.Reload())
		}
	}
}

func missing(page string, texts []string) string {
	page = strings.Join(strings.Fields(page), " ")
	for _, text := range texts {
		if !strings.Contains(page, text) {
			return text
		}
	}
	return ""
}

// Audit returns the faults of the current page: contrast, labels, headings, text that is cut off.
func (b *Browser) Audit(t testing.TB) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](audit))
	require.NoError(t, err)
	return found
}

// Shoot saves a picture of the whole page in the directory that GRAPNEL_SCREENSHOTS names, if it is
// set.
func (b *Browser) Shoot(t testing.TB, name string) {
	t.Helper()
	dir := os.Getenv("GRAPNEL_SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(b.tab, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	//nolint:gosec // Whoever runs the test names the directory.
	require.NoError(t, errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600)))
}
