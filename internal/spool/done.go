package spool

import (
	"fmt"
	"time"
)

// writeDone writes down which entries are done, when enough of them or enough time have gathered. It is not synced: a
// lost line offers an entry once more and nothing else, and the next group's sync covers it.
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
