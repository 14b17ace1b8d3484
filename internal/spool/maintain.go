package spool

import (
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	// deadSegments is how much dead space is tolerated, in segments, before relocate copies live
	// entries: the space of done entries comes back only when their whole segment is deleted.
	deadSegments   = 4
	moveBreak      = time.Minute // relocate pauses this long after a record that cannot be read
	damagedSuffix  = ".damaged"
	segmentPattern = "*.log"
)

// nextName is the sequence number to name a segment by if its first record is not an entry that has
// one already.
func (c *committer) nextName() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sequence + 1
}

// test finds out whether the disk works again: a new segment must take and sync as much as the
// failed group was. Earlier segments stay as they are: their records were synced before the
// failure.
func (c *committer) test() {
	g, err := c.newSegment(c.nextName())
	if err == nil {
		if err = tryFile(g.file, max(testBytes, min(cap(c.buffer), groupBytes))); err != nil {
			_ = g.file.Close()
			_ = os.Remove(g.path)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failure = err
		c.testDelay = min(2*c.testDelay, longestTestDelay)
		c.testAt = time.Now().Add(c.testDelay)
		return
	}
	c.log.Info("The spool's disk is well again.", zap.String("path", c.opts.Path))
	c.failure, c.testDelay = nil, firstTestDelay
	c.segments = append(c.segments, g)
	c.current = g
}

func tryFile(f file, size int) error {
	junk := make([]byte, size)
	for i := range junk {
		junk[i] = byte(i)
	}
	if _, err := f.WriteAt(junk, 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Truncate(0)
}

// reclaim deletes segments from the oldest on, as long as no entry in them waits. A later segment
// must outlive an earlier one, because it can say which of the earlier one's entries are done.
func (c *committer) reclaim() {
	c.mu.Lock()
	if g := c.current; g != nil && len(c.segments) > 0 && c.emptyLocked() && g.size > smallestSegment {
		c.current = nil
	}
	var dead []*segment
	for len(c.segments) > 0 && c.segments[0].live == 0 && c.segments[0] != c.current {
		c.segments[0].deleted = true
		dead = append(dead, c.segments[0])
		c.segments = c.segments[1:]
	}
	c.mu.Unlock()
	for _, g := range dead {
		c.discard(g)
	}
	if len(dead) > 0 {
		_ = syncDirectory(c.opts.Path)
		return
	}
	c.relocate()
}

func (c *committer) emptyLocked() bool {
	return c.queue.count == 0 && len(c.leased) == 0 && len(c.returned) == 0
}

func (c *committer) discard(g *segment) {
	_ = g.file.Close()
	var err error
	if g.damaged {
		err = os.Rename(g.path, strings.TrimSuffix(g.path, ".log")+damagedSuffix)
	} else {
		err = os.Remove(g.path)
	}
	if err != nil {
		c.log.Warn("A segment of the spool that is no longer needed cannot be removed; its entries would be offered again.",
			zap.String("path", g.path), zap.Error(err))
	}
}

// relocate copies the last entries of the oldest segment to the end of the log, so that it can be
// deleted. It does so when a few entries that Temporal does not take hold up much dead space.
func (c *committer) relocate() {
	c.mu.Lock()
	var total int64
	for _, g := range c.segments {
		total += g.size
	}
	if c.failure != nil || len(c.segments) < 2 || total < 2*c.bytes+deadSegments*c.segmentSize || time.Now().Before(c.moveAt) {
		c.mu.Unlock()
		return
	}
	oldest := c.segments[0]
	var stuck []*waitingItem
	for _, it := range c.leased {
		if it.segment == oldest {
			stuck = append(stuck, it)
		}
	}
	for _, it := range c.returned {
		if it.segment == oldest {
			stuck = append(stuck, it)
		}
	}
	all := len(stuck) == oldest.live
	c.mu.Unlock()
	if !all || oldest == c.current {
		return
	}
	for _, it := range stuck {
		if !c.move(it, oldest) {
			return
		}
	}
	c.wake()
}

// move copies one record. The copy is synced before the old place is given up. It reports whether
// to go on with the next.
func (c *committer) move(it *waitingItem, from *segment) bool {
	record := make([]byte, it.size)
	if _, err := from.file.ReadAt(record, it.offset); err != nil {
		c.moveAt = time.Now().Add(moveBreak)
		c.log.Warn("The spool cannot read an old entry.", zap.String("path", from.path), zap.Error(err))
		return false
	}
	offset, err := c.appendRecord(record)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failLocked(err)
		return false
	}
	if c.waitingLocked(it) {
		from.live--
		c.current.live++
		it.segment, it.offset = c.current, offset
	}
	return true
}

// appendRecord writes and syncs one record that is sealed already, and returns its offset in the
// current segment.
func (c *committer) appendRecord(record []byte) (offset int64, err error) {
	if err := c.roomInSegment(c.nextName()); err != nil {
		return 0, err
	}
	g := c.current
	stamp(record, g.mark)
	if _, err := g.file.WriteAt(record, g.size); err != nil {
		return 0, err
	}
	if err := c.sync(g); err != nil {
		return 0, err
	}
	offset = g.size
	g.size += int64(len(record))
	return offset, nil
}
