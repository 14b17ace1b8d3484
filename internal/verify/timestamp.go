package verify

import (
	"net/http"
	"strconv"
	"time"
)

// DefaultTolerance is how far a request's timestamp may be from now, unless the profile says
// otherwise.
const DefaultTolerance = 5 * time.Minute

// The formats of timestamps. Any other text is a layout of Go's time package.
const (
	formatSeconds = "s"
	formatMillis  = "ms"
	formatRFC3339 = "rfc3339"
	formatHTTP    = "http"
	formatOpaque  = "opaque"
)

// parseTime reads a timestamp's text.
func parseTime(format, text string) (time.Time, bool) {
	switch format {
	case formatSeconds, formatMillis:
		n, ok := parseUnix(format, text)
		if !ok {
			return time.Time{}, false
		}
		if format == formatMillis {
			return time.UnixMilli(n), true
		}
		return time.Unix(n, 0), true
	case formatHTTP:
		t, err := http.ParseTime(text)
		return t, err == nil
	case formatRFC3339, "":
		t, err := time.Parse(time.RFC3339Nano, text)
		return t, err == nil
	case formatOpaque:
		return time.Time{}, false
	default:
		t, err := time.Parse(format, text)
		return t, err == nil
	}
}

// parseUnix takes only digits: no sign, no fraction, no leading zero and no year after 9999. So a
// time can be written in only one way, and can be compared.
func parseUnix(format, text string) (int64, bool) {
	const lastSecond = 253_402_300_799
	if text == "" || text[0] == '0' && text != "0" || len(text) > len("253402300799999") {
		return 0, false
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if format == formatMillis {
		return n, err == nil && n/1000 <= lastSecond
	}
	return n, err == nil && n <= lastSecond
}

// formatTime writes a time as the sender does.
func formatTime(format string, t time.Time) string {
	switch format {
	case formatSeconds, formatOpaque:
		return strconv.FormatInt(t.Unix(), 10)
	case formatMillis:
		return strconv.FormatInt(t.UnixMilli(), 10)
	case formatRFC3339, "":
		return t.UTC().Format(time.RFC3339)
	case formatHTTP:
		return t.UTC().Format(http.TimeFormat)
	default:
		return t.UTC().Format(format)
	}
}

// timestampWindow says what is checked of a request's timestamp.
type timestampWindow struct {
	past, future time.Duration
	parse        bool // the text must be readable
	on           bool // the tolerances count
}

// windowOf gives the window for one request. When the tolerance is turned off the timestamp is
// not read either, so that a captured request can be judged whatever its timestamp.
func (v *Verifier) windowOf(o *Options) timestampWindow {
	w := timestampWindow{past: v.past, future: v.future}
	if v.stamp == nil || v.p.Timestamp.Format == formatOpaque || o.Tolerance != nil && *o.Tolerance < 0 {
		return w
	}
	w.parse = true
	w.on = !o.Now.IsZero() && !v.p.Timestamp.Unchecked
	if o.Tolerance != nil {
		w.past, w.future, w.on = *o.Tolerance, *o.Tolerance, !o.Now.IsZero()
		if v.future > v.past {
			w.future = max(v.future, *o.Tolerance)
		}
	}
	return w
}

// readStamp finds the timestamp. Its text is signed exactly as it came.
func (q *reading) readStamp(w timestampWindow) *Failure {
	if q.v.stamp == nil {
		return nil
	}
	text, n := q.read(q.v.stamp)
	switch {
	case n == doubled:
		return Refuse(MalformedTimestamp, "the timestamp is there twice")
	case n == absent && (w.on || q.v.signsStamp):
		return Refuse(MissingTimestamp, "the request carries no timestamp")
	case n == absent || !w.parse:
		q.stamp = text
		return nil
	}
	q.stamp = text
	var ok bool
	if q.at, ok = parseTime(q.v.p.Timestamp.Format, text); !ok {
		return Refuse(MalformedTimestamp, "the timestamp is not written as this sender writes it")
	}
	return nil
}

// judgeWindow compares the timestamp with now.
func (q *reading) judgeWindow(now time.Time, w timestampWindow) *Failure {
	if !w.on {
		return nil
	}
	return JudgeAge(now, q.at, w.past, w.future)
}

// JudgeAge compares the time of a request with now; the limits themselves are still allowed. The
// times are compared, not their difference: a difference of more than 292 years overflows, and a
// time far ahead would seem near.
func JudgeAge(now, at time.Time, past, future time.Duration) *Failure {
	switch {
	case at.Before(now.Add(-past)):
		return Refuse(TimestampTooOld, "the request was signed longer ago than the tolerance")
	case at.After(now.Add(future)):
		return Refuse(TimestampTooNew, "the request was signed in the future, beyond the tolerance")
	}
	return nil
}
