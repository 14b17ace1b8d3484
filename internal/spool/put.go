package spool

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// arrival is an entry on its way to the disk. The committer owns the record until done is closed.
type arrival struct {
	id       identity
	record   []byte
	sequence uint64
	received int64
	err      error
	done     chan struct{}
}

// Put keeps an entry and returns when it is synced to the disk. The caller may reuse Meta and Body
// then. If an entry of the same Key and Digest waits already, or was set aside, Put keeps no second
// copy and returns nil. The error wraps ErrFull, ErrFailed, ErrTooLarge, ErrClosed or the
// context's; after a context's error the entry may be kept nevertheless.
func (s *Spool) Put(ctx context.Context, e Entry) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if e.Key == "" {
		return errors.New("spool: the entry has no key, by which repeats are recognised: set Key")
	}
	if len(e.Key)+len(e.Digest)+len(e.Meta)+len(e.Body) > MaxEntry {
		return fmt.Errorf("%w: %q is over %d bytes", ErrTooLarge, e.Key, MaxEntry)
	}
	if e.Received.IsZero() {
		e.Received = s.opts.Clock()
	}
	a, err := s.admit(e)
	if a == nil || err != nil {
		return err
	}
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return fmt.Errorf("spool: the disk took too long: %w", ctx.Err())
	}
}

// admit queues an entry for the committer. It returns no arrival for an entry that is kept already,
// and the first arrival for an entry that is on its way to the disk.
func (s *Spool) admit(e Entry) (*arrival, error) {
	id := identityOf(e.Key, e.Digest)
	if a, done, err := s.lookup(id); a != nil || done || err != nil {
		return a, err
	}
	size := headerSize + 64 + len(e.Key) + len(e.Digest) + len(e.Meta) + len(e.Body)
	a := &arrival{id: id, received: e.Received.UnixNano(), done: make(chan struct{})}
	a.record = appendEntry(make([]byte, 0, size), e)
	s.mu.Lock()
	defer s.mu.Unlock()
	if first, done, err := s.lookupLocked(id); first != nil || done || err != nil {
		return first, err
	}
	if err := s.roomLocked(int64(len(a.record))); err != nil {
		return nil, err
	}
	s.bytes += int64(len(a.record))
	s.arrivingBytes += int64(len(a.record))
	s.sequence++
	a.sequence = s.sequence
	s.arriving[id] = a
	s.incoming = append(s.incoming, a)
	if len(s.incoming) >= s.want {
		s.wake()
	}
	return a, nil
}

func (s *Spool) lookup(id identity) (*arrival, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lookupLocked(id)
}

func (s *Spool) lookupLocked(id identity) (*arrival, bool, error) {
	if s.closed {
		return nil, false, ErrClosed
	}
	if _, kept := s.known[id]; kept {
		s.counters.repeats++
		return nil, true, nil
	}
	if a := s.arriving[id]; a != nil {
		s.counters.repeats++
		return a, false, nil
	}
	if s.failure != nil {
		return nil, false, s.failureLocked()
	}
	return nil, false, nil
}

func (s *Spool) failureLocked() error {
	return fmt.Errorf("%w: %w: make room on the disk of %s or repair it; the spool tests it again by itself", ErrFailed, s.failure, s.opts.Path)
}

func (s *Spool) roomLocked(size int64) error {
	if s.bytes+size > s.opts.MaxBytes {
		return fmt.Errorf("%w: %d of %d bytes (spool.max_bytes) are used in %s", ErrFull, s.bytes, s.opts.MaxBytes, s.opts.Path)
	}
	if s.arrivingBytes > 0 && s.arrivingBytes+size > maxArriving {
		return fmt.Errorf("%w: the disk of %s does not keep up: %d bytes wait for it in memory", ErrFull, s.opts.Path, s.arrivingBytes)
	}
	if age := s.ageLocked(); s.opts.MaxAge > 0 && age > s.opts.MaxAge {
		return fmt.Errorf("%w: its oldest entry has waited for %s, the bound is %s (spool.max_age)", ErrFull, age.Round(time.Second), s.opts.MaxAge)
	}
	return nil
}

// ageLocked is the age of the oldest waiting entry, zero when there is none.
func (s *Spool) ageLocked() time.Duration {
	if s.oldest.IsZero() {
		return 0
	}
	return max(0, s.opts.Clock().Sub(s.oldest))
}

// commit writes and syncs a group, and ends the wait of its callers of Put. On an error the
// arrivals behind the group are refused too.
func (c *committer) commit(group []*arrival) {
	segment, offsets, err := c.append(group)
	c.mu.Lock()
	if err != nil {
		c.failLocked(err)
		for _, a := range group {
			c.settleLocked(a, c.failureLocked())
		}
		for _, a := range c.incoming {
			c.settleLocked(a, c.failureLocked())
		}
		c.incoming = nil
		c.mu.Unlock()
		return
	}
	for i, a := range group {
		segment.live++
		c.known[a.id] = struct{}{}
		c.queue.push(queueSlot{
			segment: segment, sequence: a.sequence, id: a.id, received: a.received,
			offset: uint32(offsets[i]), size: uint32(len(a.record)),
		})
		c.counters.accepted++
		c.settleLocked(a, nil)
	}
	c.counters.groups++
	c.oldestLocked()
	c.offerLocked()
	c.mu.Unlock()
}

// settleLocked ends the wait of the callers of Put for one arrival.
func (c *committer) settleLocked(a *arrival, err error) {
	if err != nil {
		c.bytes -= int64(len(a.record))
	}
	c.arrivingBytes -= int64(len(a.record))
	delete(c.arriving, a.id)
	a.err, a.record = err, nil
	close(a.done)
}

// append writes a group to the end of the current segment and syncs it. It needs no lock, because
// only this goroutine writes.
func (c *committer) append(group []*arrival) (*segment, []int64, error) {
	if err := c.roomInSegment(group[0].sequence); err != nil {
		return nil, nil, err
	}
	g := c.current
	offsets := make([]int64, len(group))
	at := g.size
	c.buffer = c.buffer[:0]
	written := at
	for i, a := range group {
		seal(a.record, a.sequence)
		stamp(a.record, g.mark)
		offsets[i] = at
		at += int64(len(a.record))
		c.buffer = append(c.buffer, a.record...)
		if len(c.buffer) >= writeChunk || i == len(group)-1 {
			if _, err := g.file.WriteAt(c.buffer, written); err != nil {
				return nil, nil, fmt.Errorf("append: %w", err) // The error names the file.
			}
			written, c.buffer = at, c.buffer[:0]
		}
	}
	if cap(c.buffer) > 4*writeChunk {
		c.buffer = nil
	}
	if err := c.sync(g); err != nil {
		return nil, nil, err
	}
	g.size = at
	return g, offsets, nil
}

func (c *committer) sync(g *segment) error {
	if err := g.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", g.path, err)
	}
	c.counters.syncs.Add(1)
	return nil
}

// roomInSegment makes sure that there is a segment to append to.
func (c *committer) roomInSegment(first uint64) error {
	if c.current != nil && c.current.size < c.segmentSize {
		return nil
	}
	g, err := c.newSegment(first)
	if err != nil {
		return fmt.Errorf("new segment: %w", err)
	}
	c.current = g
	c.mu.Lock()
	c.segments = append(c.segments, g)
	c.mu.Unlock()
	return nil
}
