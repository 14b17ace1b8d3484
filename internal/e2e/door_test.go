package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// raw sends a request as it stands and gives status, header and body of the answer.
func raw(t *testing.T, url, request string) (status int, header http.Header, answer string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	go func() { _, _ = io.WriteString(c, request) }() // What is refused early is not read to its end.
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, res.Header, string(body)
}

// signed is a request of Zoom, signed now.
func signed(source, body string, lines ...string) string {
	ts := strconv.FormatInt(time.Now().Unix(), 10)
	head := fmt.Sprintf("POST /webhooks/%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+
		"x-zm-request-timestamp: %s\r\nx-zm-signature: %s\r\n", source, ts, sign(secret, ts, body))
	for _, line := range lines {
		head += line + "\r\n"
	}
	return head + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

func chunked(request, body string) string {
	head, _, _ := strings.Cut(request, "Content-Length:")
	return head + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
}

// What the receiver answers to each kind of bad input, over a socket.
func TestBadInputIsRefusedAtTheDoor(t *testing.T) {
	t.Parallel()
	source := func(name string, more ...string) string {
		return "  " + name + ":\n    provider: zoom\n    secrets: [\"" + secret + "\"]\n    " + strings.Join(more, "\n    ") + "\n"
	}
	s := up(t, "sources:\n"+source("zoom", "max_body: 1KiB", "events: [meeting.*]")+
		source("https", "require_https: true")+source("listed", "allow_ips: [192.0.2.0/24]")+
		source("basic", "basic_auth: {username: u, password: a-long-password}")+
		source("slow", "rate_limit: {rate: 0.001, burst: 1}")+source("slow-ip", "rate_limit_ip: {rate: 0.001, burst: 1}"), nil)
	good, large := zoom(t, "meeting.started"), zoomOfSize(t.Name(), 2000)
	for _, c := range []struct {
		name, request string
		status        int
		header, body  string
	}{
		{"an unknown source", signed("nobody", good), 404, "", ""},
		{"another method", "GET /webhooks/zoom HTTP/1.1\r\nHost: x\r\n\r\n", 405, "Allow", ""},
		{"plain HTTP where TLS is asked for", signed("https", good), 403, "", ""},
		{"a header that says it was TLS, from nobody we trust", signed("https", good, "X-Forwarded-Proto: https"), 403, "", ""},
		{"a client that is not listed", signed("listed", good), 403, "", ""},
		{"a client that says it is another", signed("listed", good, "X-Forwarded-For: 192.0.2.1"), 403, "", ""},
		{"a body over the limit", signed("zoom", large), 413, "", ""},
		{"a body over the limit, chunked", chunked(signed("zoom", large), large), 413, "", ""},
		{"no credentials", signed("basic", good), 401, "", ""},
		{"wrong credentials", signed("basic", good, "Authorization: Basic dTp3cm9uZw=="), 401, "", ""},
		{"a body that is no JSON", signed("zoom", `{"event":`), 400, "", ""},
		{"a handshake whose challenge would sign an event", signed("zoom",
			`{"event":"endpoint.url_validation","payload":{"plainToken":"v0:1:{\"event\":1}"}}`), 400, "", ""},
		{"a type that the source does not take", signed("zoom", zoom(t, "recording.completed")), 200, "", `"ignored":true`},
		{
			"a handshake", signed("zoom", `{"event":"endpoint.url_validation","payload":{"plainToken":"abc"}}`),
			200, "", `"encryptedToken":"`,
		},
		{"the first of a source with a rate", signed("slow", good), 200, "", `"success":true`},
		{"the second", signed("slow", good), 429, "Retry-After", ""},
		{"the first of a client with a rate", signed("slow-ip", good), 200, "", `"success":true`},
		{"the second of the client", signed("slow-ip", good), 429, "Retry-After", ""},
		{"a good one, chunked", chunked(signed("zoom", good), good), 200, "", `"success":true`},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, header, body := raw(t, s.url, c.request)
			require.Equal(t, c.status, status, body)
			require.Contains(t, body, c.body)
			if c.header != "" {
				require.NotEmpty(t, header.Get(c.header))
			}
			require.NotContains(t, body, secret)
		})
	}
}
