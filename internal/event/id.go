package event

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
)

// IDBySender is the event ID of a source whose sender numbers its events:
// SHA-256 of the source name, a line feed, and the sender's id.
func IDBySender(source, id string) string { return digestOf(source, "\n", id) }

// IDByBody is the event ID of a source whose events are told apart by their
// bytes: SHA-256 of the source name, a line feed, and the raw body. The type is
// left out: where an unsigned header carries it, a captured request could be
// sent again as another type.
func IDByBody(source string, body []byte) string {
	h := sha256.New()
	writeString(h, source)
	writeString(h, "\n")
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// IDAndDigest is the event ID over chosen fields of a JSON body, and the digest that
// tells events of one ID apart. The ID is SHA-256 of the object that ECMAScript's
// JSON.stringify writes for the fields; the digest is SHA-256 of the source name, a
// line feed, and the body in canonical form (members sorted, no white space, numbers
// as written), so that a repeat in another key order makes no second event. ok is
// false, and the event is told apart by its bytes, where the body is no JSON, where
// ECMAScript would throw for a field's parent that is not there, and where two
// different bodies would read the same: one that names a member twice or is no UTF-8.
func IDAndDigest(source string, body []byte, fields []Field) (id, digest string, ok bool) {
	d, root, ok := parseJSON(body)
	if !ok || d.ambiguous {
		return "", "", false
	}
	// Before the digest, which sorts the members.
	text, ok := d.stringify(root, fields)
	if !ok {
		return "", "", false
	}
	return digestOf(text), IDByBody(source, d.canonical(root)), true
}

// IDOfCollision is the event ID of an event that shares its key with another
// one: SHA-256 of the key, a line feed, and the digest of its content.
func IDOfCollision(key, digest string) string { return digestOf(key, "\n", digest) }

func digestOf(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		writeString(h, p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// writeString writes to a hash, which never fails.
func writeString(h hash.Hash, s string) { _, _ = io.WriteString(h, s) }
