package spool

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// A record is: mark (8 bytes), CRC-32C of all that follows the CRC (4), length of the payload (4),
// payload. The mark is a random number, one for each segment and part of its file name. After
// damage the next record is found by its mark; because senders can't know the mark, they can't
// forge a record in a body. A payload starts with its kind (1). An entry goes on with: received in
// Unix nanoseconds (8), key, digest, meta and body, each after its length (uvarint), and last the
// sequence number (8), which is known only after the rest was summed. A list of done entries goes
// on with their sequence numbers, 8 bytes each.
const (
	headerSize   = 16
	markSize     = 8
	sumAt        = 8
	lengthAt     = 12
	kindEntry    = 1
	kindDone     = 2
	maxPayload   = MaxEntry + 64
	sequenceSize = 8
	doneChunk    = 4096 // sequence numbers in one record
)

var errDamaged = errors.New("the record is damaged")

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func identityOf(key, digest string) identity {
	h := sha256.New()
	h.Write(binary.AppendUvarint(nil, uint64(len(key))))
	h.Write([]byte(key))
	h.Write([]byte(digest))
	var id identity
	copy(id[:], h.Sum(nil))
	return id
}

// appendEntry appends the record of e. seal adds the sequence number later, and stamp the mark.
func appendEntry(b []byte, e Entry) []byte {
	start := len(b)
	b = append(b, make([]byte, headerSize)...)
	b = append(b, kindEntry)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Received.UnixNano()))
	b = append(binary.AppendUvarint(b, uint64(len(e.Key))), e.Key...)
	b = append(binary.AppendUvarint(b, uint64(len(e.Digest))), e.Digest...)
	b = append(binary.AppendUvarint(b, uint64(len(e.Meta))), e.Meta...)
	b = append(binary.AppendUvarint(b, uint64(len(e.Body))), e.Body...)
	b = append(b, make([]byte, sequenceSize)...)
	r := b[start:]
	binary.LittleEndian.PutUint32(r[lengthAt:], uint32(len(r)-headerSize))
	binary.LittleEndian.PutUint32(r[sumAt:], crc32.Checksum(r[lengthAt:len(r)-sequenceSize], castagnoli()))
	return b
}

// seal fills the sequence number into a record made by appendEntry and completes its sum.
func seal(record []byte, sequence uint64) {
	tail := record[len(record)-sequenceSize:]
	binary.LittleEndian.PutUint64(tail, sequence)
	sum := crc32.Update(binary.LittleEndian.Uint32(record[sumAt:]), castagnoli(), tail)
	binary.LittleEndian.PutUint32(record[sumAt:], sum)
}

// stamp marks a record for the segment that it is about to be written to.
func stamp(record []byte, mark uint64) { binary.LittleEndian.PutUint64(record, mark) }

// appendDone appends a record that says which entries are done.
func appendDone(b []byte, done []uint64) []byte {
	start := len(b)
	b = append(b, make([]byte, headerSize)...)
	b = append(b, kindDone)
	for _, sequence := range done {
		b = binary.LittleEndian.AppendUint64(b, sequence)
	}
	r := b[start:]
	binary.LittleEndian.PutUint32(r[lengthAt:], uint32(len(r)-headerSize))
	binary.LittleEndian.PutUint32(r[sumAt:], crc32.Checksum(r[lengthAt:], castagnoli()))
	return b
}

// payloadOf checks one whole record at the start of b and returns its payload.
func payloadOf(b []byte, mark uint64) ([]byte, error) {
	if len(b) < headerSize+1 || binary.LittleEndian.Uint64(b) != mark {
		return nil, errDamaged
	}
	size := binary.LittleEndian.Uint32(b[lengthAt:])
	if size == 0 || size > maxPayload || int(size) > len(b)-headerSize {
		return nil, errDamaged
	}
	end := headerSize + int(size)
	if crc32.Checksum(b[lengthAt:end], castagnoli()) != binary.LittleEndian.Uint32(b[sumAt:]) {
		return nil, errDamaged
	}
	return b[headerSize:end], nil
}

// decodeEntry reads a payload of kind entry. Meta and Body of the result share the payload's
// memory.
func decodeEntry(payload []byte) (Entry, error) {
	if len(payload) < 1+8+4+sequenceSize || payload[0] != kindEntry {
		return Entry{}, fmt.Errorf("%w: it is not an entry", errDamaged)
	}
	received := int64(binary.LittleEndian.Uint64(payload[1:]))
	rest, tail := payload[9:len(payload)-sequenceSize], payload[len(payload)-sequenceSize:]
	var fields [4][]byte
	for i := range fields {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return Entry{}, fmt.Errorf("%w: a field is longer than the record", errDamaged)
		}
		fields[i], rest = rest[n:n+int(size):n+int(size)], rest[n+int(size):]
	}
	if len(rest) != 0 {
		return Entry{}, fmt.Errorf("%w: it is longer than its fields", errDamaged)
	}
	return Entry{
		Key: string(fields[0]), Digest: string(fields[1]), Meta: fields[2], Body: fields[3],
		Received: time.Unix(0, received), Sequence: binary.LittleEndian.Uint64(tail),
	}, nil
}

// decodeDone reads a payload of kind done.
func decodeDone(payload []byte) ([]uint64, error) {
	if len(payload) < 1 || payload[0] != kindDone || (len(payload)-1)%8 != 0 {
		return nil, fmt.Errorf("%w: it is not a list of done entries", errDamaged)
	}
	done := make([]uint64, 0, (len(payload)-1)/8)
	for b := payload[1:]; len(b) > 0; b = b[8:] {
		done = append(done, binary.LittleEndian.Uint64(b))
	}
	return done, nil
}
