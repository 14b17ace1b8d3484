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

// Batch says that a body may hold several events: a list of them, or one with a list in
// which each item is an event. What comes of it are the events as they would have come
// one by one.
type Batch struct {
	// ContentType is that of a body that is a batch; other bodies are one event. Empty: a
	// body that is or has a list. It must be empty where the header is not signed.
	ContentType string `yaml:"content_type"`
	// Items is the JSON path of the list; empty: the body is the list. An event has the
	// body with one item in the list, or the item alone.
	Items string `yaml:"items"`
	// As is the content type of an event that is the item alone.
	As string `yaml:"as"`
}

// maxBatch is how many events one body may hold. Each is made durable before the sender is
// answered.
const maxBatch = 5000

// maxBeside is how much the events of one body may have of what stands beside their list.
const maxBeside = 4 << 20

// batch compiles the block.
func (c *compiler) batch() {
	b := c.p.Batch
	if b == nil {
		return
	}
	if t := c.v.traits; !t.SignsBody && !t.SignsItems && !t.Bearer {
		c.fault("batch", "the signature does not reach all of the body, so a stranger could put captured events together otherwise")
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

// Events gives the requests of the single events that a verified request brings: itself,
// or one for each event of a batch, whose ID is that of the event had it come by itself.
// The error is a *Failure: the request can't be read as this sender's are.
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
		return []*Request{r}, nil // It goes on as it came.
	case v.items != nil && len(items)*(len(r.Body)-(at.to-at.from)) > maxBeside:
		return nil, Refuse(MalformedBody, "what stands beside the list is too long for so many events, as each has it")
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
			// What the other headers say, they say of the whole.
			one.Header = HTTPHeader{"Content-Type": {v.p.Batch.As}}
		}
		all[i] = &one
	}
	return all, nil
}

// isBatch tells whether a request brings the events of a list, be they none.
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

// list finds the list of a body and its items.
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

// name is what tells an event of a batch from all others where it has no ID of its own:
// the whole that came, and its place.
func (r *Request) name() []byte { return fmt.Appendf(nil, "batch %s %d", r.batch, r.place) }
