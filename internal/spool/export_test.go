package spool

import "io"

// File is what a segment needs of the disk.
type File = file

// WithDisk makes the spool create its files by the test's own function.
func (o Options) WithDisk(create func(path string) (File, error)) Options {
	o.create = create
	return o
}

// CreateFile makes a segment's file as the spool does.
func CreateFile(path string) (File, error) { return createFile(path) }

// Offer is a Put that does not wait for the disk.
func (s *Spool) Offer(e Entry) error {
	_, err := s.admit(e)
	return err
}

// EncodeRecord returns the record of an entry; DecodeRecord reads it back.
func EncodeRecord(e Entry, mark uint64) []byte {
	b := appendEntry(nil, e)
	seal(b, e.Sequence)
	stamp(b, mark)
	return b
}

// EncodeDone returns a record of done entries.
func EncodeDone(done []uint64, mark uint64) []byte {
	b := appendDone(nil, done)
	stamp(b, mark)
	return b
}

// ScanRecords reads the good records of a segment.
func ScanRecords(b []byte, mark uint64) (entries []Entry, end, damaged int64, err error) {
	end, damaged, err = scan(b, mark, func(_ int64, record []byte) error {
		e, err := decodeEntry(record[headerSize:])
		if err == nil {
			entries = append(entries, e)
		}
		return nil
	})
	return entries, end, damaged, err
}

// DecodeRefusal reads the content of a refused entry's file.
func DecodeRefusal(b []byte) (Entry, string, error) { return decodeRefusal(b) }

// ReadBlocks reads a file as far as possible.
func ReadBlocks(f io.ReaderAt, size int64) (b []byte, lost int64, fault error) {
	return readBlocks(f, size)
}
