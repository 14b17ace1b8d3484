package spool

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"
)

// loader gathers what the segments say before it becomes the queue.
type loader struct {
	slots []slot
	done  map[uint64]struct{}
	last  uint64
}

// load reads every segment and rebuilds the queue: entries that no record and no refusal calls done.
func (s *Spool) load() error {
	if !s.opts.view {
		s.removeLeftovers()
	}
	if err := s.loadRefused(); err != nil {
		return err
	}
	paths, err := filepath.Glob(filepath.Join(s.opts.Path, segmentPattern))
	if err != nil {
		return err
	}
	slices.Sort(paths)
	l := &loader{done: map[uint64]struct{}{}}
	for sequence := range s.refused {
		l.done[sequence] = struct{}{}
	}
	for _, path := range paths {
		if err := s.loadSegment(path, l); err != nil {
			return err
		}
	}
	s.fill(l)
	s.sequence = firstSequence(max(s.sequence, l.last), s.opts.Clock())
	s.oldestLocked()
	if s.opts.view {
		return nil
	}
	return s.checkWritable()
}

func (s *Spool) loadSegment(path string, l *loader) error {
	mark, err := markOf(path)
	if err != nil {
		return err
	}
	f, err := s.openSegment(path)
	if err != nil {
		return err
	}
	g := &segment{path: path, mark: mark, file: diskFile{f}}
	s.segments = append(s.segments, g)
	info, err := f.Stat()
	if err != nil {
		return err
	}
	b, lost, fault := readBlocks(f, info.Size())
	if fault != nil {
		s.log.Error("A part of the spool can't be read; what else is in the file is used. Look at the disk.",
			zap.String("path", path), zap.Int64("bytes", lost), zap.Error(fault))
	}
	end, damaged, err := scan(b, mark, func(offset int64, record []byte) error { return l.note(g, offset, record) })
	if err != nil {
		return err
	}
	tail := int64(len(b)) - end
	if lost > 0 { // What could not be read may have been more than a write cut short.
		damaged, tail = damaged+tail, 0
	}
	g.size = end
	g.damaged = damaged > 0
	if g.damaged {
		s.counters.damaged += damaged
		s.log.Error("A part of the spool is damaged and is skipped; the file is kept beside the others when it is done.",
			zap.String("path", path), zap.Int64("bytes", damaged))
	}
	if tail > 0 {
		s.log.Warn("A segment ends in a write that a crash cut short; it was never acknowledged.",
			zap.String("path", path), zap.Int64("bytes", tail))
	}
	return nil
}

func (s *Spool) openSegment(path string) (*os.File, error) {
	how := os.O_RDWR
	if s.opts.view {
		how = os.O_RDONLY
	}
	f, err := os.OpenFile(path, how, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: make it writable", err)
	}
	return f, nil
}

func markOf(path string) (uint64, error) {
	_, text, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".log"), "-")
	mark, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is no segment of a spool: move it out of the directory", path)
	}
	return mark, nil
}

// note takes in one good record.
func (l *loader) note(g *segment, offset int64, record []byte) error {
	payload := record[headerSize:]
	if payload[0] == kindDone {
		done, err := decodeDone(payload)
		for _, sequence := range done {
			l.done[sequence] = struct{}{}
			l.last = max(l.last, sequence)
		}
		return ignoreDamage(err)
	}
	e, err := decodeEntry(payload)
	if err != nil {
		return ignoreDamage(err)
	}
	l.last = max(l.last, e.Sequence)
	l.slots = append(l.slots, slot{
		segment: g, sequence: e.Sequence, id: identify(e.Key, e.Digest), received: e.Received.UnixNano(),
		offset: uint32(offset), size: uint32(len(record)),
	})
	return nil
}

// ignoreDamage lets loading go on over a record whose sum is right and whose content is not, of a later version perhaps.
func ignoreDamage(err error) error {
	if errors.Is(err, errDamaged) {
		return nil
	}
	return err
}

// fill makes the queue. A number that occurs twice is an entry that was moved; its first place does as well. An identity
// that occurs twice was put again after a failed sync; the later one is done.
func (s *Spool) fill(l *loader) {
	slices.SortStableFunc(l.slots, func(a, b slot) int { return cmp.Compare(a.sequence, b.sequence) })
	for _, v := range l.slots {
		if _, done := l.done[v.sequence]; done {
			continue
		}
		if _, twice := s.known[v.id]; twice {
			continue
		}
		s.known[v.id] = struct{}{}
		v.segment.live++
		s.bytes += int64(v.size)
		s.queue.push(v)
	}
}

// removeLeftovers deletes files that a crash left half made.
func (s *Spool) removeLeftovers() {
	for _, pattern := range []string{filepath.Join(refusedDir, "*.tmp"), "probe-*"} {
		paths, _ := filepath.Glob(filepath.Join(s.opts.Path, pattern))
		for _, path := range paths {
			_ = os.Remove(path)
		}
	}
}

// checkWritable fails at once where every put would fail later.
func (s *Spool) checkWritable() error {
	probe, err := os.CreateTemp(s.opts.Path, "probe-*")
	if err != nil {
		return fmt.Errorf("it is not writable (%w): make it writable or choose another data directory", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}
