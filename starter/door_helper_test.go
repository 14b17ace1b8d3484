package starter_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/spool"
	"github.com/grapnel/grapnel/starter"
)

// The secrets of the sources below.
const (
	goodSecret  = "a-secret-that-only-tests-know"
	otherSecret = "a-secret-that-nobody-has-given"
)

// whsec is a secret as Standard Webhooks writes it.
func whsec(text string) string { return "whsec_" + base64.StdEncoding.EncodeToString([]byte(text)) }

// doorSources are a source of each scheme that the tests sign by hand.
var doorSources = []string{
	doorSource("zoom", "zoom", goodSecret),
	doorSource("zoom-legacy", "zoom-legacy", goodSecret),
	doorSource("github", "github", goodSecret),
	doorSource("stripe", "stripe", goodSecret),
	doorSource("standard-webhooks", "standard-webhooks", whsec(goodSecret)),
	"  shop:\n    secrets: [" + goodSecret + "]\n    verify:\n      algorithm: hmac-sha256\n      content: \"{timestamp}.{body}\"\n" +
		"      signature: {headers: [X-Shop-Signature], prefix: \"sha256=\", encoding: hex}\n" +
		"      timestamp: {from: \"header:X-Shop-Timestamp\", format: s}\n" +
		"      identity: {type: \"body:event\", id: \"body:id\", subject: \"body:order.number\", time: \"body:at\"}\n      dedupe: id\n",
}

// doorSource is a source of a preset with more settings, a line each.
func doorSource(name, preset, secret string, settings ...string) string {
	text := "  " + name + ":\n    provider: " + preset + "\n    secrets: [" + secret + "]\n"
	for _, s := range settings {
		text += "    " + s + "\n"
	}
	return text
}

// yaml is a configuration of sources, with settings before them.
func yaml(settings string, sources ...string) string {
	text := settings + "sources:\n"
	for _, s := range sources {
		text += s
	}
	return text
}

func hexMAC(secret, text string) string { return hex.EncodeToString(mac(secret, text)) }

func mac(secret, text string) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(m, text)
	return m.Sum(nil)
}

// scheme is how one source signs: sign gives the headers of a body at a time
// under a secret, names and values by turns.
type scheme struct {
	name string
	sign func(body string, at time.Time, secret string) []string
	// signature and stamp name the headers; stamp is empty where there is none.
	signature, stamp string
}

func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

func signZoom(body string, at time.Time, secret string) []string {
	return []string{"x-zm-signature", "v0=" + hexMAC(secret, "v0:"+unix(at)+":"+body), "x-zm-request-timestamp", unix(at)}
}

func signGitHub(body string, _ time.Time, secret string) []string {
	return []string{"X-Hub-Signature-256", "sha256=" + hexMAC(secret, body), "X-GitHub-Event", "push"}
}

func signShop(body string, at time.Time, secret string) []string {
	return []string{"X-Shop-Signature", "sha256=" + hexMAC(secret, unix(at)+"."+body), "X-Shop-Timestamp", unix(at)}
}

func signStripe(body string, at time.Time, secret string) []string {
	return []string{"Stripe-Signature", fmt.Sprintf("t=%s,v1=%s,v0=00", unix(at), hexMAC(secret, unix(at)+"."+body))}
}

func signStandard(body string, at time.Time, secret string) []string {
	text := base64.StdEncoding.EncodeToString(mac(secret, "msg_1."+unix(at)+"."+body))
	return []string{"webhook-id", "msg_1", "webhook-timestamp", unix(at), "webhook-signature", "v1," + text}
}

func signLegacy(body string, at time.Time, secret string) []string {
	return []string{"x-zoom-signature", "sha256=" + hexMAC(secret, body), "x-zoom-request-timestamp", unix(at)}
}

var schemes = []scheme{
	{"zoom", signZoom, "x-zm-signature", "x-zm-request-timestamp"},
	{"zoom-legacy", signLegacy, "x-zoom-signature", "x-zoom-request-timestamp"},
	{"github", signGitHub, "X-Hub-Signature-256", ""},
	{"stripe", signStripe, "Stripe-Signature", ""},
	{"standard-webhooks", signStandard, "webhook-signature", "webhook-timestamp"},
	{"shop", signShop, "X-Shop-Signature", "X-Shop-Timestamp"},
}

// without drops a header.
func without(headers []string, name string) []string {
	var out []string
	for i := 0; i < len(headers); i += 2 {
		if headers[i] != name {
			out = append(out, headers[i], headers[i+1])
		}
	}
	return out
}

// meeting is a body of Zoom; n makes it a meeting of its own.
func meeting(n string) string {
	return `{"event":"meeting.started","event_ts":1687276800000,"payload":{"account_id":"a","object":{"uuid":"` + n + `","topic":"Weekly"}}}`
}

// zoom posts a body to the source zoom, signed now.
func (w *doorway) zoom(t *testing.T, body string) reply {
	t.Helper()
	return w.post(t, "zoom", body, signZoom(body, w.now.time(), goodSecret)...)
}

// accepted is the answer to an event that was taken.
type accepted struct {
	Success   bool   `json:"success"`
	EventID   string `json:"eventId"`
	Ignored   bool   `json:"ignored"`
	Duplicate bool   `json:"duplicate"`
	Replayed  bool   `json:"replayed"`
	Queued    bool   `json:"queued"`
}

// taken reads the answer to an event that was taken.
func (r reply) taken(t *testing.T) accepted {
	t.Helper()
	require.Equal(t, http.StatusOK, r.status, r.body)
	require.Equal(t, "application/json", r.header.Get("Content-Type"))
	var a accepted
	require.NoError(t, json.Unmarshal([]byte(r.body), &a))
	require.True(t, a.Success)
	return a
}

// refused asserts that a request was refused with a status and a text.
func (r reply) refused(t *testing.T, status int, text string) {
	t.Helper()
	require.Equal(t, status, r.status, r.body)
	require.Equal(t, `{"error":"`+text+`"}`, strings.TrimSuffix(r.body, "\n"))
	require.Equal(t, "application/json", r.header.Get("Content-Type"))
	require.Equal(t, "nosniff", r.header.Get("X-Content-Type-Options"))
}

// raw writes bytes on a connection of its own, says that there are no more, and
// gives all that came back.
func (w *doorway) raw(t *testing.T, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", w.addr)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	_, _ = io.WriteString(c, text) // The door may have hung up before all was said.
	_ = c.(*net.TCPConn).CloseWrite()
	answer, _ := io.ReadAll(c) // A reset is an end too.
	return string(answer)
}

// withSpool gives the door a disk.
func withSpool(t *testing.T, options spool.Options) (*spool.Spool, func(*starter.Options)) {
	t.Helper()
	options.Path = t.TempDir()
	s, err := spool.Open(options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, func(o *starter.Options) { o.Spool = s }
}

// read reads an answer to its end.
func read(t *testing.T, res *http.Response) reply {
	t.Helper()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return reply{status: res.StatusCode, header: res.Header, body: string(text)}
}
