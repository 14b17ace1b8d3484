package event

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
)

// IDBySender is the event ID of a source whose sender numbers its events:
// SHA-256 of the source name, a line feed, and the sender's id.
func IDBySender(source, id string) string { return sum(source, "\n", id) }

// IDByBody is the event ID of a source whose events are told apart by their
// bytes: SHA-256 of the source name, a line feed, and the raw body. The type is
// left out: where an unsigned header carries it, a captured request could be
// played again as another type.
func IDByBody(source string, body []byte) string {
	h := sha256.New()
	writeString(h, source)
	writeString(h, "\n")
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// IDByFields is the event ID over chosen fields of a JSON body: SHA-256 of the
// object that ECMAScript's JSON.stringify writes for them. ok is false when the
// body is no JSON or a field's parent is not there, where ECMAScript would
// throw; such an event is told apart by its body.
func IDByFields(body []byte, fields []Field) (id string, ok bool) {
	text, ok := Stringify(body, fields)
	if !ok {
		return "", false
	}
	return sum(text), true
}

// IDAndDigest is IDByFields and Digest, for the price of reading the body once.
// ok is that of IDByFields, and the digest is given in any case.
func IDAndDigest(source string, body []byte, fields []Field) (id, digest string, ok bool) {
	d, root, ok := parse(body)
	if !ok {
		return "", IDByBody(source, body), false
	}
	// Before the digest, which sorts the members.
	text, ok := d.stringify(root, fields)
	digest = IDByBody(source, d.canonical(root))
	if !ok {
		return "", digest, false
	}
	return sum(text), digest, true
}

// IDOfCollision is the event ID of an event that shares its key with another
// one: SHA-256 of the key, a line feed, and the digest of its content.
func IDOfCollision(key, digest string) string { return sum(key, "\n", digest) }

// Digest tells events of one key apart: SHA-256 of the source name, a line
// feed, and the body, in canonical form when it is JSON (members sorted, no
// white space, numbers as written), so that a sender which writes a repeat in
// another key order does not make two events of it.
func Digest(source string, body []byte) string {
	if c, ok := canonical(body); ok {
		body = c
	}
	return IDByBody(source, body)
}

func sum(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		writeString(h, p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// writeString writes to a hash, which never fails.
func writeString(h hash.Hash, s string) { _, _ = io.WriteString(h, s) }
