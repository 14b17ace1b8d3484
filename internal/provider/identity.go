package provider

import (
	"crypto/rand"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/verify"
)

// EventID gives the ID of the event in a verified request of a source. The ID depends on nothing
// but what the signature binds. Where nothing tells the events of a source apart, each request
// gets an ID of its own. Where other events may share the ID, digest is the digest of the body,
// else it is empty.
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

// Identified is an event of a verified request with the ID that the receiver gives it.
type Identified struct {
	EventID string `json:"eventId"`
	Type    string `json:"type"`
	// Event holds what the request says of the event.
	Event verify.Event `json:"event"`
	// Digest is the digest that EventID gives.
	Digest string `json:"-"`
}

// Identify gives the events of a verified request: one, or those of a batch.
func Identify(v *verify.Verifier, source string, r *verify.Request) ([]Identified, error) {
	requests, err := v.Events(r)
	events := make([]Identified, len(requests))
	for i, one := range requests {
		e := &events[i]
		e.Event = v.Identify(one)
		e.Type = e.Event.Type
		e.EventID, e.Digest = EventID(v, source, one)
	}
	return events, err //nolint:wrapcheck // It is judged by its type.
}
