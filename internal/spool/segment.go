package spool

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"
)

// file is what a segment needs of the disk.
type file interface {
	ReadAt(b []byte, off int64) (int, error)
	WriteAt(b []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// diskFile is a real file. Its Sync is the cheapest one that is safe.
type diskFile struct{ *os.File }

// Sync makes what was written durable.
func (f diskFile) Sync() error { return syncData(f.File) }

func createFile(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// segment is one file of the log.
type segment struct {
	path    string
	mark    uint64
	file    file
	size    int64 // of good records
	live    int   // how many of its entries are not done
	deleted bool
	damaged bool // it is renamed, not deleted, when it is no longer needed
}

// newSegment creates a file and makes its name durable.
func (s *Spool) newSegment(first uint64) (*segment, error) {
	var random [markSize]byte
	_, _ = rand.Read(random[:]) // It never fails.
	mark := binary.LittleEndian.Uint64(random[:])
	path := filepath.Join(s.opts.Path, fmt.Sprintf("%020d-%016x.log", first, mark))
	f, err := s.opts.create(path)
	if err != nil {
		return nil, err
	}
	if err := syncDirectory(s.opts.Path); err != nil {
		_ = f.Close()
		_ = os.Remove(path)
		return nil, err
	}
	return &segment{path: path, mark: mark, file: f}, nil
}

func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	_ = d.Close()
	return err
}

// recordVisitor is called by scan with each good record.
type recordVisitor func(offset int64, record []byte) error

// scan calls each with all good records of b. It returns where the last one ends, and how many
// bytes between good records are damaged. What follows the last good record is a write that a crash
// cut short and that was never acknowledged.
func scan(b []byte, mark uint64, each recordVisitor) (end int64, damaged int64, err error) {
	for at := 0; at < len(b); {
		payload, fault := payloadOf(b[at:], mark)
		if fault != nil {
			next := nextMark(b, at+1, mark)
			if next < 0 {
				break
			}
			at = next
			continue
		}
		damaged += int64(at) - end
		size := headerSize + len(payload)
		if err := each(int64(at), b[at:at+size]); err != nil {
			return end, damaged, err
		}
		at += size
		end = int64(at)
	}
	return end, damaged, nil
}

func nextMark(b []byte, from int, value uint64) int {
	mark := binary.LittleEndian.AppendUint64(nil, value)
	if from >= len(b) {
		return -1
	}
	i := bytes.Index(b[from:], mark)
	if i < 0 {
		return -1
	}
	return from + i
}

// loader gathers the records of all segments, before fill makes the queue of them.
type loader struct {
	slots []queueSlot
	done  map[uint64]struct{}
	last  uint64
}

// load reads every file and rebuilds the queue: the entries that are neither done nor set aside.
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
		s.log.Error("A part of the spool can't be read; the rest of the file is used. Check the disk.",
			zap.String("path", path), zap.Int64("bytes", lost), zap.Error(fault))
	}
	end, damaged, err := scan(b, mark, func(offset int64, record []byte) error { return l.note(g, offset, record) })
	if err != nil {
		return err
	}
	tail := int64(len(b)) - end
	if lost > 0 { // The unreadable blocks may have held whole records, so this is no mere cut-short write.
		damaged, tail = damaged+tail, 0
	}
	g.size = end
	g.damaged = damaged > 0
	if g.damaged {
		s.counters.damaged += damaged
		s.log.Error("A part of the spool is damaged and is skipped; the file will be kept as *.damaged when its entries are done.",
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
		return 0, fmt.Errorf("%s is not a segment of a spool: move it out of the directory", path)
	}
	return mark, nil
}

// note adds one good record of segment g.
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
	l.slots = append(l.slots, queueSlot{
		segment: g, sequence: e.Sequence, id: identityOf(e.Key, e.Digest), received: e.Received.UnixNano(),
		offset: uint32(offset), size: uint32(len(record)),
	})
	return nil
}

// ignoreDamage makes load skip a record whose sum is right but whose content can't be read: a later
// version of grapnel may have written it.
func ignoreDamage(err error) error {
	if errors.Is(err, errDamaged) {
		return nil
	}
	return err
}

// fill makes the queue. If a sequence number occurs twice, the entry was moved; both copies are the
// same, and the first is used. If an identity occurs twice, the entry was put again after a failed
// sync, and the first is used.
func (s *Spool) fill(l *loader) {
	slices.SortStableFunc(l.slots, func(a, b queueSlot) int { return cmp.Compare(a.sequence, b.sequence) })
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

// blockSize is the unit, in bytes, in which a damaged file is read: a sector of today's disks.
const blockSize = 4 << 10

// readBlocks reads a file as far as possible. Unreadable blocks become zeros, which are no record;
// lost is how many bytes that are, and fault the last error.
func readBlocks(f io.ReaderAt, size int64) (b []byte, lost int64, fault error) {
	b = make([]byte, size)
	if n, err := f.ReadAt(b, 0); int64(n) == size || errors.Is(err, io.EOF) {
		return b[:n], 0, nil
	}
	for at := int64(0); at < size; at += blockSize {
		block := b[at:min(at+blockSize, size)]
		if n, err := f.ReadAt(block, at); n < len(block) {
			clear(block)
			lost, fault = lost+int64(len(block)), err
		}
	}
	return b, lost, fault
}
