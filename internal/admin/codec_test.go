package admin_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/admin"
)

const webUI = "http://127.0.0.1:8233"

// withCodec is a listener whose codec answers with the path and body of the request.
func withCodec(t *testing.T, token string) *admin.Server {
	t.Helper()
	o := options()
	o.Token = token
	o.Codec = &admin.Codec{Origins: []string{webUI}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, r.URL.Path+" "+string(body))
	})}
	return serve(t, o)
}

func header(pairs ...string) func(*http.Request) {
	return func(r *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			r.Header.Set(pairs[i], pairs[i+1])
		}
	}
}

func TestTheCodecAnswersWhoMayAsk(t *testing.T) {
	open, closed := withCodec(t, ""), withCodec(t, "s3cret-s3cret-s3cret")
	key := admin.CodecPath("s3cret-s3cret-s3cret")
	for _, c := range []struct {
		name   string
		s      *admin.Server
		line   string
		change func(*http.Request)
		status int
	}{
		{"a program on this machine", open, "POST /codec/decode", nil, 200},
		{"the page of the Web UI", open, "POST /codec/decode", header("Origin", webUI, "Sec-Fetch-Site", "same-site"), 200},
		{"the page of the Web UI, to encode", open, "POST /codec/encode", header("Origin", webUI), 200},
		{"another page", open, "POST /codec/decode", header("Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site"), 403},
		{"a page by a name of its own", open, "POST /codec/decode", func(r *http.Request) { r.Host = "evil.example" }, 403},
		{"the page of the Web UI, for something else", open, "POST /spool/drain", header("Origin", webUI, "Sec-Fetch-Site", "same-site"), 403},
		{"a method that is none", open, "GET /codec/decode", nil, 405},
		{"a call that is none", open, "POST /codec/drain", nil, 404},
		{"who shows the token", closed, "POST /codec/decode", header("Authorization", "Bearer s3cret-s3cret-s3cret"), 200},
		{"who has the key", closed, "POST " + key + "/decode", nil, 200},
		{"the page of the Web UI with the key", closed, "POST " + key + "/decode", header("Origin", webUI), 200},
		{"the page of the Web UI without it", closed, "POST /codec/decode", header("Origin", webUI), 401},
		{"who has nothing", closed, "POST /codec/decode", nil, 401},
		{"who has another key", closed, "POST " + admin.CodecPath("other") + "/decode", nil, 401},
		{"who has the key, for something else", closed, "POST " + key + "/../../spool/drain", nil, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := request(t, c.s, c.line, c.change)
			require.Equal(t, c.status, got.status, got.body)
			if c.status == 200 {
				require.Contains(t, got.body, strings.TrimPrefix(c.line[strings.LastIndex(c.line, "/"):], "POST "))
			}
		})
	}
}

func TestABrowserLearnsWhetherItMayAskTheCodec(t *testing.T) {
	asks := func(origin string) func(*http.Request) {
		return header("Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,x-namespace")
	}
	for name, token := range map[string]string{"without a token": "", "with one": "s3cret-s3cret-s3cret"} {
		s := withCodec(t, token)
		line := "OPTIONS " + admin.CodecPath(token) + "/decode"
		t.Run("the page of the Web UI "+name, func(t *testing.T) {
			got := request(t, s, line, asks(webUI))
			require.Equal(t, http.StatusNoContent, got.status)
			require.Equal(t, webUI, got.header.Get("Access-Control-Allow-Origin"))
			require.Contains(t, got.header.Get("Access-Control-Allow-Headers"), "X-Namespace")
			require.Equal(t, "Origin", got.header.Get("Vary"))
		})
		t.Run("another page "+name, func(t *testing.T) {
			for _, origin := range []string{"http://evil.example", "null", webUI + "0"} {
				got := request(t, s, line, asks(origin))
				require.Empty(t, got.header.Get("Access-Control-Allow-Origin"))
			}
		})
	}
}

func TestTheCodecIsGivenNoMoreThanIsBounded(t *testing.T) {
	s := withCodec(t, "")
	got := request(t, s, "POST /codec/decode", func(r *http.Request) {
		r.Body = io.NopCloser(strings.NewReader(strings.Repeat("a", 9<<20)))
		r.ContentLength = -1
	})
	require.Equal(t, http.StatusBadRequest, got.status)
}
