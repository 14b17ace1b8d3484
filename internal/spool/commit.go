package spool

import (
	"fmt"
	"time"

	"go.uber.org/zap"
)

const (
	groupEntries = 1024
	groupBytes   = 8 << 20
	writeChunk   = 1 << 20
	doneDelay    = 20 * time.Millisecond
	doneAtOnce   = 512
	firstTest    = 20 * time.Millisecond
	lastTest     = 5 * time.Second
	testBytes    = 64 << 10
)

// finishedEntry is an entry that is done and whose record does not say so yet.
type finishedEntry struct {
	sequence uint64
	segment  *segment
}

// committer is the state of the one goroutine that writes.
type committer struct {
	*Spool
	current   *segment
	buffer    []byte
	lastPuts  int
	testDelay time.Duration
	testAt    time.Time
	moveAt    time.Time
}

// commitLoop writes until Close. It waits for company only when the group before had company too.
func (s *Spool) commitLoop() {
	defer close(s.stopped)
	c := &committer{Spool: s, testDelay: firstTest}
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

// turn does what there is to do and reports whether the spool is closed and everything is written.
func (c *committer) turn() bool {
	c.mu.Lock()
	failed, closed := c.failure != nil, c.closed
	c.mu.Unlock()
	if failed {
		c.refuseArrivals()
		c.reclaim() // A full disk gets well by this.
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

// gather takes the next group. With company expected it waits until as many have come as last time,
// at most the delay.
func (c *committer) gather() (group []*arrival, more bool) {
	c.mu.Lock()
	if n := len(c.incoming); n > 0 && n < c.lastPuts && !c.closed {
		c.want = c.lastPuts
		c.mu.Unlock()
		c.waitForCompany()
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

func (c *committer) waitForCompany() {
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

// failLocked distrusts the disk: the group is refused, the segment is left as it was, a new one
// must pass a test.
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

// writeDone writes down which entries are done, when enough of them or enough time have gathered.
// It is not synced: a lost line offers an entry once more and nothing else, and the next group's
// sync covers it.
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
