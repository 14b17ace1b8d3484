package config

import (
	"fmt"
	"io"
	"net/url"
	"text/tabwriter"

	"github.com/grapnel/grapnel/internal/destination"
)

// WriteSummary prints what is in force, a line for each source and destination,
// with secrets as set or not set.
func (c *Config) WriteSummary(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, name := range sortedKeys(c.Sources) {
		s := c.Sources[name]
		how := s.Provider
		if how == "" {
			how = "own profile"
		}
		_, _ = fmt.Fprintf(t, "source %s\t%s\tsecrets %s\tdedupe %s\tmax body %s\tunmatched %s\n",
			name, how, countSet(len(s.Secrets)), s.Dedupe.Mode, s.MaxBody, s.Unmatched)
	}
	for _, name := range sortedKeys(c.Destinations) {
		d := c.Destinations[name]
		_, _ = fmt.Fprintf(t, "destination %s\t%s\tsecrets %s\tattempts %d\ttime-out %s\n",
			name, host(d), countSet(len(d.HTTP.Secrets)), d.Retry.Attempts, short(d.HTTP.Timeout))
	}
	_, _ = fmt.Fprintf(t, "retention %s\tcompress from %s\ttls %t\trate store %s\n", short(c.Retention), orNever(c.CompressFrom), c.TLS != nil, c.RateStore)
	return t.Flush()
}

// orNever writes a size, and that there is none.
func orNever(s Size) string {
	if s == 0 {
		return "never"
	}
	return s.String()
}

func countSet(n int) string {
	if n == 0 {
		return "not set"
	}
	return fmt.Sprintf("set (%d)", n)
}

// host is where a destination is, without path and query: they may hold tokens.
func host(d *destination.Spec) string {
	u, err := url.Parse(d.HTTP.URL.Reveal())
	if err != nil {
		return "http"
	}
	return u.Scheme + "://" + u.Host
}
