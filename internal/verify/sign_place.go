package verify

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
)

// splice replaces a value in the body, a string by a string.
func (w *signer) splice(path jsonPath, text string) error {
	at, ok, _ := path.find(w.r.Body, true)
	if !ok {
		return errors.New("the body lacks the place of the signature or the timestamp")
	}
	if w.r.Body[at.from] == '"' || !isDigits(text) {
		text = strconv.Quote(text)
	}
	body := append([]byte{}, w.r.Body[:at.from]...)
	body = append(body, text...)
	w.r.Body = append(body, w.r.Body[at.to:]...)
	return nil
}

func isDigits(s string) bool {
	_, ok := parseUnix(s)
	return ok
}

// place writes the signature where the sender's stands.
func (w *signer) place(raw []byte) (Additions, error) {
	sig := &w.v.p.Signature
	text := encode(sig.Encoding, raw)
	switch sig.Grammar {
	case grammarKV:
		w.kv = append(w.kv, sig.Keys[0]+"="+text)
		text = strings.Join(w.kv, sig.Separator)
	case grammarList:
		text = sig.Keys[0] + "," + text
	default:
		text = sig.Prefix + text
	}
	switch {
	case len(w.v.headers) > 0:
		w.add(w.v.headers[0], text)
	case sig.Pattern != "":
		w.add(w.v.patternHead+"1"+w.v.patternTail, text)
	default:
		if p := w.v.from[0].places[0]; p.kind == placeBody {
			if err := w.splice(p.path, text); err != nil {
				return Additions{}, err
			}
		}
	}
	return Additions{Headers: w.over.lines, Body: w.r.Body}, nil
}

// showToken writes credentials.
func (w *signer) showToken(s Secret) (Additions, error) {
	if w.v.each != nil {
		err := w.showEach(s.Value)
		return Additions{Body: w.r.Body}, err
	}
	if len(w.v.headers) == 0 {
		if p := w.v.from[0].places[0]; p.kind == placeBody {
			err := w.splice(p.path, s.Value)
			return Additions{Body: w.r.Body}, err
		}
		return Additions{}, errors.New("the token of this sender stands in the URL; add it there")
	}
	text := s.Value
	switch w.v.p.Algorithm {
	case algBearer:
		text = "Bearer " + text
	case algBasic:
		text = "Basic " + base64.StdEncoding.EncodeToString([]byte(text))
	default:
		text = w.v.p.Signature.Prefix + text
	}
	w.add(w.v.headers[0], text)
	return Additions{Headers: w.over.lines}, nil
}

// nonce is a text that no other request has.
func nonce() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // Never fails, see its documentation.
	return hex.EncodeToString(b[:])
}
