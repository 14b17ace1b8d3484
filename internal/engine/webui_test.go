package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ask sends the lines of a request to the Web UI as they are, and returns the status and the body
// of the answer.
func ask(t *testing.T, address string, lines ...string) (int, string) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(within(t), "tcp", address)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(limit)))
	_, err = fmt.Fprintf(c, "%s\r\nConnection: close\r\n\r\n", strings.Join(lines, "\r\n"))
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func TestTheWebUIAnswersThisMachineAlone(t *testing.T) {
	o := options(t)
	o.InMemory = true
	e := start(t, o)
	address := strings.TrimPrefix(e.UI, "http://")
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	const page, act = "GET /api/v1/settings HTTP/1.1", "POST /api/v1/namespaces/default/workflows/none/terminate HTTP/1.1"
	const settings, forbidden = `"DefaultNamespace"`, "does not answer to this host name"
	for _, test := range []struct {
		name   string
		lines  []string
		status int
		says   string
	}{
		{"its address", []string{page, "Host: " + address}, 200, settings},
		{"localhost", []string{page, "Host: localhost:" + port}, 200, settings},
		{"a port that was forwarded", []string{page, "Host: localhost:9999"}, 200, settings},
		{"IPv6", []string{page, "Host: [::1]:" + port}, 200, settings},
		{"a name of a stranger", []string{page, "Host: evil.example"}, 403, forbidden},
		{"a name of a stranger with the port", []string{page, "Host: evil.example:" + port}, 403, forbidden},
		{"a name that begins as ours", []string{page, "Host: 127.0.0.1.evil.example:" + port}, 403, forbidden},
		{"no name", []string{page, "Host:"}, 403, forbidden},
		{"an address that is not ours", []string{page, "Host: 192.0.2.1:" + port}, 403, forbidden},
		{"the stranger in an absolute address", []string{"GET http://evil.example/api/v1/settings HTTP/1.1", "Host: " + address}, 403, forbidden},
		{"we in an absolute address", []string{"GET http://" + address + "/api/v1/settings HTTP/1.1", "Host: evil.example"}, 200, settings},
		{"two names", []string{page, "Host: " + address, "Host: evil.example"}, 400, ""},
		{"the stranger as forwarded", []string{page, "Host: evil.example", "X-Forwarded-Host: " + address, "Forwarded: host=" + address}, 403, forbidden},
		{"a deed of another site", []string{act, "Host: " + address, "Sec-Fetch-Site: cross-site", "Content-Length: 0"}, 403, "another site"},
		{"a deed of another port", []string{act, "Host: " + address, "Sec-Fetch-Site: same-site", "Content-Length: 0"}, 403, "another site"},
		{"a deed of another origin", []string{act, "Host: " + address, "Origin: http://evil.example", "Content-Length: 0"}, 403, "another site"},
		{"a deed of a page without an origin", []string{act, "Host: " + address, "Origin: null", "Content-Length: 0"}, 403, "another site"},
		{"a switch of protocols", []string{page, "Host: " + address, "Connection: Upgrade", "Upgrade: websocket", "Origin: http://evil.example"}, 400, "HTTP only"},
		{"a tunnel", []string{"CONNECT " + address + " HTTP/1.1", "Host: " + address}, 400, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, body := ask(t, address, test.lines...)
			require.Equal(t, test.status, status, body)
			require.Contains(t, body, test.says)
			if test.status != 200 {
				require.NotContains(t, body, settings)
			}
		})
	}
	t.Run("a deed of its own page", func(t *testing.T) {
		request, err := http.NewRequestWithContext(within(t), http.MethodGet, e.UI+"/api/v1/settings", nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "SAMEORIGIN", response.Header.Get("X-Frame-Options"))
		require.NotEmpty(t, response.Cookies())
		shown := response.Cookies()[0]
		require.Eventually(t, func() bool {
			status, body := ask(t, address, act, "Host: "+address, "Origin: http://"+address, "Sec-Fetch-Site: same-origin",
				"Cookie: "+shown.Name+"="+shown.Value, "X-CSRF-Token: "+shown.Value,
				"Content-Type: application/json", "Content-Length: 2", "", "{}")
			// The UI may not have found the frontend yet, which starts later.
			return status == 404 && strings.Contains(body, "workflow not found")
		}, limit, 100*time.Millisecond)
	})
}
