package starter

import (
	"bytes"
	"errors"
	"strings"

	"github.com/valyala/fasthttp"
)

// framing refuses a request of which two readers may think differently where it
// ends, or what its header says: a proxy in front of us that reads it otherwise
// could be made to hide one request in another (RFC 9112, sections 5 and 6, and
// 11.2). The server reads more than it should, so the bytes are judged here as
// they came.
func framing(h *fasthttp.RequestHeader) error {
	if p := string(h.Protocol()); p != "HTTP/1.1" && p != "HTTP/1.0" {
		return errors.New("the protocol is neither HTTP/1.1 nor HTTP/1.0")
	}
	var f frame
	for line := range bytes.Lines(h.RawHeaders()) {
		if err := f.take(line); err != nil {
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

func (f *frame) take(line []byte) error {
	name, value, err := field(line)
	if err != nil {
		return err
	}
	switch {
	case is(name, "host"):
		f.hosts++
	case is(name, "content-length"):
		f.lengths++
	case is(name, "transfer-encoding"):
		f.codings++
		if !is(value, "chunked") {
			return errors.New("the transfer coding is not chunked")
		}
	}
	return nil
}

func is(text []byte, word string) bool {
	return len(text) == len(word) && strings.EqualFold(string(text), word)
}

// field takes a line of a header apart; both are empty for an empty line.
func field(line []byte) (name, value []byte, err error) {
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
