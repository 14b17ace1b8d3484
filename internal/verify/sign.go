package verify

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Sign makes what a genuine sender would add to a request at a time: the signature, and the
// signed headers that the request lacks. For public-key schemes the secret is the private key: a
// seed or key written as the profile's key is, PKCS #8 or SEC 1 for spki. A signature or
// timestamp that belongs into the body is written there; the body must have the place for it.
func (v *Verifier) Sign(r *Request, s Secret, now time.Time) (Additions, error) {
	if v.p.Algorithm == algNone {
		return Additions{}, nil
	}
	coded, signs := v.coded.(CodedSigner)
	switch {
	case v.coded != nil && !signs:
		return Additions{}, errors.New("nobody but the sender can sign; let it send a test event of its own")
	case s.Value == "":
		return Additions{}, errEmptyKey
	case signs:
		return coded.Sign(r, s, now)
	}
	copied := *r
	w := &signer{v: v, r: &copied, over: &headerOverlay{base: r.Header}}
	copied.Header = w.over
	if v.token() {
		return w.showToken(s)
	}
	return w.sign(s, now)
}

// headerOverlay is the header of a request with some lines added.
type headerOverlay struct {
	base  Header
	lines []HeaderLine
}

// Values implements Header.
func (h *headerOverlay) Values(name string) []string {
	for _, l := range h.lines {
		if strings.EqualFold(l.Name, name) {
			return []string{l.Value}
		}
	}
	if h.base == nil {
		return nil
	}
	return h.base.Values(name)
}

// Names implements Header.
func (h *headerOverlay) Names() []string {
	var names []string
	if h.base != nil {
		names = h.base.Names()
	}
	for _, l := range h.lines {
		names = append(names, l.Name)
	}
	return names
}

type signer struct {
	v    *Verifier
	r    *Request
	over *headerOverlay
	kv   []string // pairs of the signature header, in order
}

func (w *signer) add(name, value string) {
	w.over.lines = append(w.over.lines, HeaderLine{name, value})
}

// supply writes a text to the first place of a source, unless there is one already.
func (w *signer) supply(s source, replace bool, text func() string) error {
	if len(s) == 0 || len(s[0].places) != 1 {
		return nil
	}
	switch p := &s[0].places[0]; p.kind {
	case placeHeader:
		if _, n := singleText(w.over.Values(p.name)); n == absent {
			w.add(p.name, text())
		}
	case placeKey:
		w.kv = append(w.kv, p.name+"="+text())
	case placeBody:
		if replace {
			return w.splice(p.path, text())
		}
	default: // What stands in the URL or a form is the caller's.
	}
	return nil
}

func (w *signer) sign(s Secret, now time.Time) (Additions, error) {
	v := w.v
	if err := w.supply(v.id, false, func() string { return "msg_" + nonce() }); err != nil {
		return Additions{}, err
	}
	if err := w.supply(v.stamp, true, func() string { return formatTime(v.p.Timestamp.Format, now) }); err != nil {
		return Additions{}, err
	}
	_ = w.supply(v.keyID, false, func() string { // A header: never fails.
		if s.KeyID == "" {
			return nonce() // A secret without a name is tried for every one.
		}
		return s.KeyID
	})
	for i := range v.guards {
		if g := &v.guards[i]; !g.optional {
			_ = w.supply(g.source, false, func() string { return g.equals[0] })
		}
	}
	for i := range v.content {
		if p := &v.content[i]; p.kind == partPlace && p.place.kind == placeHeader {
			_ = w.supply(source{{places: []place{p.place}}}, false, nonce)
		}
	}
	q := v.open(w.r)
	defer q.close()
	q.kv = strings.Join(w.kv, v.separator)
	if f := q.prepare(timestampWindow{}); f != nil {
		return Additions{}, f
	}
	raw, err := q.makeSignature(s)
	if err != nil {
		return Additions{}, err
	}
	return w.place(raw)
}

// makeSignature signs the content.
func (q *reading) makeSignature(s Secret) ([]byte, error) {
	switch kind := q.v.p.Key; q.v.p.Algorithm {
	case algEd25519:
		k, err := privateEd25519(kind, s.Value)
		if err != nil {
			return nil, err
		}
		return ed25519.Sign(k, q.appendContent(nil, "")), nil
	case algECDSA:
		k, err := privateECDSA(kind, s.Value)
		if err != nil {
			return nil, err
		}
		h := sha256.New()
		q.writeContent(h, "")
		return ecdsa.SignASN1(rand.Reader, k, h.Sum(nil))
	default:
		k := q.v.key(s.Value)
		if k.err != nil {
			return nil, k.err
		}
		return append([]byte{}, q.digest(k, s.Value)...), nil
	}
}

// splice replaces a string in the body.
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
	_, ok := parseUnix(formatMillis, s)
	return ok
}

// place writes the signature where the sender would.
func (w *signer) place(raw []byte) (Additions, error) {
	sig := &w.v.p.Signature
	text := encodeSignature(sig.Encoding, raw)
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

// showToken writes the token or the credentials.
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

// nonce gives a text that no other request has.
func nonce() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // Never fails, see its documentation.
	return hex.EncodeToString(b[:])
}
