package spool

import "fmt"

// commit writes and syncs a group and tells those who wait for it.
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
		c.queue.push(slot{
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

// settleLocked ends the wait for one arrival.
func (c *committer) settleLocked(a *arrival, err error) {
	if err != nil {
		c.bytes -= int64(len(a.record))
	}
	c.arrivingBytes -= int64(len(a.record))
	delete(c.arriving, a.id)
	a.err, a.record = err, nil
	close(a.done)
}

// append writes a group behind the current segment and syncs it. The lock is not held: only this goroutine writes.
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
