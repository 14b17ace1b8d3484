package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/grapnel/grapnel/internal/alert"
)

// funcs are the functions of the templates.
func (c *Console) funcs() template.FuncMap {
	return template.FuncMap{
		"ago": func(t time.Time) string {
			if t.IsZero() {
				return "never"
			}
			return alert.Ago(c.Now().Sub(t))
		},
		"until":     func(t time.Time) string { return alert.Ago(t.Sub(c.Now())) },
		"past":      func(t time.Time) bool { return t.Before(c.Now()) },
		"stamp":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" },
		"iso":       func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"short":     func(id string) string { return id[:min(len(id), 10)] },
		"num":       func(n any) string { return numberOf(n) },
		"took":      func(d time.Duration) string { return secondsText(d.Seconds()) },
		"link":      linkTo,
		"size":      func(n int64) string { return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MiB" },
		"asset":     assetPath,
		"plural":    pluralOf,
		"alertHref": alertHref,
		"workflow": func(id, run string) string {
			return c.WebUI + "/namespaces/" + url.PathEscape(c.Namespace) + "/workflows/" + url.PathEscape(id) + "/" + url.PathEscape(run) + "/history"
		},
		"operate": func(role string) bool { return role == RoleOperate },
	}
}

// assetPath is the URL of a static file. It contains a hash of the file, so that a browser does not
// use a cached style sheet of an earlier version.
func assetPath(name string) (string, error) {
	text, err := files.ReadFile("static/" + name)
	if err != nil {
		return "", fmt.Errorf("a file of the pages: %w", err)
	}
	sum := sha256.Sum256(text)
	return "/static/" + name + "?v=" + hex.EncodeToString(sum[:6]), nil
}

// pluralOf writes a count with its noun.
func pluralOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return numberOf(n) + " " + many
}

// alertHref is the page that shows the cause of an alert.
func alertHref(a alert.Alert) string {
	switch a.Rule {
	case alert.CircuitOpen:
		return "/destinations#" + url.PathEscape(a.Subject)
	case alert.SourceSilent:
		return "/sources#" + url.PathEscape(a.Subject)
	case alert.EventsFail:
		return "/dead-letters?since=15m"
	case alert.DeadLettersGrow:
		return "/dead-letters?since=1h"
	case alert.HandlerPanics:
		return linkTo("/dead-letters", "route", a.Subject)
	case alert.OldDeadLetter, alert.DeadLetterExpires:
		return "/dead-letters?by=day"
	default: // The spool and the workers are parts of the process.
		return "/configuration"
	}
}

// linkTo makes a path with a query. pairs are names and values in turn; empty values are left out.
func linkTo(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// numberText writes a number in short: 12k, 1.5M.
func numberText(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'f', 1, 64) + "M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'f', 0, 64) + "k"
	case v >= 10, v == float64(int(v)):
		return strconv.Itoa(int(math.Round(v)))
	default:
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
}

// numberOf writes a whole number with thin spaces between thousands.
func numberOf(n any) string {
	s := fmt.Sprint(n)
	if f, ok := n.(float64); ok {
		s = strconv.FormatInt(int64(math.Round(f)), 10)
	}
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// secondsText writes a number of seconds as text, with a unit from ms to days.
func secondsText(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 1:
		return fmt.Sprintf("%.0f ms", v*1000)
	case v < 60:
		return strconv.FormatFloat(v, 'g', 2, 64) + " s"
	default:
		return alert.Ago(time.Duration(v * float64(time.Second)))
	}
}

// clockText writes the time of day in UTC, with the date if it is not today.
func clockText(t, now time.Time) string {
	if t.UTC().Format(time.DateOnly) == now.UTC().Format(time.DateOnly) {
		return t.UTC().Format("15:04")
	}
	return t.UTC().Format("2 Jan 15:04")
}

// bodyView is a body as a page shows it.
type bodyView struct {
	Text string
	// Kind says what the body is, Size is its bytes; Cut is set if Text is not all of it.
	Kind string
	Size int
	Cut  bool
}

// maxBodyShown is how much of a body a page shows, in bytes.
const maxBodyShown = 64 << 10

func viewBody(body []byte) bodyView {
	v := bodyView{Kind: "text", Size: len(body)}
	text := body
	var pretty bytes.Buffer
	switch {
	case json.Valid(body) && json.Indent(&pretty, body, "", "  ") == nil:
		v.Kind, text = "JSON, indented for reading; the download has its exact bytes", pretty.Bytes()
	case !utf8.Valid(body):
		v.Kind, v.Text = "not text", ""
		return v
	}
	if v.Cut = len(text) > maxBodyShown; v.Cut {
		text = text[:maxBodyShown]
	}
	v.Text = strings.ToValidUTF8(string(text), "")
	return v
}
