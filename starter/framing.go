package starter

import (
	"cmp"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
	"golang.org/x/net/http/httpguts"
)

// framing is a request's header, with what it says of where the request ends.
type framing struct {
	fields  fields
	chunked bool
	// length is the Content-Length; 0 if there is none.
	length int64
}

// readFraming reads a request's header from its bytes. It refuses a request that two servers
// could read differently, as to where it ends or what its header says: if a proxy in front of us
// reads it otherwise, one request can hide another (RFC 9112, sections 5, 6 and 11.2). fasthttp
// accepts more than it should, so what it has read does not count here.
func readFraming(c *fasthttp.RequestCtx) (framing, error) {
	h := &c.Request.Header
	switch p := string(h.Protocol()); {
	case p != "HTTP/1.1" && p != "HTTP/1.0":
		return framing{}, errors.New("the protocol is neither HTTP/1.1 nor HTTP/1.0")
	case p == "HTTP/1.0" && c.ConnRequestNum() > 1:
		// Only in the first request line of a connection can HTTP/1.0 be told from a missing
		// version.
		return framing{}, errors.New("a connection of HTTP/1.0 carries one request only")
	}
	if g := guestOf(c.Conn()); g != nil && g.line.done && !g.line.versioned {
		return framing{}, errors.New("the request line does not end with a version and CRLF")
	}
	f := frameFields{framing: framing{fields: make(fields, 0, 16)}}
	for line := range strings.Lines(string(h.RawHeaders())) {
		if err := f.field(line); err != nil {
			return f.framing, err
		}
	}
	return f.framing, f.judge(h)
}

// judge refuses what two servers could read differently.
func (f *frameFields) judge(h *fasthttp.RequestHeader) error {
	switch {
	case f.lengths > 1 || f.codings > 1 || f.lengths+f.codings > 1:
		return errors.New("the length of the body is given twice")
	case (h.IsGet() || h.IsHead()) && (f.chunked || f.length > 0):
		return errors.New("a GET or HEAD request has a body")
	case f.codings > 0 && !h.IsHTTP11():
		return errors.New("HTTP/1.0 has no chunked bodies")
	case f.hosts > 1 || f.hosts == 0 && h.IsHTTP11():
		return errors.New("the request does not have exactly one Host")
	}
	return nil
}

// frameFields counts the header fields that say where a request ends and which host it is for.
type frameFields struct {
	framing
	lengths, codings, hosts int
}

func (f *frameFields) field(line string) error {
	name, value, err := headerField(line)
	if err != nil || name == "" {
		return err
	}
	f.fields = append(f.fields, field{name, value})
	switch {
	case strings.EqualFold(name, "host"):
		f.hosts++
	case strings.EqualFold(name, "content-length"):
		f.lengths++
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil {
			return errors.New("Content-Length is not a number")
		}
		f.length = int64(n)
	case strings.EqualFold(name, "transfer-encoding"):
		f.codings++
		f.chunked = true
		if !strings.EqualFold(value, "chunked") {
			return errors.New("the transfer coding is not chunked")
		}
	}
	return nil
}

// headerField splits a line of a header into name and value; both are empty for an empty
// line.
func headerField(line string) (name, value string, err error) {
	text, ended := strings.CutSuffix(line, "\r\n")
	switch {
	case !ended && strings.HasSuffix(line, "\n") || strings.ContainsAny(text, "\r\x00"):
		return "", "", errors.New("a line of the header does not end with CRLF, or holds CR or NUL")
	case text == "":
		return "", "", nil
	}
	name, value, ok := strings.Cut(text, ":")
	if !ok || name == "" {
		return "", "", errors.New("a line of the header has no name before a colon")
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return "", "", errors.New("the name of a header field holds a character that no name may")
	}
	return name, strings.Trim(value, " \t"), nil
}

// fields are the lines of a header as they came. Lines behind the body, the trailer, are not
// among them.
type fields []field

type field struct{ name, value string }

// Values gives all values of a name, in the order in which they came.
func (f fields) Values(name string) (values []string) {
	for _, l := range f {
		if strings.EqualFold(l.name, name) {
			values = append(values, l.value)
		}
	}
	return values
}

// Names gives all names, each once.
func (f fields) Names() []string {
	var names []string
	for _, l := range f {
		if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, l.name) }) {
			names = append(names, l.name)
		}
	}
	return names
}

// first gives the first value of a name; empty if there is none.
func (f fields) first(name string) string {
	for _, l := range f {
		if strings.EqualFold(l.name, name) {
			return l.value
		}
	}
	return ""
}

// takeOver makes fasthttp hand a request over as soon as its body begins, so that the body is
// read here. Left to itself, fasthttp would wait for 8 KiB, ignore line feeds within chunks and
// put trailers among the headers. So it is told that the body has one byte; once that byte is
// read, the method body tells it that the body has no end.
func takeOver(h *fasthttp.RequestHeader) {
	if n := h.ContentLength(); n > 1 || n == -1 {
		h.SetContentLength(1)
	}
}

// body gives the body that takeOver has kept from fasthttp; nil if there is none. Nothing behind
// its end is read.
func (f *framing) body(r *fasthttp.Request) io.Reader {
	stream := r.BodyStream()
	if stream == nil {
		return nil
	}
	r.Header.SetContentLength(math.MaxInt)
	if f.chunked {
		return &chunks{from: stream}
	}
	return io.LimitReader(stream, f.length)
}

// chunks reads a chunked body (RFC 9112, section 7.1). Whatever another server could read
// differently is an error.
type chunks struct {
	from io.Reader
	// left is how many bytes of the chunk are still to come.
	left  int64
	begun bool
	ended bool
	one   [1]byte
}

const (
	// maxChunkLine bounds the line before a chunk, maxTrailer the lines behind the last chunk.
	maxChunkLine = 256
	maxTrailer   = 8 << 10
)

// Read reads the contents of the chunks.
func (c *chunks) Read(p []byte) (int, error) {
	if c.left == 0 && !c.ended {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if c.ended {
		return 0, io.EOF
	}
	n, err := c.from.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err //nolint:wrapcheck // It is judged by what it is.
}

// next reads the end of a chunk and the line before the next one, or, behind the last chunk, the
// trailer.
func (c *chunks) next() error {
	if c.begun {
		if end, err := c.line(len("\r\n")); err != nil || end != "" {
			return cmp.Or(err, errors.New("a chunk does not end where it says"))
		}
	}
	c.begun = true
	line, err := c.line(maxChunkLine)
	if err != nil {
		return err
	}
	size, _, _ := strings.Cut(line, ";")
	n, err := strconv.ParseUint(strings.TrimRight(size, " \t"), 16, 63)
	if err != nil {
		return errors.New("the size of a chunk is not a number")
	}
	if c.left = int64(n); c.left > 0 {
		return nil
	}
	c.ended = true
	for room := maxTrailer; ; {
		line, err := c.line(room)
		if err != nil || line == "" {
			return err
		}
		if _, _, err := headerField(line + "\r\n"); err != nil {
			return err
		}
		room -= len(line)
	}
}

// line reads a line of at most most bytes that ends with CRLF, and gives it without the CRLF.
func (c *chunks) line(most int) (string, error) {
	line := make([]byte, 0, 16)
	for {
		if _, err := io.ReadFull(c.from, c.one[:]); err != nil {
			return "", err //nolint:wrapcheck // It is judged by what it is.
		}
		it := c.one[0]
		line = append(line, it)
		switch n := len(line); {
		case n >= 2 && line[n-2] == '\r' && it == '\n':
			return string(line[:n-2]), nil
		case it == '\n' || n >= 2 && line[n-2] == '\r' || it < ' ' && it != '\t' && it != '\r' || it == 0x7f:
			return "", errors.New("a line between the chunks does not end with CRLF")
		case n >= most:
			return "", errors.New("a line between the chunks is too long")
		}
	}
}
