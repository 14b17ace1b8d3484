package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"path"
	"slices"
)

// Codec is the codec server for Temporal's Web UI and the temporal command: it decompresses stored
// payloads.
type Codec struct {
	// Handler serves paths that end in /decode and /encode; see
	// converter.NewPayloadCodecHTTPHandler.
	Handler http.Handler
	// Origins are the origins of Web UIs whose pages may use the codec, for example
	// http://127.0.0.1:8233.
	Origins []string
}

const pathCodec = "/codec"

// maxCodecBytes bounds the body of a request: Temporal's largest message, in base64.
const maxCodecBytes = 8 << 20

// CodecPath returns the path of the codec for a Web UI. A Web UI can't send the admin token. So if
// there is a token, the path ends in a key derived from it, which opens the codec and nothing else.
func CodecPath(token string) string {
	if token == "" {
		return pathCodec
	}
	mac := hmac.New(sha256.New, []byte(token))
	_, _ = mac.Write([]byte("grapnel codec"))
	return pathCodec + "/" + hex.EncodeToString(mac.Sum(nil)[:16])
}

func (c *Codec) routes() []Route {
	bounded := http.MaxBytesHandler(c.Handler, maxCodecBytes)
	return []Route{
		{"POST " + pathCodec + "/decode", "reads compressed payloads, for temporal's --codec-endpoint", bounded},
		{"POST " + pathCodec + "/encode", "compresses payloads as grapnel does, for the same", bounded},
	}
}

// open serves codec requests of the known Web UIs' pages and of callers with the key. All other
// requests go to the guard.
func (c *Codec) open(token string, mux, guarded http.Handler) http.Handler {
	keyed, hosts := CodecPath(token), guard{local: true}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dir, call := path.Dir(r.URL.Path), path.Base(r.URL.Path)
		hasKey := subtle.ConstantTimeCompare([]byte(dir), []byte(keyed)) == 1
		if !hasKey && dir != pathCodec || call != "decode" && call != "encode" {
			guarded.ServeHTTP(w, r)
			return
		}
		known := c.allow(w.Header(), r.Header.Get("Origin"))
		switch {
		case known && r.Method == http.MethodOptions: // A browser's preflight, which carries no credentials.
			w.WriteHeader(http.StatusNoContent)
		case hasKey && token != "":
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = pathCodec+"/"+call, ""
			mux.ServeHTTP(w, r)
		case known && token == "" && hosts.knows(r.Host):
			mux.ServeHTTP(w, r)
		default:
			guarded.ServeHTTP(w, r)
		}
	})
}

// allow writes the CORS headers for a known origin, with the headers that Temporal's Web UI sends.
// It tells whether the origin is known.
func (c *Codec) allow(h http.Header, origin string) bool {
	h.Add("Vary", "Origin")
	if !slices.Contains(c.Origins, origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Methods", http.MethodPost)
	h.Set("Access-Control-Allow-Headers", "Content-Type, X-Namespace, Authorization, Authorization-Extras")
	h.Set("Access-Control-Max-Age", "600")
	return true
}
