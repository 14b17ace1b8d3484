package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/grapnel/grapnel/internal/program"
)

const (
	refusedDir    = "refused"
	refusedSuffix = ".entry"
	refusedMark   = 0x6465737566657267 // "grefused". A fixed mark will do: each file holds one record, so none is searched for.
	reasonBytes   = 4096
)

// Refusal is an entry that was set aside.
type Refusal struct {
	// Path is the file that holds the entry. If the file is deleted, the next Open has forgotten
	// the entry.
	Path string
	// Reason is why it was set aside, cut at 4,096 bytes.
	Reason string
	// Size is the size of the file in bytes.
	Size int64
}

// SetAside takes a leased entry out of the queue and keeps it in a file with the reason, until
// Requeue. List and Export show it. The error is ErrClosed, wraps ErrFailed, or says that the entry
// is not leased; a leased entry stays leased then.
func (s *Spool) SetAside(e Entry, reason string) error {
	s.mu.Lock()
	it, closed := s.leased[e.Sequence], s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if it == nil {
		return fmt.Errorf("spool: entry %d is not leased", e.Sequence)
	}
	reason = reason[:min(len(reason), reasonBytes)]
	r, err := s.writeRefusal(e, reason)
	if err != nil {
		return fmt.Errorf("%w: cannot set entry %q aside: %w", ErrFailed, e.Key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += r.Size - int64(it.size)
	s.refused[e.Sequence] = r
	s.finishLocked(it)
	return nil
}

// Requeue puts entries that were set aside back at the end of the queue: those with the given
// sequence numbers, or all of them if none is given. It returns how many. Mend first what made
// Temporal refuse them, or they are set aside again. The error wraps ErrNotAside or one of Put's.
func (s *Spool) Requeue(ctx context.Context, sequences ...uint64) (int, error) {
	s.mu.Lock()
	if len(sequences) == 0 {
		sequences = slices.Sorted(maps.Keys(s.refused))
	}
	for _, sequence := range sequences {
		if _, ok := s.refused[sequence]; !ok {
			s.mu.Unlock()
			return 0, fmt.Errorf("%w: %d; '%s' shows which are", ErrNotAside, sequence, program.Command("spool list"))
		}
	}
	s.mu.Unlock()
	for n, sequence := range sequences {
		if err := s.requeue(ctx, sequence); err != nil {
			return n, fmt.Errorf("put entry %d back: %w", sequence, err)
		}
	}
	return len(sequences), nil
}

// requeue puts one entry back. Its file is removed once the entry is on disk in the queue. If the
// process ends between the two, the entry is still set aside after the next Open, because the file
// counts then.
func (s *Spool) requeue(ctx context.Context, sequence uint64) error {
	s.mu.Lock()
	r, ok := s.refused[sequence]
	s.mu.Unlock()
	if !ok {
		return nil // Another call has put it back meanwhile.
	}
	e, _, err := readRefusal(r.Path)
	if err != nil {
		return fmt.Errorf("read %s: %w", r.Path, err)
	}
	id := identityOf(e.Key, e.Digest)
	s.mu.Lock()
	if _, ok := s.refused[sequence]; !ok {
		s.mu.Unlock()
		return nil
	}
	delete(s.refused, sequence)
	delete(s.known, id)
	s.bytes -= r.Size
	s.mu.Unlock()
	if err := s.Put(ctx, e); err != nil {
		s.mu.Lock()
		s.refused[sequence] = r
		s.known[id] = struct{}{}
		s.bytes += r.Size
		s.mu.Unlock()
		return err
	}
	if err := os.Remove(r.Path); err != nil {
		return fmt.Errorf("remove %s: %w", r.Path, err)
	}
	return syncDirectory(filepath.Dir(r.Path))
}

// writeRefusal writes the entry to a file of its own: the length of the reason (uvarint), the
// reason, the record.
func (s *Spool) writeRefusal(e Entry, reason string) (Refusal, error) {
	b := append(binary.AppendUvarint(nil, uint64(len(reason))), reason...)
	start := len(b)
	b = appendEntry(b, e)
	seal(b[start:], e.Sequence)
	stamp(b[start:], refusedMark)
	dir := filepath.Join(s.opts.Path, refusedDir)
	path := filepath.Join(dir, fmt.Sprintf("%020d%s", e.Sequence, refusedSuffix))
	if err := writeDurably(path, b); err != nil {
		return Refusal{}, err
	}
	return Refusal{Path: path, Reason: reason, Size: int64(len(b))}, syncDirectory(dir)
}

// writeDurably writes a whole file or none.
func writeDurably(path string, b []byte) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		_ = os.Remove(path + ".tmp")
	}
	return err
}

// readRefusal reads what writeRefusal wrote.
func readRefusal(path string) (Entry, Refusal, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Entry{}, Refusal{}, err
	}
	r := Refusal{Path: path, Size: int64(len(b))}
	e, reason, err := decodeRefusal(b)
	r.Reason = reason
	return e, r, err
}

func decodeRefusal(b []byte) (Entry, string, error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return Entry{}, "", errDamaged
	}
	reason, record := string(b[n:n+int(size)]), b[n+int(size):]
	e, err := entryOf(record, refusedMark)
	return e, reason, err
}

// loadRefused finds what earlier processes set aside.
func (s *Spool) loadRefused() error {
	paths, err := filepath.Glob(filepath.Join(s.opts.Path, refusedDir, "*"+refusedSuffix))
	if err != nil {
		return err
	}
	for _, path := range paths {
		e, r, err := readRefusal(path)
		if err != nil {
			s.log.Sugar().Warnf("The refused entry in %s cannot be read (%v); the file is left where it is.", path, err)
			continue
		}
		s.refused[e.Sequence] = r
		s.known[identityOf(e.Key, e.Digest)] = struct{}{}
		s.bytes += r.Size
		s.sequence = max(s.sequence, e.Sequence)
	}
	return nil
}

// firstSequence is where numbering goes on after Open. It is at least the time in microseconds, so
// that no number is used twice even if no file shows the earlier ones.
func firstSequence(seen uint64, now time.Time) uint64 {
	return max(seen, uint64(max(0, now.UnixMicro())))
}
