package spool

import (
	"errors"
	"io"
)

// blockSize is what is given up at once of a file that can't be read: a sector of
// today's disks.
const blockSize = 4 << 10

// readBlocks reads a file as far as it can be read. The blocks that can't be read
// are zeros, which are no record; lost is how many bytes they are, and fault why.
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
