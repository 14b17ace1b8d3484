package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
	"slices"
	"strings"
)

// Batch says that a body may hold several events. The body is a list of events, or an event with
// a list in which each item stands for one event. Each event is then treated as if it had come
// alone.
type Batch struct {
	// ContentType is the content type of bodies that are batches; a body of any other type is one
	// event. Without it a body that is a list, or has one, is a batch. It must be empty where the
	// header is not signed.
	ContentType string `yaml:"content_type"`
	// Items is the JSON path of the list; without it the body is the list. The body of each event
	// is the whole body with only its item in the list, or with As the item alone.
	Items string `yaml:"items"`
	// As is the content type of events whose body is the item alone.
	As string `yaml:"as"`
}

// maxBatch is the most events in one body. All are made durable before the sender is answered.
const maxBatch = 5000

// maxBeside bounds, in bytes, the copies of what stands beside the list: each event of a batch
// has one.
const maxBeside = 4 << 20

// batch compiles the block.
func (c *compiler) batch() {
	b := c.p.Batch
	if b == nil {
		return
	}
	if t := c.v.traits; !t.SignsBody && !t.SignsItems && !t.Bearer {
		c.fault("batch", "the signature does not cover the whole body, so a stranger could put captured events together in other ways")
	}
	if b.ContentType != "" && !c.v.Covers("header:Content-Type") && !c.v.traits.Bearer {
		c.fault("batch.content_type", "the signature does not cover Content-Type, so a stranger could make a batch one event; leave it out")
	}
	if b.Items == "" {
		if b.As == "" {
			c.fault("batch.as", "is needed where the body is the list: the content type of one event, as application/json")
		}
		return
	}
	var err error
	if c.v.items, err = parseJSONPath(b.Items); err != nil {
		c.fault("batch.items", "%s", err)
	}
}

// Events gives a request for each event of a verified request: the request itself, or one for
// each event of a batch. An event's ID is the same as if it had come alone. The error is a
// *Failure: the request can't be read.
func (v *Verifier) Events(r *Request) ([]*Request, error) {
	if f := v.checkAttributes(r); f != nil {
		return nil, f
	}
	if !v.isBatch(r) {
		return []*Request{r}, nil
	}
	at, items, ok := v.list(r.Body)
	switch {
	case !ok || !validJSON(r.Body):
		return nil, Refuse(MalformedBody, "the body is no list of events in JSON")
	case len(items) > maxBatch:
		return nil, Refuse(MalformedBody, fmt.Sprintf("the body holds more than %d events; let the sender send fewer at once", maxBatch))
	case v.items != nil && len(items) == 1:
		return []*Request{r}, nil // The request is one event.
	case v.items != nil && len(items)*(len(r.Body)-(at.to-at.from)) > maxBeside:
		return nil, Refuse(MalformedBody, "what stands beside the list is too long for so many events, because each gets a copy")
	}
	sum := sha256.Sum256(r.Body)
	all := make([]*Request, len(items))
	for i, item := range items {
		one := *r
		one.batch, one.place = hex.EncodeToString(sum[:]), i
		if one.Body = r.Body[item.from:item.to]; one.Body[0] != '{' {
			return nil, Refuse(MalformedBody, "an event of the list is no JSON object")
		}
		if v.items != nil {
			one.Body = slices.Concat(r.Body[:at.from], []byte("["), one.Body, []byte("]"), r.Body[at.to:])
		} else {
			// The other headers are about the whole body.
			one.Header = HTTPHeader{"Content-Type": {v.p.Batch.As}}
		}
		all[i] = &one
	}
	return all, nil
}

// isBatch tells whether a request holds a list of events, even an empty one.
func (v *Verifier) isBatch(r *Request) bool {
	if v.p.Batch == nil || len(r.Body) == 0 {
		return false
	}
	if v.p.Batch.ContentType == "" {
		if v.items == nil {
			return beginsJSON(r.Body) == '['
		}
		_, _, ok := v.list(r.Body)
		return ok
	}
	text, _ := singleText(r.Header.Values("Content-Type"))
	kind, _, _ := mime.ParseMediaType(text)
	return strings.EqualFold(kind, v.p.Batch.ContentType)
}

// list finds the list in a body, and its items.
func (v *Verifier) list(body []byte) (at span, items []span, ok bool) {
	at = span{len(body) - len(bytes.TrimPrefix(body, []byte(byteOrderMark))), len(body)}
	if v.items != nil {
		if at, ok, _ = v.items.find(body, true); !ok {
			return at, nil, false
		}
	}
	s := scanner{b: body[:at.to], i: at.from}
	if !s.take('[') {
		return at, nil, false
	}
	for !s.take(']') {
		s.space()
		from := s.i
		if !s.skip() {
			return at, nil, false
		}
		items = append(items, span{from, s.i})
		s.take(',')
	}
	return at, items, true
}

// name tells an event of a batch from all others where it has no ID of its own: by the whole body
// that came, and by its place in it.
func (r *Request) name() []byte { return fmt.Appendf(nil, "batch %s %d", r.batch, r.place) }
