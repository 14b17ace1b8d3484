package meeting

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// maxSketch is the number of hashes a sketch keeps: 8 KB, and a standard error
// of 1/√(maxSketch-2), about 3 %.
const maxSketch = 1024

// Sketch counts different strings in bounded space. It keeps the smallest
// hashes it has seen: while they are all of them, their number is the answer;
// beyond that, how densely they lie gives an estimate (Bar-Yossef et al.,
// Counting Distinct Elements in a Data Stream, 2002, algorithm 1; the unbiased
// form is Beyer et al., 2007). The order of adding changes nothing, nor does
// adding twice. Its zero value is empty.
type Sketch struct{ hashes []uint64 }

// Add counts s, if it is new.
func (s *Sketch) Add(text string) {
	sum := sha256.Sum256([]byte(text))
	h := binary.BigEndian.Uint64(sum[:8])
	at, known := slices.BinarySearch(s.hashes, h)
	if known || at >= maxSketch {
		return
	}
	s.hashes = slices.Insert(s.hashes, at, h)
	s.hashes = s.hashes[:min(len(s.hashes), maxSketch)]
}

// Count is the number of different strings added, and whether it is exact.
func (s *Sketch) Count() (n int, exact bool) {
	if len(s.hashes) < maxSketch {
		return len(s.hashes), true
	}
	largest := float64(s.hashes[maxSketch-1]) / math.MaxUint64
	return int(math.Round((maxSketch - 1) / largest)), false
}

// IsZero tells whether nothing was added.
func (s Sketch) IsZero() bool { return len(s.hashes) == 0 }

// MarshalText writes the hashes as base64, eight bytes each.
func (s Sketch) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, 8*len(s.hashes))
	for _, h := range s.hashes {
		raw = binary.BigEndian.AppendUint64(raw, h)
	}
	return base64.StdEncoding.AppendEncode(nil, raw), nil
}

// UnmarshalText reads what MarshalText wrote.
func (s *Sketch) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return err
	}
	if len(raw)%8 != 0 || len(raw) > 8*maxSketch {
		return errors.New("a sketch is a whole number of 8 byte hashes, 1,024 at the most")
	}
	s.hashes = nil
	for ; len(raw) > 0; raw = raw[8:] {
		s.hashes = append(s.hashes, binary.BigEndian.Uint64(raw))
	}
	// Add and Count rely on the order, whoever wrote the text.
	slices.Sort(s.hashes)
	s.hashes = slices.Compact(s.hashes)
	return nil
}
