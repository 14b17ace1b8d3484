package starter

import (
	"bytes"
	"errors"
	"strings"

	"github.com/valyala/fasthttp"
)

// framing refuses a request that two readers may read differently: where it ends, or what
// its header says. If a proxy in front of us reads it otherwise, one request can hide
// another (RFC 9112, sections 5, 6 and 11.2). fasthttp takes more than it should, so this
// judges the header's bytes as they came.
func framing(h *fasthttp.RequestHeader) error {
	if p := string(h.Protocol()); p != "HTTP/1.1" && p != "HTTP/1.0" {
		return errors.New("the protocol is neither HTTP/1.1 nor HTTP/1.0")
	}
	var f frame
	for line := range bytes.Lines(h.RawHeaders()) {
		if err := f.field(line); err != nil {
			return err
		}
	}
	switch {
	case f.lengths > 1 || f.codings > 1 || f.lengths+f.codings > 1:
		return errors.New("the length of the body is said twice")
	case f.codings > 0 && !h.IsHTTP11():
		return errors.New("chunks are not known to HTTP/1.0")
	case f.hosts > 1 || f.hosts == 0 && h.IsHTTP11():
		return errors.New("the host is not said exactly once")
	}
	return nil
}

// frame counts the fields that say where a request ends and whom it is for.
type frame struct{ lengths, codings, hosts int }

func (f *frame) field(line []byte) error {
	name, value, err := headerField(line)
	if err != nil {
		return err
	}
	switch {
	case equalFold(name, "host"):
		f.hosts++
	case equalFold(name, "content-length"):
		f.lengths++
	case equalFold(name, "transfer-encoding"):
		f.codings++
		if !equalFold(value, "chunked") {
			return errors.New("the transfer coding is not chunked")
		}
	}
	return nil
}

func equalFold(text []byte, word string) bool {
	return len(text) == len(word) && strings.EqualFold(string(text), word)
}

// headerField splits a line of a header into name and value; both are empty for an empty
// line.
func headerField(line []byte) (name, value []byte, err error) {
	text, ended := bytes.CutSuffix(line, []byte("\r\n"))
	switch {
	case !ended && bytes.HasSuffix(line, []byte("\n")) || bytes.ContainsAny(text, "\r\x00"):
		return nil, nil, errors.New("a line of the header does not end as HTTP has it")
	case len(text) == 0:
		return nil, nil, nil
	}
	before, after, ok := bytes.Cut(text, []byte(":"))
	if !ok || len(before) == 0 {
		return nil, nil, errors.New("a line of the header is no field")
	}
	for _, c := range before {
		if !isToken(c) {
			return nil, nil, errors.New("the name of a field is none")
		}
	}
	return before, bytes.Trim(after, " \t"), nil
}
