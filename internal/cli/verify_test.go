package cli_test

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	zoomSecret = "a-secret-for-the-tests"
	zoomBody   = "{\"event\":\"meeting.started\",\n \"payload\":{\"object\":{\"uuid\":\"1\"}}}"
	zoomNow    = "1700000000"
)

// captured is a request of Zoom as it was on the wire, without a length where
// length is negative.
func captured(length int) string {
	m := hmac.New(sha256.New, []byte(zoomSecret))
	_, _ = m.Write([]byte("v0:" + zoomNow + ":" + zoomBody))
	head := "POST /webhooks/zoom HTTP/1.1\r\nHost: hooks.example.com\r\nx-zm-request-timestamp: " + zoomNow +
		"\r\nX-Zm-Signature: v0=" + hex.EncodeToString(m.Sum(nil)) + "\r\n"
	if length >= 0 {
		head += fmt.Sprintf("Content-Length: %d\r\n", length)
	}
	return head + "\r\n" + zoomBody
}

func TestVerifyJudgesACapturedRequest(t *testing.T) {
	rule := []string{"verify", "--provider", "zoom", "--secret", zoomSecret, "--now", zoomNow, "-"}
	headLF := func(request string) string {
		head, body, _ := strings.Cut(request, "\r\n\r\n")
		return strings.ReplaceAll(head, "\r\n", "\n") + "\n\n" + body
	}
	chunked := strings.Replace(captured(-1), "\r\n\r\n"+zoomBody, fmt.Sprintf("\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(zoomBody), zoomBody), 1)
	for _, test := range []struct {
		name, request string
		args          []string
		code          int
		out           string
	}{
		{"with a length", captured(len(zoomBody)), rule, 0, `valid: type "meeting.started", id ""`},
		{"with lines that end in LF", headLF(captured(len(zoomBody))), rule, 0, "valid: "},
		{"without a length", captured(-1), rule, 0, "valid: "},
		{"without a length and with LF", headLF(captured(-1)), rule, 0, "valid: "},
		{"in chunks", chunked, rule, 0, "valid: "},
		{"with an editor's line feed behind the body", captured(len(zoomBody)) + "\n", rule, 0, "valid: "},
		{"with a body that was changed", strings.Replace(captured(-1), "started", "stopped", 1), rule, 1, "not valid: signature-mismatch, at step signature: "},
		{"with another secret", captured(-1), []string{"verify", "--provider", "zoom", "--secret", "x", "--now", zoomNow, "-"}, 1, "signature-mismatch"},
		{"with two secrets of which one is right", captured(-1), append([]string{"verify", "--secret", "x"}, rule[1:]...), 0, "valid: "},
		{"with an editor's line feed and without a length", captured(-1) + "\n", rule, 1, "without the line end behind the body, which editors add, it is valid"},
		{"as a browser shows it", strings.Replace(captured(-1), "HTTP/1.1\r", "HTTP/2\r", 1), rule, 0, "valid: "},
		{"today", captured(-1), []string{"verify", "--provider", "zoom", "--secret", zoomSecret, "-"}, 1, "timestamp-too-old, at step window: "},
		{"today, with what to do", captured(-1), []string{"verify", "--provider", "zoom", "--secret", zoomSecret, "-"}, 1, "--now none leaves the window out"},
		{"at any time", captured(-1), []string{"verify", "--provider", "zoom", "--secret", zoomSecret, "--now", "none", "-"}, 0, "valid: "},
		{"at a time in words", captured(-1), []string{"verify", "--provider", "zoom", "--secret", zoomSecret, "--now", "2023-11-14T22:13:20Z", "-"}, 0, "valid: "},
		{"with a narrower window", captured(-1), []string{"verify", "--provider", "zoom", "--secret", zoomSecret, "--now", "1700000060", "--tolerance", "30s", "-"}, 1, "timestamp-too-old"},
		{"without its signature", strings.Replace(captured(-1), "X-Zm-Signature", "X-Other", 1), rule, 1, "missing-signature, at step presence"},
		{"without its timestamp", strings.Replace(captured(-1), "x-zm-request-timestamp", "X-Other", 1), rule, 1, "missing-timestamp, at step timestamp"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := runWith(t, test.request, nil, test.args...)
			require.Equal(t, test.code, got.code, got.out+got.err)
			require.Contains(t, got.out, test.out)
			require.Empty(t, got.err)
			require.NotContains(t, got.out, zoomSecret)
		})
	}
	t.Run("from a file, as JSON, with what was signed", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "request.txt")
		require.NoError(t, os.WriteFile(file, []byte(captured(-1)), 0o600))
		got := run(t, nil, append(rule[:len(rule)-1:len(rule)-1], "--json", file)...)
		require.Zero(t, got.code)
		var ruling struct {
			Valid  bool
			Signed string
		}
		require.NoError(t, json.Unmarshal([]byte(got.out), &ruling))
		require.True(t, ruling.Valid)
		require.Equal(t, "v0:"+zoomNow+":"+zoomBody, ruling.Signed)
	})
	t.Run("by a source of the configuration", func(t *testing.T) {
		r := receive(t, zoomOnly)
		require.Zero(t, runWith(t, captured(-1), r.environ, "verify", "--source", "zoom", "--now", zoomNow, "-").code)
		got := runWith(t, captured(-1), r.environ, "verify", "--source", "nobody", "-")
		require.Equal(t, 2, got.code)
		require.Contains(t, got.err, `no source "nobody"`)
	})
	t.Run("by a source that knows its URL", func(t *testing.T) {
		r := receive(t, "sources:\n  hub:\n    provider: hubspot-v3\n    secrets: ["+zoomSecret+"]\n    url: https://hooks.example.com/h\n")
		m := hmac.New(sha256.New, []byte(zoomSecret))
		_, _ = m.Write([]byte("POSThttps://hooks.example.com/h?a=b{}1700000000000"))
		request := "POST /webhooks/hub?a=b HTTP/1.1\r\nHost: internal\r\nX-HubSpot-Request-Timestamp: 1700000000000\r\nX-HubSpot-Signature-v3: " + base64Of(m.Sum(nil)) + "\r\n\r\n{}"
		got := runWith(t, request, r.environ, "verify", "--source", "hub", "--now", zoomNow, "-")
		require.Zero(t, got.code, got.out+got.err)
	})
	t.Run("that is compressed", func(t *testing.T) {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, err := w.Write([]byte(`{"type":"a"}`))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		m := hmac.New(sha256.New, []byte(zoomSecret))
		_, _ = m.Write([]byte(`{"type":"a"}`))
		request := "POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nX-Signature: " + hex.EncodeToString(m.Sum(nil)) + "\r\n\r\n" + z.String()
		got := runWith(t, request, nil, "verify", "--provider", "stream", "--secret", zoomSecret, "-")
		require.Zero(t, got.code, got.out+got.err)
		require.Contains(t, got.out, `valid: type "a"`)
	})
	t.Run("that is signed and no JSON", func(t *testing.T) {
		m := hmac.New(sha256.New, []byte(zoomSecret))
		_, _ = m.Write([]byte("a=b"))
		request := "POST / HTTP/1.1\r\nHost: x\r\nX-Gitea-Signature: " + hex.EncodeToString(m.Sum(nil)) + "\r\nX-Gitea-Event: push\r\n\r\na=b"
		got := runWith(t, request, nil, "verify", "--provider", "gitea", "--secret", zoomSecret, "-")
		require.Equal(t, 1, got.code, got.out+got.err)
		require.Contains(t, got.out, "not valid: json, at step body")
	})
	t.Run("that is a handshake", func(t *testing.T) {
		request := "GET /webhooks/m?hub.mode=subscribe&hub.challenge=123&hub.verify_token=right HTTP/1.1\r\nHost: x\r\n\r\n"
		args := []string{"verify", "--provider", "meta", "--secret", zoomSecret, "--param", "verify_token=right", "-"}
		got := runWith(t, request, nil, args...)
		require.Zero(t, got.code, got.out+got.err)
		require.Contains(t, got.out, `valid: the handshake subscribe, answered with 200 and the body "123"`)
		require.Equal(t, 1, runWith(t, strings.Replace(request, "right", "wrong", 1), nil, args...).code)
	})
	t.Run("by a preset whose settings have defaults", func(t *testing.T) {
		request := "POST / HTTP/1.1\r\nHost: x\r\nX-Webhook-Token: " + zoomSecret + "\r\n\r\n{}"
		args := []string{"verify", "--provider", "generic-token", "--secret", zoomSecret, "-"}
		require.Zero(t, runWith(t, request, nil, args...).code)
		got := runWith(t, strings.Replace(request, "X-Webhook-Token", "X-Own", 1), nil, append(args, "--param", "token_header=X-Own")...)
		require.Zero(t, got.code, got.out+got.err)
		got = runWith(t, request, nil, append(args, "--param", "other=X-Own")...)
		require.NotContains(t, got.err, "header name", "the setting that is not given keeps its default")
	})
	t.Run("whose signature covers the URL", func(t *testing.T) {
		m := hmac.New(sha256.New, []byte(zoomSecret))
		_, _ = m.Write([]byte("POSThttps://hooks.example.com/h?a=b{}1700000000000"))
		request := "POST /h?a=b HTTP/1.1\r\nHost: internal\r\nX-HubSpot-Request-Timestamp: 1700000000000\r\nX-HubSpot-Signature-v3: " + base64Of(m.Sum(nil)) + "\r\n\r\n{}"
		args := []string{"verify", "--provider", "hubspot-v3", "--secret", zoomSecret, "--now", zoomNow, "-"}
		require.Equal(t, 1, runWith(t, request, nil, args...).code)
		got := runWith(t, request, nil, append(args, "--url", "https://hooks.example.com/h?a=b")...)
		require.Zero(t, got.code, got.out)
	})
}

func TestVerifySaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		name, stdin string
		args        []string
		code        int
		err         string
	}{
		{"no file", "", []string{"verify", "--provider", "zoom"}, 2, "name the file"},
		{"two files", "", []string{"verify", "a", "b"}, 2, "arg"},
		{"no rule", "", []string{"verify", "-"}, 2, "--provider or --source"},
		{"a provider that is none", "", []string{"verify", "--provider", "nobody", "-"}, 2, `no provider "nobody"`},
		{"a time that is none", "", []string{"verify", "--provider", "zoom", "--now", "noon", "-"}, 2, "neither unix seconds nor RFC 3339"},
		{"a setting without a value", "", []string{"verify", "--provider", "zoom", "--param", "a", "-"}, 2, "NAME=VALUE"},
		{"a file that is not there", "", []string{"verify", "--provider", "zoom", "--secret", "s", "/nonexistent"}, 1, "/nonexistent"},
		{"no request", "hello", []string{"verify", "--provider", "zoom", "--secret", "s", "-"}, 1, "it must begin with a line such as POST"},
		{"nothing", " \n", []string{"verify", "--provider", "zoom", "--secret", "s", "-"}, 1, "standard input is empty"},
		{"no secret", captured(-1), []string{"verify", "--provider", "zoom", "--now", zoomNow, "-"}, 2, "--secret"},
		{"a secret that can't be read", captured(-1), []string{"verify", "--provider", "standard-webhooks", "--secret", "not base64", "-"}, 2, "--secret: "},
		{"a provider with a slip of the pen", "", []string{"verify", "--provider", "zomo", "-"}, 2, "did you mean zoom?"},
		{"a rule given twice", "", []string{"verify", "--provider", "zoom", "--source", "zoom", "-"}, 2, "leave --provider and --param out"},
		{"a setting that is none", captured(-1), []string{"verify", "--provider", "auth0", "--secret", "s", "--param", "a=b", "-"}, 2, "params.a"},
		{"no vectors", "[]", []string{"verify", "--vectors", "-"}, 1, "no vectors"},
		{"vectors that are none", "{}", []string{"verify", "--vectors", "-"}, 1, "no JSON array"},
		{"a body cut short", captured(1000), []string{"verify", "--provider", "zoom", "--secret", "s", "-"}, 1, "its Content-Length is 1000"},
		{"a length that is none", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", []string{"verify", "--provider", "zoom", "--secret", "s", "-"}, 1, "Content-Length"},
		{"a negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", []string{"verify", "--provider", "zoom", "--secret", "s", "-"}, 1, "Content-Length"},
		{"vectors that are not there", "", []string{"verify", "--vectors", "/nonexistent"}, 1, "read the vectors"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := runWith(t, test.stdin, nil, test.args...)
			require.Equal(t, test.code, got.code, got.out+got.err)
			require.Contains(t, got.err, test.err)
		})
	}
}

func TestVerifyProvesThePresetsByVectors(t *testing.T) {
	const vectors = "../provider/testdata/vectors.json"
	got := run(t, nil, "verify", "--vectors", vectors)
	require.Zero(t, got.code, got.out)
	require.Regexp(t, `\n[1-9][0-9]+ vectors, 0 disagree\n$`, got.out)
	require.NotContains(t, got.out, "FAIL")

	got = run(t, nil, "verify", "--json", "--vectors", vectors)
	require.Zero(t, got.code)
	for line := range strings.Lines(got.out) {
		require.True(t, json.Valid([]byte(line)))
	}

	text, err := os.ReadFile(vectors)
	require.NoError(t, err)
	wrong := filepath.Join(t.TempDir(), "wrong.json")
	require.NoError(t, os.WriteFile(wrong, []byte(strings.Replace(string(text), `"expect": "valid"`, `"expect": "invalid"`, 1)), 0o600))
	got = run(t, nil, "verify", "--vectors", wrong)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.out, ", 1 disagree\n")
	require.Equal(t, 1, strings.Count(got.out, "FAIL "))

	require.NoError(t, os.WriteFile(wrong, []byte("{"), 0o600))
	require.Equal(t, 1, run(t, nil, "verify", "--vectors", wrong).code)
}
