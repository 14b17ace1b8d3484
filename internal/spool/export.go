package spool

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
	"unicode/utf8"
)

// State says where a listed entry is.
type State string

// The states of an entry.
const (
	Waiting State = "waiting"
	Leased  State = "leased"
	Refused State = "refused"
)

// Listed is an entry as List and Export show it. Meta is raw JSON where the entry's is JSON, else MetaBase64 is set; Body
// is text where it is valid UTF-8, else BodyBase64 is set. List leaves the body out.
type Listed struct {
	State      State           `json:"state"`
	Sequence   uint64          `json:"sequence"`
	Key        string          `json:"key"`
	Digest     string          `json:"digest,omitempty"`
	Received   time.Time       `json:"received"`
	Attempt    int             `json:"attempt,omitempty"`
	Reason     string          `json:"reason,omitempty"`
	Size       int             `json:"size"`
	Meta       json.RawMessage `json:"meta,omitempty"`
	MetaBase64 []byte          `json:"metaBase64,omitempty"`
	Body       *string         `json:"body,omitempty"`
	BodyBase64 []byte          `json:"bodyBase64,omitempty"`
}

const exportBatch = 256

// List shows up to limit entries without their bodies: the refused ones first, then oldest first. It is a picture of a
// moving queue: an entry that is done meanwhile may be missing.
func (s *Spool) List(limit int) ([]Listed, error) {
	out := []Listed{}
	err := s.visit(func(e Entry, l Listed) (bool, error) {
		if len(out) < limit {
			out = append(out, describe(e, l))
		}
		return len(out) < limit, nil
	})
	return out, err
}

// Export writes every entry, the refused ones too, as JSON lines with body.
func (s *Spool) Export(w io.Writer) error {
	buffered := bufio.NewWriter(w)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	err := s.visit(func(e Entry, l Listed) (bool, error) {
		l = describe(e, l)
		if utf8.Valid(e.Body) {
			text := string(e.Body)
			l.Body = &text
		} else {
			l.BodyBase64 = e.Body
		}
		return true, encoder.Encode(l)
	})
	if err != nil {
		return fmt.Errorf("spool: export: %w", err)
	}
	return buffered.Flush()
}

func describe(e Entry, l Listed) Listed {
	l.Sequence, l.Key, l.Digest, l.Received = e.Sequence, e.Key, e.Digest, e.Received
	l.Size = len(e.Meta) + len(e.Body)
	if json.Valid(e.Meta) {
		l.Meta = e.Meta
	} else if len(e.Meta) > 0 {
		l.MetaBase64 = e.Meta
	}
	return l
}

type visitor func(Entry, Listed) (more bool, err error)

// visit shows every entry to see, until that wants no more.
func (s *Spool) visit(see visitor) error {
	more, err := s.visitRefused(see)
	if !more || err != nil {
		return err
	}
	more, err = s.visitItems(s.touched(), see)
	for last := uint64(0); more && err == nil; {
		s.mu.Lock()
		slots := s.queue.from(last, exportBatch)
		s.mu.Unlock()
		if len(slots) == 0 {
			return nil
		}
		last = slots[len(slots)-1].sequence
		items := make([]listedItem, 0, len(slots))
		for _, v := range slots {
			items = append(items, listedItem{Waiting, *v.item()})
		}
		more, err = s.visitItems(items, see)
	}
	return err
}

func (s *Spool) visitRefused(see visitor) (bool, error) {
	s.mu.Lock()
	refusals := make([]Refusal, 0, len(s.refused))
	for _, r := range s.refused {
		refusals = append(refusals, r)
	}
	s.mu.Unlock()
	slices.SortFunc(refusals, func(a, b Refusal) int { return cmp.Compare(a.Path, b.Path) })
	for _, r := range refusals {
		e, _, err := readRefusal(r.Path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("read %s: %w", r.Path, err)
		}
		more, err := see(e, Listed{State: Refused, Reason: r.Reason})
		if !more || err != nil {
			return false, err
		}
	}
	return true, nil
}

type listedItem struct {
	state State
	item
}

// touched copies the items that were offered at least once.
func (s *Spool) touched() []listedItem {
	s.mu.Lock()
	defer s.mu.Unlock()
	var items []listedItem
	for _, it := range s.leased {
		items = append(items, listedItem{Leased, *it})
	}
	for _, it := range s.returned {
		items = append(items, listedItem{Waiting, *it})
	}
	slices.SortFunc(items, func(a, b listedItem) int { return cmp.Compare(a.sequence, b.sequence) })
	return items
}

// visitItems reads items from the disk. One that cannot be read was done meanwhile, or the drain will report it.
func (s *Spool) visitItems(items []listedItem, see visitor) (bool, error) {
	for _, it := range items {
		record := make([]byte, it.size)
		if _, err := it.segment.file.ReadAt(record, it.offset); err != nil {
			continue
		}
		e, err := entryOf(record, it.segment.mark)
		if err != nil {
			continue
		}
		more, err := see(e, Listed{State: it.state, Attempt: int(it.attempt)})
		if !more || err != nil {
			return false, err
		}
	}
	return true, nil
}
