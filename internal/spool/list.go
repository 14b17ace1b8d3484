package spool

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
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

// Listed is an entry as List and Export show it. Meta is set if the entry's meta is JSON, else
// MetaBase64. Body is set if the body is valid UTF-8, else BodyBase64; List leaves both out. Size
// is the bytes of meta and body.
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

// List returns up to limit entries without their bodies: first the refused ones, then the others,
// oldest first. The queue moves meanwhile: entries that are done before List reaches them are left
// out.
func (s *Spool) List(limit int) ([]Listed, error) {
	out := []Listed{}
	err := s.visit(func(e Entry, l Listed) (bool, error) {
		if len(out) < limit {
			out = append(out, describeEntry(e, l))
		}
		return len(out) < limit, nil
	})
	return out, err
}

// Export writes every entry, the refused ones too, with its body: one Listed as JSON on a line.
func (s *Spool) Export(w io.Writer) error {
	buffered := bufio.NewWriter(w)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	err := s.visit(func(e Entry, l Listed) (bool, error) {
		l = describeEntry(e, l)
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

func describeEntry(e Entry, l Listed) Listed {
	l.Sequence, l.Key, l.Digest, l.Received = e.Sequence, e.Key, e.Digest, e.Received
	l.Size = len(e.Meta) + len(e.Body)
	if json.Valid(e.Meta) {
		l.Meta = e.Meta
	} else if len(e.Meta) > 0 {
		l.MetaBase64 = e.Meta
	}
	return l
}

type entryVisitor func(Entry, Listed) (more bool, err error)

// visit calls see with every entry, in List's order, until see returns false or an error.
func (s *Spool) visit(see entryVisitor) error {
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

func (s *Spool) visitRefused(see entryVisitor) (bool, error) {
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
	waitingItem
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

// visitItems reads items from the disk and calls see with each. It skips what cannot be read: such
// an item was done meanwhile, or the drain will report it.
func (s *Spool) visitItems(items []listedItem, see entryVisitor) (bool, error) {
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

// View opens the directory of a process that has ended, for reading only. see may call List, Export
// and Stats until it returns. Nothing on the disk is changed, so a read-only disk will do. The
// error wraps ErrInUse while a process has the directory open, and os.ErrNotExist if the directory
// holds no spool.
func View(o Options, see func(*Spool) error) error {
	o = withDefaults(o)
	o.view = true
	lock, err := lockToView(o.Path)
	if err != nil {
		return err
	}
	s := newSpool(o, lock)
	s.closed = true // Put and Next are refused.
	err = s.load()
	if err != nil {
		err = fmt.Errorf("spool: cannot read %s: %w", o.Path, err)
	} else {
		err = see(s)
	}
	return errors.Join(err, s.closeFiles())
}

// lockToView locks the directory without creating the lock file, so that nobody opens it during a
// View.
func lockToView(dir string) (*os.File, error) {
	f, err := os.Open(lockPath(dir))
	if err != nil {
		return nil, fmt.Errorf("spool: no spool to look at: %w", err)
	}
	return flock(f, dir)
}

// Stats is the state of the spool at one moment.
type Stats struct {
	// Depth counts waiting entries, leased ones included; Leased counts the leased ones alone.
	Depth  int `json:"depth"`
	Leased int `json:"leased"`
	// Bytes is the size of waiting, arriving and refused entries; MaxBytes is its bound.
	Bytes    int64 `json:"bytes"`
	MaxBytes int64 `json:"maxBytes"`
	// OldestAge is the age of the oldest waiting entry, zero when nothing waits.
	OldestAge Seconds `json:"oldestAgeSeconds"`
	// DrainRate is entries done per second, averaged over about ten seconds.
	DrainRate float64 `json:"drainRate"`
	// Refused counts the entries that were set aside; RefusedBytes is the size of their files.
	Refused      int   `json:"refused"`
	RefusedBytes int64 `json:"refusedBytes"`
	// Failed says that the disk has failed and no test has succeeded since. Full says that a bound
	// is reached. Cause is the reason of either.
	Failed bool   `json:"failed"`
	Full   bool   `json:"full"`
	Cause  string `json:"cause,omitempty"`
	// Accepted, Repeats, Drained, Groups, Syncs and Failures count since Open: entries kept, puts
	// of an entry that was kept already, entries done, groups committed, syncs of data, and disk
	// failures.
	Accepted uint64 `json:"accepted"`
	Repeats  uint64 `json:"repeats"`
	Drained  uint64 `json:"drained"`
	Groups   uint64 `json:"groups"`
	Syncs    uint64 `json:"syncs"`
	Failures uint64 `json:"failures"`
	// DamagedBytes is how many bytes of the files were damaged or unreadable at Open.
	DamagedBytes int64 `json:"damagedBytes"`
}

// Seconds is a duration that JSON shows as a number of seconds.
type Seconds time.Duration

// Seconds gives the duration in seconds.
func (s Seconds) Seconds() float64 { return time.Duration(s).Seconds() }

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, s.Seconds(), 'f', 3, 64), nil
}

type spoolCounters struct {
	accepted, repeats, drained, groups, failures uint64
	syncs                                        atomic.Uint64
	damaged                                      int64
	rate                                         rate
}

// Stats returns the state of the spool.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.counters
	st := Stats{
		Depth: s.depthLocked(), Leased: len(s.leased),
		Bytes: s.bytes, MaxBytes: s.opts.MaxBytes, OldestAge: Seconds(s.ageLocked()), DrainRate: c.rate.per(s.opts.Clock()),
		Refused: len(s.refused), Failed: s.failure != nil,
		Accepted: c.accepted, Repeats: c.repeats, Drained: c.drained, Groups: c.groups,
		Syncs: c.syncs.Load(), Failures: c.failures, DamagedBytes: c.damaged,
	}
	for _, r := range s.refused {
		st.RefusedBytes += r.Size
	}
	if err := s.roomLocked(roomForOne); err != nil {
		st.Full, st.Cause = true, err.Error()
	}
	if s.failure != nil {
		st.Cause = s.failureLocked().Error()
	}
	return st
}

// roomForOne is the size of a common entry, in bytes: Stats calls the spool full if it would not
// fit.
const roomForOne = 4 << 10

// Depth counts waiting entries, leased ones included.
func (s *Spool) Depth() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.depthLocked()
}

func (s *Spool) depthLocked() int { return s.queue.count + len(s.leased) + len(s.returned) }

const rateWindow = 10 * time.Second

// rate is an exponentially weighted moving average, in events per second.
type rate struct {
	value float64
	last  time.Time
}

func (r *rate) decay(now time.Time) {
	if past := now.Sub(r.last); past > 0 {
		r.value *= math.Exp(-float64(past) / float64(rateWindow))
	}
	r.last = now
}

func (r *rate) add(now time.Time) {
	r.decay(now)
	r.value += 1 / rateWindow.Seconds()
}

func (r *rate) per(now time.Time) float64 {
	r.decay(now)
	return r.value
}
