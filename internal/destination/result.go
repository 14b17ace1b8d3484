package destination

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/netguard"
)

// Error says that a delivery was not taken, and whether and when to try again.
type Error struct {
	// Destination is the name of the route.
	Destination string
	// URL is the address that it was posted to, without user information and query.
	URL string
	// Status is the status of the answer; 0 when there was none.
	Status int
	// Permanent is set when no further attempt can succeed.
	Permanent bool
	// RetryAfter is the least delay before the next attempt: 0 to one hour.
	RetryAfter time.Duration
	// Timeout is set when the destination did not answer in time.
	Timeout bool
	// Canceled is set when we called the delivery off because the worker stops.
	Canceled bool
	// Sort names the kind of failure, by which dead letters are grouped, where status and error
	// do not tell it.
	Sort string
	// Doing says what was tried, where that is not a POST to URL.
	Doing string
	// Well is set when the failure lies with the event and not with the destination: the circuit
	// stays closed, and another attempt may succeed.
	Well bool
	// Unsent is set when nothing was sent: the failure says nothing about the destination.
	Unsent bool
	// Answer is the beginning of the answer's body, at most 20 KB. It is valid UTF-8 whose only
	// control characters are line feeds and tabs.
	Answer string
	// Err is the reason why there was no answer, or says where a redirect led.
	Err error
}

// Error is one sentence for the dead letter.
func (e *Error) Error() string {
	doing := e.Doing
	if doing == "" {
		doing = "POST " + e.URL
	}
	s := "destination " + e.Destination + ": " + doing
	reason := ""
	if e.Err != nil {
		// Go's client quotes an answer that is not HTTP, at any length.
		reason = event.Clean(e.Err.Error(), quoted)
	}
	switch {
	case e.Unsent:
		return "destination " + e.Destination + ": nothing was sent: " + reason
	case e.Timeout:
		return s + " was not answered in time: " + reason
	case e.Status == 0:
		return s + " failed: " + reason
	}
	s += strings.TrimRight(fmt.Sprintf(" was answered %d %s", e.Status, http.StatusText(e.Status)), " ")
	if reason != "" {
		s += ", " + reason
	}
	if e.Answer != "" {
		s += ": " + event.Clean(strings.Join(strings.Fields(event.Cut(e.Answer, 4*quoted)), " "), quoted)
	}
	return s
}

// Reason names the kind of failure, by which dead letters are grouped: it is the same for every
// event that fails so.
func (e *Error) Reason() string {
	switch {
	case e.Sort != "":
		return e.Sort
	case e.Unsent:
		return "nothing was sent: " + event.Clean(e.Err.Error(), kept)
	case e.Timeout:
		return "no answer in time"
	case e.Status == 0:
		if without, ok := errors.AsType[*tokenError](e.Err); ok {
			return without.Reason()
		}
		return "no answer: " + event.Clean(rootCause(e.Err), kept)
	default:
		return strings.TrimSpace(fmt.Sprintf("answered %d %s", e.Status, http.StatusText(e.Status)))
	}
}

// rootCause gives the text of the innermost error, without addresses.
func rootCause(err error) string {
	if err == nil {
		return "unknown"
	}
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err.Error()
}

// Unwrap gives Err.
func (e *Error) Unwrap() error { return e.Err }

// Bounds of the retry delay.
const (
	// slowDown is the least retry delay after an answer that asks for patience (408, 425, 429),
	// and after a time-out.
	slowDown = time.Minute
	// maxRetryAfter is the longest delay that a destination can ask for.
	maxRetryAfter = time.Hour
)

// How much of an answer's body is read.
const (
	// kept is how many bytes are kept for people to read.
	kept = 20 << 10
	// quoted is how many characters the error's text quotes.
	quoted = 1 << 10
	// drained is how many further bytes are read, so that the connection can be used again.
	drained = 64 << 10
	// drainTime bounds the time for reading the body. The status alone has decided what becomes
	// of the delivery.
	drainTime = 500 * time.Millisecond
)

// failed makes the Error of a delivery that got no answer.
func (h *httpDestination) failed(err error) error {
	if without, ok := errors.AsType[*tokenError](err); ok {
		return h.tokenFailed(without)
	}
	err = withoutURL(err)
	e := &Error{Destination: h.name, URL: h.shown, Err: err}
	var refused *netguard.RefusedError
	switch {
	case errors.As(err, &refused):
		e.Permanent, e.Err = true, refused
	case timedOut(err):
		e.Timeout, e.RetryAfter = true, slowDown
	case errors.Is(err, context.Canceled):
		e.Canceled = true
	}
	return e
}

// timedOut tells whether the other side did not answer in time.
func timedOut(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &network) && network.Timeout())
}

// answered makes the Error of an answer by its status; nil when the event was taken. cancel ends
// the request, so that a body that comes drop by drop can't hold the delivery up.
func (h *httpDestination) answered(res *http.Response, cancel func()) error {
	drip := time.AfterFunc(drainTime, cancel)
	defer drip.Stop()
	// A body that can't be read to its end is quoted as far as it came.
	first, _ := io.ReadAll(io.LimitReader(res.Body, kept))
	_, _ = io.CopyN(io.Discard, res.Body, drained)
	if h.taken(res.StatusCode) {
		return nil
	}
	e := &Error{Destination: h.name, URL: h.shown, Status: res.StatusCode, Answer: h.clean(maskerOf(res.Request).Mask(string(first)))}
	e.RetryAfter = retryAfter(res.Header.Get("Retry-After"), h.saidAt(res))
	switch s := res.StatusCode; {
	case h.failureOn.contain(s):
	case s >= 300 && s <= 399:
		e.Err = h.redirected(res)
	case s == http.StatusTooManyRequests, s == http.StatusRequestTimeout, s == http.StatusTooEarly:
		e.RetryAfter = max(e.RetryAfter, slowDown)
	case s == http.StatusUnauthorized && h.tokens != nil:
		// The destination refused the token, and may take another one.
	case s >= 400 && s <= 499:
		e.Permanent = true
	}
	return e
}

// saidAt gives the Date of an answer (RFC 9110, section 6.6.1), by whose clock its Retry-After is
// to be read; without one the time here.
func (h *httpDestination) saidAt(res *http.Response) time.Time {
	if at, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		return at
	}
	return h.now()
}

// redirected says where a redirect leads. Redirects are not followed.
func (h *httpDestination) redirected(res *http.Response) error {
	to := "elsewhere"
	if u, err := res.Location(); err == nil {
		to = "to " + h.clean(maskerOf(res.Request).Mask(shownURL(u)))
	}
	return fmt.Errorf("a redirect %s that is not followed", to)
}

// clean makes an answer fit to be kept: without our secrets and without control characters.
func (h *httpDestination) clean(s string) string {
	lines := strings.Split(strings.ReplaceAll(h.hide.Mask(s), "\r\n", "\n"), "\n")
	for i, line := range lines {
		cells := strings.Split(line, "\t")
		for j, cell := range cells {
			cells[j] = event.Clean(cell, kept)
		}
		lines[i] = strings.Join(cells, "\t")
	}
	return event.Cut(strings.TrimSpace(strings.Join(lines, "\n")), kept)
}

// taken tells whether a status means that the event was taken: 2xx, unless success_on or
// failure_on say otherwise.
func (h *httpDestination) taken(status int) bool {
	switch {
	case h.failureOn.contain(status):
		return false
	case h.successOn.contain(status):
		return true
	}
	return status >= 200 && status <= 299
}

// statuses are ranges of HTTP statuses, both ends included.
type statuses [][2]int

func (s statuses) contain(status int) bool {
	for _, r := range s {
		if r[0] <= status && status <= r[1] {
			return true
		}
	}
	return false
}

// parseStatuses reads statuses that are written as 404, 5xx or 200-204.
func parseStatuses(texts []string) (statuses, error) {
	var all statuses
	for _, text := range texts {
		low, high := text, text
		if from, to, ok := strings.Cut(text, "-"); ok {
			low, high = from, to
		} else if class, ok := strings.CutSuffix(text, "xx"); ok && len(class) == 1 {
			low, high = class+"00", class+"99"
		}
		from, errFrom := strconv.Atoi(low)
		to, errTo := strconv.Atoi(high)
		if errFrom != nil || errTo != nil || from < 100 || to > 999 || from > to {
			return nil, fmt.Errorf("%q is no status; write 404, 5xx or 200-204", text)
		}
		all = append(all, [2]int{from, to})
	}
	return all, nil
}

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3), which holds seconds or a
// date. It gives 0 for one that can't be read.
func retryAfter(s string, now time.Time) time.Duration {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0
	}
	if strings.Trim(s, "0123456789") == "" {
		seconds, err := strconv.ParseInt(s, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(s)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// withoutURL unwraps the error of Go's HTTP client, whose text holds the URL with its query.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
