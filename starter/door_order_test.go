package starter_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Each request fails a check and all that come after
// it, so that the answer tells which comes first.
func TestChecksComeInTheirOrder(t *testing.T) {
	stale := unix(time.Now().Add(-time.Hour))
	forged := []string{"x-zm-signature", "v0=" + strings.Repeat("0", 64), "x-zm-request-timestamp", stale}
	long := strings.Repeat("x", 2000)
	guards := []string{
		"require_https: true", "allow_ips: [192.0.2.0/24]", "rate_limit_ip: {rate: 0.001, burst: 1}", "max_body: 1000",
		"basic_auth: {username: u, password: a-password-for-tests}",
	}
	for _, test := range []struct {
		name   string
		guards []string
		method string
		path   string
		body   string
		add    []string
		spend  bool // the client's rate first
		status int
		text   string
		header map[string]string
	}{
		{name: "the source", guards: guards, method: "PUT", path: "none", body: long, status: 404, text: "Unknown source"},
		{name: "the method", guards: guards, method: "PUT", body: long, status: 405, text: "Method not allowed", header: map[string]string{"Allow": "POST"}},
		{name: "HTTPS", guards: guards, body: long, status: 403, text: "HTTPS required"},
		{name: "the client's address", guards: guards[1:], body: long, status: 403, text: "Forbidden"},
		{name: "the client's rate", guards: guards[2:], body: long, spend: true, status: 429, text: "Too many requests", header: map[string]string{"Retry-After": "1000"}},
		{name: "the size of the body", guards: guards[3:], body: long, status: 413, text: "Body too large"},
		{name: "credentials", guards: guards[4:], body: "no JSON", status: 401, text: "Invalid credentials", header: map[string]string{"Www-Authenticate": `Basic realm="webhooks", charset="UTF-8"`}},
		{name: "wrong credentials", guards: guards[4:], body: "no JSON", add: []string{"Authorization", "Basic dTp3cm9uZw=="}, status: 401, text: "Invalid credentials"},
		{name: "the signature", body: "no JSON", status: 401, text: "Invalid signature"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, engine := openFake(t, yaml("", doorSource("zoom", "zoom", goodSecret, test.guards...)))
			method, path := test.method, test.path
			if method == "" {
				method = http.MethodPost
			}
			if path == "" {
				path = "zoom"
			}
			request := func() reply {
				req, err := http.NewRequestWithContext(t.Context(), method, "http://"+w.addr+"/webhooks/"+path, strings.NewReader(test.body))
				require.NoError(t, err)
				headers := append(test.add, forged...)
				for i := 0; i < len(headers); i += 2 {
					req.Header.Add(headers[i], headers[i+1])
				}
				return do(t, req)
			}
			if test.spend {
				require.NotEqual(t, 429, request().status)
			}
			r := request()
			r.refused(t, test.status, test.text)
			for name, value := range test.header {
				require.Equal(t, value, r.header.Get(name))
			}
			starts, describes, _ := engine.calls()
			require.Zero(t, starts+describes)
		})
	}
}

func TestRateOfASourceCountsVerifiedRequestsOnly(t *testing.T) {
	w, _ := openFake(t, yaml("", doorSource("zoom", "zoom", goodSecret, "rate_limit: {rate: 0.1, burst: 2}")))
	for range 5 {
		w.post(t, "zoom", meeting("1"), signZoom(meeting("1"), w.now.time(), otherSecret)...).
			refused(t, http.StatusUnauthorized, "Invalid signature")
	}
	w.zoom(t, meeting("1")).taken(t)
	w.zoom(t, meeting("2")).taken(t)
	r := w.zoom(t, meeting("3"))
	r.refused(t, http.StatusTooManyRequests, "Too many requests")
	require.Equal(t, "10", r.header.Get("Retry-After"))
	require.Equal(t, "2", r.header.Get("X-Ratelimit-Limit"))
	require.Equal(t, "0", r.header.Get("X-Ratelimit-Remaining"))
	require.Equal(t, "20", r.header.Get("X-Ratelimit-Reset"))
	validation := `{"event":"endpoint.url_validation","payload":{"plainToken":"abc"}}`
	w.zoom(t, validation).refused(t, http.StatusTooManyRequests, "Too many requests")
	w.now.advance(10 * time.Second)
	w.zoom(t, meeting("3")).taken(t)
}

func TestMethodsThatAreNoPOST(t *testing.T) {
	w, engine := openFake(t, yaml("", append(doorSources, doorSource("meta", "meta", goodSecret), doorSource("cloudevents", "cloudevents", goodSecret))...))
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "post", "POSTX"} {
		t.Run(method+" is not taken", func(t *testing.T) {
			answer := w.raw(t, method+" /webhooks/zoom HTTP/1.1\r\nHost: x\r\nX-Secret: do-not-echo\r\nContent-Length: 0\r\n\r\n")
			status, _, _ := strings.Cut(answer, "\r\n")
			require.Equal(t, "HTTP/1.1 405 Method Not Allowed", status)
			require.NotContains(t, answer, "do-not-echo", "a TRACE echoes nothing")
			require.NotContains(t, answer, "X-Secret")
			require.Contains(t, answer, "\r\nAllow: POST\r\n")
			if method == "HEAD" {
				require.True(t, strings.HasSuffix(answer, "\r\n\r\n"), "an answer to HEAD has no body")
			}
		})
	}
	t.Run("a source with a handshake by GET allows GET and still takes no event by it", func(t *testing.T) {
		answer := w.raw(t, "PUT /webhooks/meta HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		require.Contains(t, answer, "HTTP/1.1 405 ")
		require.Contains(t, answer, "\r\nAllow: GET, POST\r\n")
		answer = w.raw(t, "GET /webhooks/meta HTTP/1.1\r\nHost: x\r\n\r\n")
		require.Contains(t, answer, "HTTP/1.1 405 ")
		require.Contains(t, answer, "\r\nAllow: GET, POST\r\n")
	})
	starts, _, _ := engine.calls()
	require.Zero(t, starts)
}

func TestAnswersOfAnEvent(t *testing.T) {
	const adyen = `{"live":"false","notificationItems":[{"NotificationRequestItem":{"additionalData":{"hmacSignature":"coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},` +
		`"amount":{"value":1130,"currency":"EUR"},"pspReference":"7914073381342284","eventCode":"AUTHORISATION","eventDate":"2019-05-06T17:15:34.121+02:00",` +
		`"merchantAccountCode":"TestMerchant","merchantReference":"TestPayment-1407325143704","success":"true"}}]}`
	w, _ := openFake(t, yaml("",
		doorSource("zoom", "zoom", goodSecret, "events: [\"meeting.*\"]"),
		doorSource("teapot", "zoom", goodSecret, "ack_status: 202"),
		doorSource("silent", "zoom", goodSecret, "ack_status: 204"),
		doorSource("adyen", "adyen-payments", "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"),
	))
	t.Run("a type that the source does not take is ignored", func(t *testing.T) {
		r := w.zoom(t, `{"event":"recording.completed","payload":{"object":{"id":1}}}`)
		require.Equal(t, http.StatusOK, r.status)
		require.Equal(t, `{"success":true,"ignored":true}`+"\n", r.body)
	})
	t.Run("a type that it takes is started", func(t *testing.T) {
		r := w.zoom(t, meeting("1"))
		id := r.taken(t).EventID
		require.Equal(t, `{"success":true,"eventId":"`+id+`"}`+"\n", r.body)
		require.Regexp(t, "^[0-9a-f]{64}$", id)
		r = w.zoom(t, meeting("1"))
		require.Equal(t, `{"success":true,"eventId":"`+id+`","duplicate":true}`+"\n", r.body)
	})
	t.Run("a body that is no JSON is refused once it is verified", func(t *testing.T) {
		w.zoom(t, "no JSON").refused(t, http.StatusBadRequest, "Invalid JSON body")
		w.zoom(t, `{"a":1} {"b":2}`).refused(t, http.StatusBadRequest, "Invalid JSON body")
	})
	t.Run("the status is the source's", func(t *testing.T) {
		body := meeting("2")
		r := w.post(t, "teapot", body, signZoom(body, w.now.time(), goodSecret)...)
		require.Equal(t, http.StatusAccepted, r.status)
		require.Contains(t, r.body, `{"success":true,"eventId":"`)
	})
	t.Run("204 has no body", func(t *testing.T) {
		body := meeting("3")
		r := w.post(t, "silent", body, signZoom(body, w.now.time(), goodSecret)...)
		require.Equal(t, http.StatusNoContent, r.status)
		require.Empty(t, r.body)
	})
	t.Run("Adyen hears that its event is accepted", func(t *testing.T) {
		r := w.post(t, "adyen", adyen, "Content-Type", "application/json")
		require.Equal(t, http.StatusOK, r.status, r.body)
		require.Equal(t, "[accepted]", r.body)
		require.Equal(t, "text/plain", r.header.Get("Content-Type"))
		require.Equal(t, http.StatusUnauthorized, w.post(t, "adyen", strings.Replace(adyen, "1130", "1131", 1)).status)
	})
}

// do sends a request on a connection of its own.
func do(t *testing.T, req *http.Request) reply {
	t.Helper()
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	require.NoError(t, err)
	return read(t, res)
}

func TestMethodsThatASenderSendsEventsBy(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSource("zendesk", "zendesk", goodSecret)))
	at := w.now.time().UTC().Format(time.RFC3339)
	for i, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		body := fmt.Sprintf(`{"id":%d}`, i)
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+w.addr+"/webhooks/zendesk", strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("X-Zendesk-Webhook-Signature-Timestamp", at)
		req.Header.Set("X-Zendesk-Webhook-Signature", base64.StdEncoding.EncodeToString(mac(goodSecret, at+body)))
		do(t, req).taken(t)
		require.Equal(t, body, string(engine.last(t).body.GetData()))
	}
}
