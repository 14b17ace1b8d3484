package series

import (
	"slices"
	"strconv"
	"time"
)

// spreadBounds are the upper bounds of the buckets of durations, in seconds. Longer durations are
// in a last bucket.
func spreadBounds() []float64 { return []float64{.005, .01, .025, .05, .1, .25, .5, 1, 3, 10} }

// Took counts a duration in the buckets of a name, from which Quantile reads.
func (s *Set) Took(name string, d time.Duration) {
	i, _ := slices.BinarySearch(spreadBounds(), d.Seconds())
	s.Add(name+"<"+strconv.Itoa(i), 1)
}

// Quantile returns a quantile, q from 0 to 1, of the durations of each of the n latest minutes. It
// is the upper bound of its bucket, in seconds. A minute without durations is not known.
func (s *Set) Quantile(name string, q float64, n int) []Point {
	b := spreadBounds()
	buckets := make([][]Point, len(b)+1)
	for i := range buckets {
		buckets[i] = s.ByMinute(name+"<"+strconv.Itoa(i), n)
	}
	out := slices.Clone(buckets[0])
	for k := range out {
		var total, below float64
		for _, bucket := range buckets {
			total += bucket[k].Value
		}
		out[k].Known, out[k].Value = total > 0, 0
		for i, bucket := range buckets {
			if below += bucket[k].Value; total > 0 && below >= q*total {
				out[k].Value = b[min(i, len(b)-1)]
				break
			}
		}
	}
	return out
}
