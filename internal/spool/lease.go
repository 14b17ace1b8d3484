package spool

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
)

// Next leases up to limit entries, oldest first, and waits until there is one. A leased entry is
// offered to nobody else until Retry; Done or SetAside ends it. The error is the context's,
// ErrClosed, or wraps ErrFailed when the disk cannot be read (the entries stay in the queue).
func (s *Spool) Next(ctx context.Context, limit int) ([]Entry, error) {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, ErrClosed
		}
		items, pause := s.takeLocked(max(1, limit))
		waiters := s.waiters
		s.mu.Unlock()
		entries, err := s.read(items)
		if len(entries) > 0 || err != nil {
			return entries, err
		}
		if len(items) > 0 {
			continue
		}
		if err := awaitWork(ctx, waiters, pause); err != nil {
			return nil, err
		}
	}
}

func awaitWork(ctx context.Context, waiters <-chan struct{}, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("spool: %w", ctx.Err())
	case <-waiters:
	case <-timer.C:
	}
	return nil
}

// takeLocked leases items: what was put back and what is new by turns, so that entries that nobody
// takes keep none from being offered. It also returns how long to wait until one that was put back
// may be offered again.
func (s *Spool) takeLocked(limit int) (items []*waitingItem, pause time.Duration) {
	now := time.Now()
	for len(items) < limit {
		var at int
		at, pause = s.dueLocked(now)
		due, fresh := at >= 0, s.queue.count > 0
		switch {
		case fresh && (!due || s.freshNext):
			items = append(items, s.queue.pop().item())
		case due:
			items = append(items, s.returned[at])
			s.returned = slices.Delete(s.returned, at, at+1)
		default:
			limit = len(items)
		}
		s.freshNext = due && fresh && !s.freshNext
	}
	for _, it := range items {
		it.attempt++
		s.leased[it.sequence] = it
	}
	return items, pause
}

// dueLocked finds the item that was put back, may be offered again and was offered least, the
// oldest of several; -1 when there is none. pause is how long the next of the others waits.
func (s *Spool) dueLocked(now time.Time) (at int, pause time.Duration) {
	at, pause = -1, time.Hour
	for i, it := range s.returned {
		if wait := it.after.Sub(now); wait > 0 {
			pause = min(pause, wait)
		} else if at < 0 || it.attempt < s.returned[at].attempt {
			at = i
		}
	}
	return at, pause
}

// read loads leased entries. One whose record is damaged is set aside; one that cannot be read goes
// back.
func (s *Spool) read(items []*waitingItem) ([]Entry, error) {
	entries := make([]Entry, 0, len(items))
	var fault error
	for _, it := range items {
		record, err := s.readRecord(it)
		if err != nil {
			s.unreadable(it, err)
			s.putBack(it, time.Second)
			fault = fmt.Errorf("%w: read %s: %w", ErrFailed, it.segment.path, err)
			continue
		}
		e, err := entryOf(record, it.segment.mark)
		if err != nil {
			s.setAsideDamaged(it, record, err)
			continue
		}
		e.Attempt = int(it.attempt)
		entries = append(entries, e)
	}
	if len(entries) > 0 {
		return entries, nil
	}
	return nil, fault
}

// unreadable tells of an entry that cannot be read, the more rarely the longer that lasts.
func (s *Spool) unreadable(it *waitingItem, err error) {
	if it.attempt&(it.attempt-1) == 0 {
		s.log.Error("An event in the spool cannot be read; it stays and is tried again. Look at the disk.",
			zap.String("path", it.segment.path), zap.Int64("offset", it.offset), zap.Int32("attempt", it.attempt), zap.Error(err))
	}
}

// readRecord reads a leased item's record. A segment with leased items is not deleted, but the item
// can move.
func (s *Spool) readRecord(it *waitingItem) ([]byte, error) {
	s.mu.Lock()
	segment, offset := it.segment, it.offset
	s.mu.Unlock()
	record := make([]byte, it.size)
	_, err := segment.file.ReadAt(record, offset)
	return record, err
}

func entryOf(record []byte, mark uint64) (Entry, error) {
	payload, err := payloadOf(record, mark)
	if err != nil {
		return Entry{}, err
	}
	return decodeEntry(payload)
}

func (s *Spool) setAsideDamaged(it *waitingItem, record []byte, cause error) {
	s.log.Error("A record of the spool is damaged; its bytes are set aside.", zap.Uint64("sequence", it.sequence), zap.Error(cause))
	e := Entry{Key: fmt.Sprintf("damaged-%d", it.sequence), Received: time.Unix(0, it.received), Body: record, Sequence: it.sequence}
	if err := s.SetAside(e, cause.Error()); err != nil {
		s.putBack(it, time.Second)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, it.id) // A repeat from the sender would heal it.
	s.known[identityOf(e.Key, e.Digest)] = struct{}{}
}

// Done forgets a leased entry. The disk hears of it a little later, together with others: after a
// crash in between the entry is offered again.
func (s *Spool) Done(e Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.leased[e.Sequence]
	if it == nil {
		return
	}
	delete(s.known, it.id)
	s.bytes -= int64(it.size)
	s.counters.drained++
	s.counters.rate.add(s.opts.Clock())
	s.finishLocked(it)
}

// finishLocked takes an item out of the queue.
func (s *Spool) finishLocked(it *waitingItem) {
	delete(s.leased, it.sequence)
	it.segment.live--
	if len(s.finished) == 0 {
		s.doneSince = time.Now()
	}
	s.finished = append(s.finished, finishedEntry{sequence: it.sequence, segment: it.segment})
	if n := len(s.finished); n == 1 || n == doneAtOnce {
		s.wake()
	}
	s.oldestLocked()
}

// Retry puts a leased entry back in its place; it is offered again after the delay.
func (s *Spool) Retry(e Entry, delay time.Duration) {
	s.mu.Lock()
	it := s.leased[e.Sequence]
	s.mu.Unlock()
	if it != nil {
		s.putBack(it, delay)
	}
}

func (s *Spool) putBack(it *waitingItem, delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leased[it.sequence] != it {
		return
	}
	delete(s.leased, it.sequence)
	it.after = time.Now().Add(delay)
	at, _ := slices.BinarySearchFunc(s.returned, it.sequence, func(other *waitingItem, sequence uint64) int {
		if other.sequence < sequence {
			return -1
		}
		return 1
	})
	s.returned = slices.Insert(s.returned, at, it)
	s.offerLocked()
}

// offerLocked wakes everybody who waits in Next.
func (s *Spool) offerLocked() {
	close(s.waiters)
	s.waiters = make(chan struct{})
}

func (s *Spool) waitingLocked(it *waitingItem) bool {
	return s.leased[it.sequence] == it || slices.Contains(s.returned, it)
}

// oldestLocked notes when the oldest waiting entry came.
func (s *Spool) oldestLocked() {
	var oldest int64
	note := func(received int64) {
		if oldest == 0 || received < oldest {
			oldest = received
		}
	}
	for _, it := range s.leased {
		note(it.received)
	}
	if len(s.returned) > 0 {
		note(s.returned[0].received)
	}
	if s.queue.count > 0 {
		note(s.queue.first().received)
	}
	s.oldest = time.Time{}
	if oldest != 0 {
		s.oldest = time.Unix(0, oldest)
	}
}

// waitingItem is one waiting entry: where its record is.
type waitingItem struct {
	segment  *segment
	sequence uint64
	id       identity
	received int64 // Unix nanoseconds
	offset   int64
	size     int32 // of the whole record
	attempt  int32
	after    time.Time // not offered before, after a Retry
}

// queueSlot is an item that was never leased, kept small because there can be millions.
type queueSlot struct {
	segment  *segment
	sequence uint64
	id       identity
	received int64
	offset   uint32
	size     uint32
}

// deque holds slots, oldest first, in blocks that are given back as they empty.
type deque struct {
	blocks [][]queueSlot
	head   int // taken from the first block
	count  int
}

const dequeBlock = 1024

func (d *deque) push(v queueSlot) {
	last := len(d.blocks) - 1
	if last < 0 || len(d.blocks[last]) == dequeBlock {
		d.blocks = append(d.blocks, make([]queueSlot, 0, dequeBlock))
		last++
	}
	d.blocks[last] = append(d.blocks[last], v)
	d.count++
}

// first returns the oldest slot; the deque must not be empty.
func (d *deque) first() queueSlot { return d.blocks[0][d.head] }

func (d *deque) pop() queueSlot {
	v := d.first()
	d.head++
	d.count--
	if d.count == 0 {
		d.blocks, d.head = append(d.blocks[:0], d.blocks[0][:0]), 0
	} else if d.head == len(d.blocks[0]) {
		d.blocks[0] = nil
		d.blocks, d.head = d.blocks[1:], 0
	}
	return v
}

// from returns a copy of up to limit slots that come after a sequence number.
func (d *deque) from(after uint64, limit int) []queueSlot {
	var out []queueSlot
	for i, block := range d.blocks {
		if d.count == 0 || block[len(block)-1].sequence <= after {
			continue
		}
		if i == 0 {
			block = block[d.head:]
		}
		for _, v := range block {
			if v.sequence > after {
				out = append(out, v)
			}
			if len(out) == limit {
				return out
			}
		}
	}
	return out
}

func (v queueSlot) item() *waitingItem {
	return &waitingItem{
		segment: v.segment, sequence: v.sequence, id: v.id, received: v.received, offset: int64(v.offset), size: int32(v.size),
	}
}
