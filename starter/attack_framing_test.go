package starter_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/starter"
)

// hidden is a request that an attacker hides in another one, which nobody may
// read as a request.
const hidden = "GET /webhooks/hidden HTTP/1.1\r\nHost: x\r\n\r\n"

// statuses are the answers on a connection.
func statuses(answer string) []int {
	var all []int
	r := bufio.NewReader(strings.NewReader(answer))
	for {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return all
		}
		all = append(all, res.StatusCode)
		_, err = io.Copy(io.Discard, res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return all // An answer to HEAD says a length and has no body.
		}
	}
}

func TestARequestThatCanBeReadInTwoWaysIsRefusedAndNothingBehindItIsRead(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	body := meeting("1")
	signed := ""
	headers := signZoom(body, w.now.time(), goodSecret)
	for i := 0; i < len(headers); i += 2 {
		signed += headers[i] + ": " + headers[i+1] + "\r\n"
	}
	length := fmt.Sprintf("Content-Length: %d\r\n", len(body))
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	const line = "POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\n"
	for name, request := range map[string]string{
		"a length and chunks":                  line + signed + length + "Transfer-Encoding: chunked\r\n\r\n" + chunked,
		"chunks and a length":                  line + signed + "Transfer-Encoding: chunked\r\n" + length + "\r\n" + chunked,
		"a length of zero and chunks":          line + signed + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
		"two lengths":                          line + signed + "Content-Length: 0\r\n" + length + "\r\n" + body,
		"two lengths that agree":               line + signed + length + length + "\r\n" + body,
		"a list of lengths":                    line + signed + fmt.Sprintf("Content-Length: %d, %d\r\n\r\n%s", len(body), len(body), body),
		"a length with a sign":                 line + signed + fmt.Sprintf("Content-Length: +%d\r\n\r\n%s", len(body), body),
		"a negative length":                    line + signed + "Content-Length: -1\r\n\r\n" + body,
		"a hexadecimal length":                 line + signed + fmt.Sprintf("Content-Length: 0x%x\r\n\r\n%s", len(body), body),
		"a length past all numbers":            line + signed + "Content-Length: 99999999999999999999999\r\n\r\n" + body,
		"a length of another name":             line + signed + "Content-Length : 0\r\n" + length + "\r\n" + body,
		"a length with a tab before the colon": line + signed + "Content-Length\t: 0\r\n" + length + "\r\n" + body,
		"a coding that is not known":           line + signed + "Transfer-Encoding: xchunked\r\n\r\n" + chunked,
		"two codings":                          line + signed + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunked,
		"two lines of codings":                 line + signed + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunked,
		"identity and a length":                line + signed + "Transfer-Encoding: identity\r\n" + length + "\r\n" + body,
		"a coding with a vertical tab":         line + signed + "Transfer-Encoding: \vchunked\r\n\r\n" + chunked,
		"a coding behind a folded line":        line + signed + "X-A: b\r\n Transfer-Encoding: chunked\r\n" + length + "\r\n" + body,
		"a folded coding":                      line + signed + "Transfer-Encoding:\r\n chunked\r\n\r\n" + chunked,
		"a folded signature":                   line + "x-zm-signature:\r\n " + headers[1] + "\r\nx-zm-request-timestamp: " + headers[3] + "\r\n" + length + "\r\n" + body,
		"a bare carriage return in a field":    line + signed + "X-A: b\rContent-Length: 0\r\n" + length + "\r\n" + body,
		"a bare line feed":                     line + signed + "X-A: b\n" + length + "\r\n" + body,
		"a NUL in a field":                     line + signed + "X-A: b\x00\r\n" + length + "\r\n" + body,
		"a line without a colon":               line + signed + "Content-Length\r\n" + length + "\r\n" + body,
		"a field without a name":               line + signed + ": b\r\n" + length + "\r\n" + body,
		"a name that is none":                  line + signed + "X(A): b\r\n" + length + "\r\n" + body,
		"two hosts":                            line + "Host: y\r\n" + signed + length + "\r\n" + body,
		"no host":                              "POST /webhooks/zoom HTTP/1.1\r\n" + signed + length + "\r\n" + body,
		"HTTP/1.0 with chunks":                 "POST /webhooks/zoom HTTP/1.0\r\nConnection: keep-alive\r\n" + signed + "Transfer-Encoding: chunked\r\n\r\n" + chunked,
		"another protocol":                     "POST /webhooks/zoom HTTP/3.0\r\nHost: x\r\n" + signed + length + "\r\n" + body,
	} {
		t.Run(name, func(t *testing.T) {
			got := statuses(w.raw(t, request+hidden))
			require.Len(t, got, 1, "one request, one answer")
			require.Equal(t, http.StatusBadRequest, got[0])
		})
	}
	starts, _, _ := engine.calls()
	require.Zero(t, starts)
	t.Run("while the same request said plainly is taken, and the next one too", func(t *testing.T) {
		require.Equal(t, []int{200, 404}, statuses(w.raw(t, line+signed+length+"\r\n"+body+hidden)))
		require.Equal(t, []int{200, 404}, statuses(w.raw(t, line+signed+"Transfer-Encoding: chunked\r\n\r\n"+chunked+hidden)))
		require.Equal(t, []int{200, 404}, statuses(w.raw(t, line+signed+"transfer-encoding:CHUNKED\r\n\r\n"+chunked+hidden)))
	})
}

func TestABadChunkEndsTheConnection(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSources...))
	for name, chunks := range map[string]string{
		"a size that is no number":        "xyz\r\nabc\r\n0\r\n\r\n",
		"a negative size":                 "-1\r\nabc\r\n0\r\n\r\n",
		"a size past all numbers":         "ffffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
		"an empty size":                   "\r\nabc\r\n0\r\n\r\n",
		"a chunk longer than its size":    "2\r\nabc\r\n0\r\n\r\n",
		"a chunk shorter than its size":   "9\r\nabc\r\n0\r\n\r\n",
		"a size with a prefix":            "0x3\r\nabc\r\n0\r\n\r\n",
		"no last chunk":                   "3\r\nabc\r\n",
		"a size that ends in a line feed": "3\nabc\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := statuses(w.raw(t, "POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+chunks+hidden))
			require.LessOrEqual(t, len(got), 1)
			require.NotContains(t, got, http.StatusNotFound, "what follows is not read as a request")
			require.NotContains(t, got, http.StatusOK)
		})
	}
	starts, _, _ := engine.calls()
	require.Zero(t, starts)
}

func TestATrailerAddsNothing(t *testing.T) {
	w, _ := openFake(t, yaml("trusted_proxies: [127.0.0.1]\n", doorSource("zoom", "zoom", goodSecret, "allow_ips: [192.0.2.0/24]"), doorSource("open", "zoom", goodSecret)))
	body := meeting("1")
	h := signZoom(body, w.now.time(), goodSecret)
	request := func(source, trailer string) string {
		return fmt.Sprintf("POST /webhooks/%s HTTP/1.1\r\nHost: x\r\n%s: %s\r\n%s: %s\r\nTransfer-Encoding: chunked\r\nTrailer: X-Forwarded-For\r\n\r\n%x\r\n%s\r\n0\r\n%s\r\n",
			source, h[0], h[1], h[2], h[3], len(body), body, trailer)
	}
	require.Subset(t, []int{400, 403}, statuses(w.raw(t, request("zoom", "X-Forwarded-For: 192.0.2.1\r\n"))))
	require.Subset(t, []int{200, 400}, statuses(w.raw(t, request("open", "X-Anything: 1\r\n"))))
	require.NotContains(t, statuses(w.raw(t, request("open", "x-zm-signature: v0=00\r\n"))), 500)
}

func TestWhatFollowsARefusedBodyIsNoRequest(t *testing.T) {
	w, _ := openFake(t, yaml("", doorSource("zoom", "zoom", goodSecret, "max_body: 1000"), doorSource("meta", "meta", goodSecret)))
	for name, request := range map[string]string{
		"an unknown source":          fmt.Sprintf("POST /webhooks/none HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(hidden)),
		"no path of ours":            fmt.Sprintf("POST /else HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(hidden)),
		"a wrong method":             fmt.Sprintf("PUT /webhooks/zoom HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(hidden)),
		"a body of GET":              fmt.Sprintf("GET /webhooks/meta HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(hidden)),
		"a handshake by GET":         fmt.Sprintf("GET /webhooks/meta?hub.mode=subscribe&hub.challenge=1&hub.verify_token=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", goodSecret, len(hidden)),
		"a body of a made-up method": fmt.Sprintf("MADEUP /webhooks/zoom HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", 8192+len(hidden), strings.Repeat("x", 8192)),
		"a long body of GET":         fmt.Sprintf("GET /webhooks/meta HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", 30000+len(hidden), strings.Repeat("x", 30000)),
		"a body of HEAD":             fmt.Sprintf("HEAD /webhooks/zoom HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(hidden)),
		"chunks of GET":              "GET /webhooks/meta HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
		"a length too large":         "POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
		"chunks that are":            "POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + strings.Repeat("x", 2000-len(hidden)),
		"an expectation":             fmt.Sprintf("POST /webhooks/none HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(hidden)),
		"a strange expectation":      fmt.Sprintf("POST /webhooks/none HTTP/1.1\r\nHost: x\r\nExpect: nothing\r\nContent-Length: %d\r\n\r\n", len(hidden)),
	} {
		t.Run(name, func(t *testing.T) {
			answer := w.raw(t, request+hidden)
			got := statuses(strings.TrimPrefix(answer, "HTTP/1.1 100 Continue\r\n\r\n"))
			require.LessOrEqual(t, len(got), 1, answer)
		})
	}
}

func TestBodiesThatAreNotAsLongAsTheySay(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSource("zoom", "zoom", goodSecret, "max_body: 1000")))
	post := func(length int, body string) []int {
		h := signZoom(body, w.now.time(), goodSecret)
		return statuses(w.raw(t, fmt.Sprintf("POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\n%s: %s\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s", h[0], h[1], h[2], h[3], length, body)))
	}
	body := meeting("1")
	require.NotContains(t, post(len(body)+5, body), 200, "cut short")
	require.NotContains(t, post(len(body)-5, body), 200, "longer than it says")
	starts, _, _ := engine.calls()
	require.Zero(t, starts)

	exact := strings.Replace(body, "Weekly", strings.Repeat("x", 1000-len(body)+6), 1)
	require.Len(t, exact, 1000)
	require.Equal(t, []int{200}, post(1000, exact), "the bound is inside")
	require.Equal(t, []int{413}, post(1001, exact+" "))
	chunked := func(body string) []int {
		h := signZoom(body, w.now.time(), goodSecret)
		text := fmt.Sprintf("POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\n%s: %s\r\n%s: %s\r\nTransfer-Encoding: chunked\r\n\r\n", h[0], h[1], h[2], h[3])
		for rest := body; rest != ""; {
			n := min(len(rest), 7)
			text += fmt.Sprintf("%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		return statuses(w.raw(t, text+"0\r\n\r\n"))
	}
	require.Equal(t, []int{200}, chunked(exact))
	require.Equal(t, []int{413}, chunked(exact+" "))
}

func TestCompressedBodiesAreTakenAsTheyCame(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSource("zoom", "zoom", goodSecret), doorSource("stream", "stream", goodSecret, "max_body: 100KB")))
	var bomb strings.Builder
	z := gzip.NewWriter(&bomb)
	_, err := io.CopyN(z, zeros{}, 50<<20)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	t.Run("the raw bytes are what is signed", func(t *testing.T) {
		headers := append(signZoom(bomb.String(), w.now.time(), goodSecret), "Content-Encoding", "gzip")
		w.post(t, "zoom", bomb.String(), headers...).refused(t, http.StatusBadRequest, "Invalid JSON body")
	})
	t.Run("a coding that is no coding changes nothing", func(t *testing.T) {
		for i, coding := range []string{"gzip", "br", "deflate", "gzip, gzip, gzip", "zstd", "identity"} {
			body := meeting(fmt.Sprint(i))
			w.post(t, "zoom", body, append(signZoom(body, w.now.time(), goodSecret), "Content-Encoding", coding)...).taken(t)
			require.Equal(t, body, string(engine.last(t).body.GetData()))
		}
	})
	t.Run("a sender that compresses is bounded by what comes out", func(t *testing.T) {
		require.Less(t, bomb.Len(), 100_000)
		r := w.post(t, "stream", bomb.String(), "Content-Encoding", "gzip", "X-Signature", strings.Repeat("0", 64))
		r.refused(t, http.StatusRequestEntityTooLarge, "Body too large")
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestAnUnansweredExpectationDoesNotHold(t *testing.T) {
	w, _ := openFake(t, yaml("", doorSources...))
	c, err := net.Dial("tcp", w.addr)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	body := meeting("1")
	h := signZoom(body, w.now.time(), goodSecret)
	_, err = fmt.Fprintf(c, "POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n%s: %s\r\n%s: %s\r\nContent-Length: %d\r\n\r\n", h[0], h[1], h[2], h[3], len(body))
	require.NoError(t, err)
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
	_, err = r.ReadString('\n')
	require.NoError(t, err)
	_, err = io.WriteString(c, body)
	require.NoError(t, err)
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	read(t, res).taken(t)
}

func TestASenderOfTooMuchHearsIt(t *testing.T) {
	w, _ := openFake(t, yaml("", doorSource("zoom", "zoom", goodSecret, "max_body: 1000")))
	body := strings.Repeat("x", 3<<20)
	for range 20 {
		w.post(t, "zoom", body).refused(t, http.StatusRequestEntityTooLarge, "Body too large")
	}
	chunks := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	require.Equal(t, []int{413}, statuses(w.raw(t, "POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+chunks)))
}

// gzipped is a body compressed, once or again and again.
func gzipped(t *testing.T, body []byte, times int) string {
	t.Helper()
	for range times {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := z.Write(body)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		body = b.Bytes()
	}
	return string(body)
}

func TestABombThatIsSmallerThanTheBoundOnBodiesTakesNoMemory(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSource("stream", "stream", goodSecret, "max_body: 100KB")))
	once := gzipped(t, make([]byte, 64<<20), 1)
	members := strings.Repeat(gzipped(t, make([]byte, 1<<20), 1), 60)
	for name, bomb := range map[string]string{"a stream": once, "many streams": members, "a stream within streams": gzipped(t, []byte(once), 3)} {
		t.Run(name, func(t *testing.T) {
			require.Less(t, len(bomb), 100_000, "it is read whole and decompressed")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range 20 {
				r := w.post(t, "stream", bomb, "Content-Encoding", "gzip", "X-Signature", strings.Repeat("0", 64))
				require.Contains(t, []int{http.StatusRequestEntityTooLarge, http.StatusUnauthorized, http.StatusForbidden}, r.status)
			}
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(60<<20), "of 1.2 GiB")
		})
	}
	starts, _, _ := engine.calls()
	require.Zero(t, starts)
}

func TestTrailersAreNoHeaders(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSource("zoom", "zoom", goodSecret), doorSource("token", "generic-token", goodSecret)))
	body := meeting("1")
	h := signZoom(body, w.now.time(), goodSecret)
	post := func(source, head, trailer string) []int {
		return statuses(w.raw(t, fmt.Sprintf("POST /webhooks/%s HTTP/1.1\r\nHost: x\r\n%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n%s\r\n%s",
			source, head, len(body), body, trailer, hidden)))
	}
	signed := fmt.Sprintf("%s: %s\r\n%s: %s\r\n", h[0], h[1], h[2], h[3])
	require.Equal(t, []int{401, 404}, post("zoom", "", signed))
	require.Equal(t, []int{401, 404}, post("zoom", fmt.Sprintf("Trailer: %s, %s\r\n", h[0], h[2]), signed))
	require.Equal(t, []int{401, 404}, post("token", "Trailer: X-Webhook-Token\r\n", "X-Webhook-Token: "+goodSecret+"\r\n"))
	starts, _, _ := engine.calls()
	require.Zero(t, starts)
	require.Equal(t, []int{200, 404}, post("zoom", signed, "X-Checksum: 1\r\nContent-Type: text/html\r\n"), "a trailer that is there is left alone")
	require.Empty(t, engine.last(t).event.DataContentType)
	for name, trailer := range map[string]string{
		"a line feed alone": "X-A: b\n", "no field": "nothing\r\n", "a name that is none": "X(A): b\r\n", "too much of it": strings.Repeat("X-A: b\r\n", 2000),
		"a carriage return": "X-A: b\rc\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			got := post("zoom", signed, trailer)
			require.Equal(t, []int{400}, got)
		})
	}
}

func TestChunksThatCanBeReadInTwoWaysAreRefused(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSource("zoom", "zoom", goodSecret)))
	body := meeting("1")
	h := signZoom(body, w.now.time(), goodSecret)
	post := func(size, end string) []int {
		return statuses(w.raw(t, fmt.Sprintf("POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\n%s: %s\r\n%s: %s\r\nTransfer-Encoding: chunked\r\n\r\n%s%s%s0\r\n\r\n%s",
			h[0], h[1], h[2], h[3], size, body, end, hidden)))
	}
	size := fmt.Sprintf("%x", len(body))
	for name, line := range map[string]string{
		"a line feed in an extension":       size + ";a\nb\r\n",
		"a line feed before the end":        size + ";\n\r\n",
		"a carriage return in an extension": size + ";a\rb\r\n",
		"a NUL":                             size + ";a\x00\r\n",
		"a line feed alone":                 size + "\n",
		"a very long extension":             size + ";" + strings.Repeat("a", 300) + "\r\n",
		"an underscore":                     size[:1] + "_" + size[1:] + "\r\n",
		"a sign":                            "+" + size + "\r\n",
		"a space before it":                 " " + size + "\r\n",
		"past all numbers":                  "1" + strings.Repeat("0", 16) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, []int{400}, post(line, "\r\n")) })
	}
	require.Equal(t, []int{400}, post(size+"\r\n", "xx"), "no end of the chunk")
	starts, _, _ := engine.calls()
	require.Zero(t, starts)
	require.Equal(t, []int{200, 404}, post(size+";name=value;other=\"text\"\r\n", "\r\n"), "an extension means nothing to us")
}

func TestARequestLineSaysItsVersion(t *testing.T) {
	w, engine := openFake(t, yaml("", doorSource("zoom", "zoom", goodSecret)))
	body := meeting("1")
	h := signZoom(body, w.now.time(), goodSecret)
	rest := fmt.Sprintf("Host: x\r\n%s: %s\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s", h[0], h[1], h[2], h[3], len(body), body)
	for name, text := range map[string]string{
		"none":                         "POST /webhooks/zoom\r\n" + rest,
		"none behind empty lines":      "\r\n\r\nPOST /webhooks/zoom\r\n" + rest,
		"a line feed alone":            "POST /webhooks/zoom HTTP/1.1\n" + rest,
		"and no other connection type": "POST /webhooks/zoom HTTP/0.9\r\n" + rest,
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, []int{400}, statuses(w.raw(t, text+hidden))) })
	}
	starts, _, _ := engine.calls()
	require.Zero(t, starts)
	got := statuses(w.raw(t, "POST /webhooks/zoom HTTP/1.1\r\n"+rest+"POST /webhooks/zoom\r\n"+rest+hidden))
	require.Equal(t, []int{200, 400}, got, "nor the second of a connection")
	require.Equal(t, []int{200}, statuses(w.raw(t, "POST /webhooks/zoom HTTP/1.0\r\n"+rest+hidden)))
}

func FuzzChunks(f *testing.F) {
	for _, seed := range []string{"3\r\nabc\r\n0\r\n\r\n", "0\r\nA: b\r\n\r\n", "1;x=y\r\na\r\n00\r\n\r\nGET", "fffffffffffffff\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		in := bytes.NewReader(text)
		ours, err := io.ReadAll(starter.Chunks(in))
		if err != nil {
			return
		}
		// What we take, the standard library takes, reads the same, and ends at the same place.
		r := bufio.NewReader(bytes.NewReader(append([]byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"), text...)))
		req, err := http.ReadRequest(r)
		require.NoError(t, err)
		theirs, err := io.ReadAll(req.Body)
		require.NoError(t, err)
		require.Equal(t, theirs, ours)
		rest, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, len(rest), in.Len())
	})
}
