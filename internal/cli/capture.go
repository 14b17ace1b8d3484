package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/grapnel/grapnel/internal/verify"
)

// capture reads a raw HTTP request from a file, or from standard input for "-".
func (p Program) capture(file, url string) (*verify.Request, error) {
	src, err := p.read(file)
	if err != nil {
		return nil, err
	}
	return captureOf(src, file, url)
}

// read reads a file, or standard input for "-".
func (p Program) read(file string) (src []byte, err error) {
	if file == "-" {
		src, err = io.ReadAll(p.Stdin)
	} else {
		src, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the captured request: %w", err)
	}
	return src, nil
}

// captureOf takes a raw HTTP request apart.
func captureOf(src []byte, file, url string) (*verify.Request, error) {
	if file == "-" {
		file = "standard input"
	}
	if len(bytes.TrimSpace(src)) == 0 {
		return nil, fmt.Errorf("%s is empty; it must hold the request as it came: its line, its headers, an empty line, its body", file)
	}
	req, body, err := parseCapture(src)
	if err != nil {
		return nil, fmt.Errorf("%s is no captured request: %w", file, err)
	}
	if url == "" {
		url = "https://" + req.Host + req.RequestURI
		if strings.Contains(req.RequestURI, "://") {
			url = req.RequestURI
		}
	}
	header := req.Header
	header.Set("Host", req.Host)
	return &verify.Request{
		Method: req.Method, URL: url, Query: req.URL.RawQuery, Header: verify.HTTPHeader(header), Body: body,
	}, nil
}

// parseCapture takes a request apart. A body without a length is what follows
// the empty line, to the last byte.
func parseCapture(src []byte) (*http.Request, []byte, error) {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(fullVersion(src))))
	if err != nil {
		return nil, nil, fmt.Errorf("it must begin with a line such as POST /webhooks/zoom HTTP/1.1, then headers: %w", err)
	}
	if len(req.TransferEncoding) > 0 {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, nil, fmt.Errorf("its chunks can't be read: %w", err)
		}
		return req, body, nil
	}
	body := afterHeader(src)
	if length := req.Header.Get("Content-Length"); length != "" {
		n, err := strconv.Atoi(length)
		if err != nil || n > len(body) {
			return nil, nil, fmt.Errorf("its Content-Length is %s, and its body has %d bytes", length, len(body))
		}
		body = body[:n]
	}
	return req, body, nil
}

// fullVersion writes the version of a first line as HTTP/2.0, where it is HTTP/2 or
// HTTP/3 as browsers and proxies show it.
func fullVersion(src []byte) []byte {
	line, rest, _ := bytes.Cut(src, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if !bytes.HasSuffix(line, []byte(" HTTP/2")) && !bytes.HasSuffix(line, []byte(" HTTP/3")) {
		return src
	}
	return slices.Concat(line, []byte(".0\r\n"), rest)
}

// afterHeader is what follows the first empty line, which may end in LF alone.
func afterHeader(src []byte) []byte {
	for rest := src; ; {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		if !ok {
			return nil
		}
		if len(bytes.TrimSuffix(line, []byte("\r"))) == 0 {
			return after
		}
		rest = after
	}
}

// nameValues reads NAME=VALUE flags.
func nameValues(flags []string) (map[string]string, error) {
	out := make(map[string]string, len(flags))
	for _, f := range flags {
		name, value, ok := strings.Cut(f, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--param %s: write NAME=VALUE", f)
		}
		out[name] = value
	}
	return out, nil
}
