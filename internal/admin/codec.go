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

// Codec makes stored payloads readable: it is the codec server of the Temporal
// Web UI and of the temporal command.
type Codec struct {
	// Handler answers paths that end in /decode and /encode, as that of
	// converter.NewPayloadCodecHTTPHandler does.
	Handler http.Handler
	// Origins are those of the Web UIs whose pages may ask, as
	// http://127.0.0.1:8233.
	Origins []string
}

const pathCodec = "/codec"

// maxCodecBytes bounds a request: Temporal's largest message, in base64.
const maxCodecBytes = 8 << 20

// CodecPath is the path of the codec for a Web UI. That can't show a token, so
// where there is one the path ends in a key that is made of it, which lets in to
// the codec and to nothing else.
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

// open lets the pages of the known Web UIs in to the codec, and who has the key.
// Every other request meets the guard.
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
		case known && r.Method == http.MethodOptions: // A browser asks first, without what it would show.
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

// allow tells a browser that the page of a known origin may ask with the headers
// that Temporal's Web UI sends.
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
