package provider

import (
	"crypto/rand"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/verify"
)

// EventID is the ID of the event that a verified request of a source brings. The
// digest is that of the body where other events may share the ID, else empty. It
// depends on nothing but what the signature binds; where nothing tells the events of a
// source apart, each request gets an ID of its own.
func EventID(v *verify.Verifier, source string, r *verify.Request) (id, digest string) {
	d := v.Distinguish(r)
	switch {
	case d.ID != "":
		return event.IDBySender(source, d.ID), ""
	case d.Fields != nil:
		fields := make([]event.Field, len(d.Fields))
		for i, f := range d.Fields {
			fields[i] = event.Field{Key: f.Key, Paths: f.From}
		}
		if id, digest, ok := event.IDAndDigest(source, r.Body, fields); ok {
			return id, digest
		}
	}
	if d.Bytes == nil {
		return event.IDBySender(source, rand.Text()), ""
	}
	return event.IDByBody(source, d.Bytes), ""
}
