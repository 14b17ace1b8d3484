package spool

import (
	"fmt"
	"time"

	"go.uber.org/zap"
)

const (
	groupEntries     = 1024                  // the most entries of one group
	groupBytes       = 8 << 20               // the most bytes of one group, unless its first entry is larger
	writeChunk       = 1 << 20               // bytes of one write call
	doneDelay        = 20 * time.Millisecond // the longest time until finished entries are written down
	doneAtOnce       = 512                   // this many finished entries are written down at once
	firstTestDelay   = 20 * time.Millisecond // from a failure to the first test of the disk
	longestTestDelay = 5 * time.Second       // it doubles from test to test up to this
	testBytes        = 64 << 10              // the least that a test writes
)

// finishedEntry is an entry that is done, which the disk does not know yet.
type finishedEntry struct {
	sequence uint64
	segment  *segment
}

// committer is the state of the one goroutine that writes segments.
type committer struct {
	*Spool
	current   *segment
	buffer    []byte
	lastPuts  int
	testDelay time.Duration
	testAt    time.Time
	moveAt    time.Time
}

// commitLoop writes until Close.
func (s *Spool) commitLoop() {
	defer close(s.stopped)
	c := &committer{Spool: s, testDelay: firstTestDelay}
	timer := time.NewTimer(doneDelay)
	defer timer.Stop()
	for {
		select {
		case <-s.kick:
		case <-timer.C:
		}
		closed := c.turn()
		if closed {
			return
		}
		timer.Reset(c.nextTurn())
	}
}

// nextTurn is how long the committer may sleep when nobody wakes it.
func (c *committer) nextTurn() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		return max(time.Until(c.testAt), time.Millisecond)
	}
	if len(c.finished) > 0 {
		return doneDelay
	}
	return time.Hour
}

// turn writes what waits, deletes what is no longer needed, and reports whether the loop may end:
// the spool is closed and everything is written.
func (c *committer) turn() bool {
	c.mu.Lock()
	failed, closed := c.failure != nil, c.closed
	c.mu.Unlock()
	if failed {
		c.refuseArrivals()
		c.reclaim() // This frees space, which a full disk needs.
		if closed {
			c.writeDone()
		} else if !time.Now().Before(c.testAt) {
			c.test()
		}
		return closed
	}
	for {
		group, more := c.gather()
		if len(group) > 0 {
			c.commit(group)
		}
		if len(group) == 0 || c.isFailed() {
			break
		}
		if !more && !closed {
			break
		}
	}
	c.writeDone()
	c.reclaim()
	return closed && !c.hasArrivals()
}

func (c *committer) isFailed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure != nil
}

func (c *committer) hasArrivals() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.incoming) > 0 && c.failure == nil
}

// gather takes the next group, and reports whether more arrivals wait. If the last group had more
// than one entry, it waits up to CommitDelay for as many to arrive, so that they share one sync.
func (c *committer) gather() (group []*arrival, more bool) {
	c.mu.Lock()
	if n := len(c.incoming); n > 0 && n < c.lastPuts && !c.closed {
		c.want = c.lastPuts
		c.mu.Unlock()
		c.waitForOthers()
		c.mu.Lock()
		c.want = 1
	}
	defer c.mu.Unlock()
	size := 0
	n := 0
	for n < len(c.incoming) && n < groupEntries && (n == 0 || size+len(c.incoming[n].record) <= groupBytes) {
		size += len(c.incoming[n].record)
		n++
	}
	group = c.incoming[:n:n]
	c.incoming = c.incoming[n:]
	if len(c.incoming) == 0 {
		c.incoming = nil
	}
	if n > 0 {
		c.lastPuts = n
	}
	return group, len(c.incoming) > 0
}

// waitForOthers returns when the wanted number of entries has arrived, or after CommitDelay.
func (c *committer) waitForOthers() {
	timer := time.NewTimer(c.opts.CommitDelay)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return
		case <-c.kick:
			c.mu.Lock()
			enough := len(c.incoming) >= c.want || c.closed
			c.mu.Unlock()
			if enough {
				return
			}
		}
	}
}

func (c *committer) refuseArrivals() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.incoming {
		c.settleLocked(a, c.failureLocked())
	}
	c.incoming = nil
}

// failLocked marks the disk as failed. The current segment is cut back to its synced records and
// closed to new ones; a new segment must pass a test before puts are accepted again.
func (c *committer) failLocked(err error) {
	c.testAt = time.Now().Add(c.testDelay)
	c.failure = err
	c.counters.failures++
	c.log.Error("The spool's disk failed; entries are refused until a test succeeds.", zap.String("path", c.opts.Path), zap.Error(err))
	if c.current != nil {
		_ = c.current.file.Truncate(c.current.size)
		c.current = nil
	}
}

// writeDone appends a record of the entries that are done, once there are doneAtOnce of them or the
// oldest has waited for doneDelay. It does not sync: the next group's sync covers the record, and
// if it is lost, its entries are only offered once more.
func (c *committer) writeDone() {
	c.mu.Lock()
	due := len(c.finished) >= doneAtOnce || c.closed || time.Since(c.doneSince) >= doneDelay
	if len(c.finished) == 0 || !due {
		c.mu.Unlock()
		return
	}
	finished := c.finished
	c.finished = nil
	var done []uint64
	for _, f := range finished {
		if !f.segment.deleted {
			done = append(done, f.sequence)
		}
	}
	closed := c.closed
	c.mu.Unlock()
	if err := c.appendDone(done, closed); err != nil {
		c.mu.Lock()
		c.finished = append(finished, c.finished...)
		c.failLocked(err)
		c.mu.Unlock()
	}
}

func (c *committer) appendDone(done []uint64, durable bool) error {
	for len(done) > 0 {
		n := min(len(done), doneChunk)
		if err := c.roomInSegment(c.nextName()); err != nil {
			return err
		}
		g := c.current
		c.buffer = appendDone(c.buffer[:0], done[:n])
		stamp(c.buffer, g.mark)
		if _, err := g.file.WriteAt(c.buffer, g.size); err != nil {
			return fmt.Errorf("append: %w", err)
		}
		g.size += int64(len(c.buffer))
		done = done[n:]
	}
	if durable && c.current != nil {
		return c.sync(c.current)
	}
	return nil
}
