package spool

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
)

// Next leases up to limit entries, oldest first, and waits until there is at least one. A leased
// entry is offered to nobody else. Done and SetAside take it out of the queue, Retry puts it back.
// The error is ErrClosed, wraps the context's, or wraps ErrFailed when the disk cannot be read; the
// entries stay in the queue then.
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

// takeLocked leases items, new ones and returned ones by turns, so that entries that fail again and
// again do not hold up new ones. pause is the time until the next returned item may be offered.
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

// dueLocked finds the returned item to offer next: of those whose delay is over, the one with the
// fewest attempts, the oldest of several. at is its index, -1 when there is none; pause is the time
// until the next of the others is due.
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

// read loads leased entries from the disk. An entry whose record is damaged is set aside; an entry
// that cannot be read goes back to the queue.
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

// unreadable logs that an entry cannot be read, at its 1st, 2nd, 4th, 8th attempt and so on.
func (s *Spool) unreadable(it *waitingItem, err error) {
	if it.attempt&(it.attempt-1) == 0 {
		s.log.Error("An event in the spool cannot be read. It stays and is tried again. Check the disk.",
			zap.String("path", it.segment.path), zap.Int64("offset", it.offset), zap.Int32("attempt", it.attempt), zap.Error(err))
	}
}

// readRecord reads a leased item's record. A segment with leased items is not deleted, but relocate
// can move the item, so its place is read under the lock.
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
	delete(s.known, it.id) // If the sender repeats the event, accept it: its copy is good.
	s.known[identityOf(e.Key, e.Digest)] = struct{}{}
}

// Done forgets a leased entry. This is written to the disk a little later, together with others:
// after a crash in between the entry is offered again.
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

// Retry puts a leased entry back; Next offers it again after the delay.
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

// offerLocked wakes all callers that wait in Next.
func (s *Spool) offerLocked() {
	close(s.waiters)
	s.waiters = make(chan struct{})
}

func (s *Spool) waitingLocked(it *waitingItem) bool {
	return s.leased[it.sequence] == it || slices.Contains(s.returned, it)
}

// oldestLocked keeps s.oldest up to date: when the oldest waiting entry was received.
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

// waitingItem is a waiting entry in memory: where its record is, and its attempts.
type waitingItem struct {
	segment  *segment
	sequence uint64
	id       identity
	received int64 // Unix nanoseconds
	offset   int64
	size     int32 // of the whole record
	attempt  int32
	after    time.Time // Next does not offer it before; set by Retry
}

// queueSlot is an entry that was never leased. It is small because there can be millions.
type queueSlot struct {
	segment  *segment
	sequence uint64
	id       identity
	received int64
	offset   uint32
	size     uint32
}

// deque holds slots, oldest first, in blocks; an empty block's memory is freed.
type deque struct {
	blocks [][]queueSlot
	head   int // how many slots of the first block were popped
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

// from copies up to limit slots whose sequence number is greater than after.
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
