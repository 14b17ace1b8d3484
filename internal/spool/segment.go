package spool

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
)

// file is what a segment needs of the disk.
type file interface {
	ReadAt(b []byte, off int64) (int, error)
	WriteAt(b []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// diskFile is a real file whose Sync is the cheapest that is safe.
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
	live    int   // entries in it that are not done
	deleted bool
	damaged bool // kept under another name when it is no longer needed
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

// found is called by scan with each good record.
type found func(offset int64, record []byte) error

// scan reads all good records of b and returns where the last ends and how many bytes between good records are damaged.
// What follows the last good record is a write that was under way at a crash and was never acknowledged.
func scan(b []byte, mark uint64, each found) (end int64, damaged int64, err error) {
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
