package starter_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPathTricksLeadToNoOtherDoor(t *testing.T) {
	guarded := doorSource("zoom", "zoom", goodSecret, "allow_ips: [192.0.2.0/24]")
	w, engine := openFake(t, yaml("", guarded, doorSource("github", "github", goodSecret)))
	body := meeting("1")
	request := func(target, version string) string {
		h := signZoom(body, w.now.time(), goodSecret)
		return fmt.Sprintf("POST %s %s\r\nHost: x\r\n%s: %s\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s", target, version, h[0], h[1], h[2], h[3], len(body), body)
	}
	for _, target := range []string{
		"/webhooks/zoom", "/webhooks/zoom/", "//webhooks/zoom", "/webhooks//zoom", "/./webhooks/zoom", "/webhooks/./zoom", "/webhooks/x/../zoom",
		"/webhooks/%7aoom", "/webhooks/%7Aoom", "/webhooks/zoo%6d", "/webhooks%2fzoom", "/%77ebhooks/zoom", "/webhooks/ZOOM", "/WEBHOOKS/zoom", "/Webhooks/Zoom",
		"/webhooks/zoom.", "/webhooks/zoom%00", "/webhooks/zoom%20", "/webhooks/zoom\x00", "/webhooks/zoom;a=b", "/webhooks/zoom%2e%2e/", "/webhooks/../webhooks/zoom",
		"/webhooks/%2e%2e/webhooks/zoom", "/webhooks/zoom?source=github", "/webhooks/zoom?/../github", "/webhooks/zoom#github", "/webhooks/zoom%23github",
		"/webhooks/github/../zoom", "/webhooks/github%2f..%2fzoom", "\\webhooks\\zoom", "/webhooks\\zoom", "http://x/webhooks/zoom", "https://other/webhooks/zoom",
		"http://user:pass@x/webhooks/zoom", "http://x", "x:/webhooks/zoom", "*", "/", "/webhooks", "/webhooks/", "?", "/webhooks/zoom extra", "/webhooks/\r\nzoom",
		"/webhooks/" + strings.Repeat("a", 10000), "/" + strings.Repeat("../", 1000) + "webhooks/zoom", "/webhooks/zoom?" + strings.Repeat("a", 10000),
		"/webhooks/zоom", // The second letter is Cyrillic.
	} {
		for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
			got := statuses(w.raw(t, request(target, version)))
			require.Len(t, got, 1, target)
			require.Contains(t, []int{http.StatusForbidden, http.StatusNotFound, http.StatusBadRequest}, got[0], "%q by %s", target, version)
		}
	}
	starts, _, _ := engine.calls()
	require.Zero(t, starts)
	require.Equal(t, []int{403}, statuses(w.raw(t, request("/webhooks/zoom", "HTTP/1.1"))))
	require.Equal(t, []int{404}, statuses(w.raw(t, request("/webhooks/ZOOM", "HTTP/1.1"))), "a name is what it is")
}

func TestHTTP10IsServedAndClosed(t *testing.T) {
	w, _ := openFake(t, yaml("", doorSources...))
	body := meeting("1")
	h := signZoom(body, w.now.time(), goodSecret)
	got := statuses(w.raw(t, fmt.Sprintf("POST /webhooks/zoom HTTP/1.0\r\n%s: %s\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s%s", h[0], h[1], h[2], h[3], len(body), body, hidden)))
	require.Equal(t, []int{200}, got)
}

func TestHugeHeadersAreRefused(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, "X-%d: y\r\n", i)
	}
	for name, head := range map[string]string{
		"one of 100 KB":         "X-Long: " + strings.Repeat("a", 100<<10) + "\r\n",
		"10,000 of them":        many.String(),
		"a name of 100 KB":      strings.Repeat("a", 100<<10) + ": b\r\n",
		"a signature of 100 KB": "x-zm-signature: v0=" + strings.Repeat("0", 100<<10) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := statuses(w.raw(t, "POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\n"+head+"Content-Length: 0\r\n\r\n"+hidden))
			require.LessOrEqual(t, len(got), 1)
			if len(got) == 1 {
				require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, got[0])
			}
		})
	}
	starts, _, _ := engine.calls()
	require.Zero(t, starts)
	body := meeting("1")
	headers := signZoom(body, w.now.time(), goodSecret)
	for i := range 100 {
		headers = append(headers, fmt.Sprintf("X-%d", i), strings.Repeat("y", 20))
	}
	w.post(t, "zoom", body, headers...).taken(t)
}

func TestASignatureOfManyPartsCostsLittle(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	at := unix(w.now.time())
	many := "t=" + at + strings.Repeat(",v1="+strings.Repeat("0", 64), 150)
	w.post(t, "stripe", "{}", "Stripe-Signature", many).refused(t, http.StatusUnauthorized, "Invalid signature")
	list := strings.TrimSpace(strings.Repeat("v1,"+strings.Repeat("A", 43)+"= ", 200))
	w.post(t, "standard-webhooks", "{}", "webhook-id", "a", "webhook-timestamp", at, "webhook-signature", list).
		refused(t, http.StatusUnauthorized, "Invalid signature")
	starts, _, _ := engine.calls()
	require.Zero(t, starts)
}
