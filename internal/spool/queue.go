package spool

import "time"

// item is one waiting entry: where its record is.
type item struct {
	segment  *segment
	sequence uint64
	id       identity
	received int64 // Unix nanoseconds
	offset   int64
	size     int32 // of the whole record
	attempt  int32
	after    time.Time // not offered before, after a Retry
}

// slot is an item that was never leased, kept small because there can be millions.
type slot struct {
	segment  *segment
	sequence uint64
	id       identity
	received int64
	offset   uint32
	size     uint32
}

// deque holds slots, oldest first, in blocks that are given back as they empty.
type deque struct {
	blocks [][]slot
	head   int // taken from the first block
	count  int
}

const dequeBlock = 1024

func (d *deque) push(v slot) {
	last := len(d.blocks) - 1
	if last < 0 || len(d.blocks[last]) == dequeBlock {
		d.blocks = append(d.blocks, make([]slot, 0, dequeBlock))
		last++
	}
	d.blocks[last] = append(d.blocks[last], v)
	d.count++
}

// first returns the oldest slot; the deque must not be empty.
func (d *deque) first() slot { return d.blocks[0][d.head] }

func (d *deque) pop() slot {
	v := d.first()
	d.head++
	d.count--
	if d.count == 0 {
		d.blocks, d.head = append(d.blocks[:0], d.blocks[0][:0]), 0
	} else if d.head == len(d.blocks[0]) {
		d.blocks[0] = nil
		d.blocks, d.head = d.blocks[1:], 0
	}
	return v
}

// from returns a copy of up to limit slots that come after a sequence number.
func (d *deque) from(after uint64, limit int) []slot {
	var out []slot
	for i, block := range d.blocks {
		if d.count == 0 || block[len(block)-1].sequence <= after {
			continue
		}
		if i == 0 {
			block = block[d.head:]
		}
		for _, v := range block {
			if v.sequence > after {
				out = append(out, v)
			}
			if len(out) == limit {
				return out
			}
		}
	}
	return out
}

func (v slot) item() *item {
	return &item{
		segment: v.segment, sequence: v.sequence, id: v.id, received: v.received, offset: int64(v.offset), size: int32(v.size),
	}
}
