package evidence

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"time"
)

// The buckets are those of an HdrHistogram of 2 significant digits: steps of 1 µs up to 256 µs, then 128 steps for each
// doubling, so that a bucket is at most 0.8 % wide.
const (
	significantDigits = 2
	subBuckets        = 256
	halfMagnitude     = 7 // log2(subBuckets / 2)
	// maxMicros is the longest time that a histogram counts, 24 hours; a longer time counts as this.
	maxMicros = int64(24 * time.Hour / time.Microsecond)
)

// Histogram counts times in µs. It returns the highest time of a bucket, at most 0.8 % above the recorded one. It is stored as
// a sorted list of varints, as a run has tens of thousands of histograms, most with few buckets in use. The zero value is empty
// and ready to use; the methods that read also accept nil. It is not safe for concurrent writing.
type Histogram struct {
	count int64
	// packed has, for each bucket in use, the difference of its index from the previous one, and its count. Its bytes are
	// never changed in place, so that copies may share them.
	packed []byte
}

// HistogramOf returns a histogram of these times, in µs.
func HistogramOf(micros ...int64) *Histogram {
	indices := make([]uint16, len(micros))
	for i, m := range micros {
		indices[i] = bucketOf(m)
	}
	return &Histogram{count: int64(len(indices)), packed: appendBuckets(nil, indices)}
}

// appendBuckets appends the packed form of a list of bucket indices, which it sorts in place.
func appendBuckets(packed []byte, indices []uint16) []byte {
	slices.Sort(indices)
	previous := uint16(0)
	for i := 0; i < len(indices); {
		index, n := indices[i], uint64(0)
		for ; i < len(indices) && indices[i] == index; i++ {
			n++
		}
		packed = binary.AppendUvarint(packed, uint64(index-previous))
		packed = binary.AppendUvarint(packed, n)
		previous = index
	}
	return packed
}

// Sum returns the sum of histograms; nil counts as empty.
func Sum(parts ...*Histogram) *Histogram {
	var dense [bucketCount]int64
	sum := &Histogram{}
	for _, part := range parts {
		part.eachBucket(func(index uint16, n int64) { dense[index] += n })
		sum.count += part.Count()
	}
	previous := 0
	for index, n := range &dense {
		if n > 0 {
			sum.packed = appendBucket(sum.packed, index-previous, n)
			previous = index
		}
	}
	return sum
}

// bucketCount is one more than the index of MaxMicros.
const bucketCount = 3873

func appendBucket(packed []byte, step int, n int64) []byte {
	packed = binary.AppendUvarint(packed, uint64(step)) // #nosec G115 -- buckets are in order
	return binary.AppendUvarint(packed, uint64(n))      // #nosec G115 -- counts are not negative
}

// bucketOf returns the index of a time's bucket. A time out of range counts as the nearest one in range.
func bucketOf(micros int64) uint16 {
	micros = min(max(micros, 0), maxMicros)
	magnitude := bits.Len64(uint64(micros)|(subBuckets-1)) - (halfMagnitude + 1) // #nosec G115 -- not negative
	return uint16(magnitude<<halfMagnitude + int(micros>>magnitude))             // #nosec G115 -- less than bucketCount
}

// highestOf returns the highest time of a bucket.
func highestOf(index uint16) int64 {
	if index < subBuckets {
		return int64(index)
	}
	magnitude := int64(index)>>halfMagnitude - 1
	return (int64(index)-magnitude<<halfMagnitude+1)<<magnitude - 1
}

func (h *Histogram) eachBucket(yield func(index uint16, n int64)) {
	if h == nil {
		return
	}
	index := uint64(0)
	for rest := h.packed; len(rest) > 0; {
		step, size := binary.Uvarint(rest)
		n, more := binary.Uvarint(rest[size:])
		rest = rest[size+more:]
		index += step
		yield(uint16(index), int64(n)) // #nosec G115 -- as they were packed
	}
}

// Record counts a time in µs n times. For many different times, HistogramOf is faster.
func (h *Histogram) Record(micros, n int64) {
	if n > 0 {
		h.Add(&Histogram{count: n, packed: appendBucket(nil, int(bucketOf(micros)), n)})
	}
}

// Add adds the counts of another histogram.
func (h *Histogram) Add(other *Histogram) {
	switch {
	case other.Count() == 0:
	case h.count == 0:
		*h = *other
	default:
		*h = *Sum(h, other)
	}
}

// Count returns how many times were counted.
func (h *Histogram) Count() int64 {
	if h == nil {
		return 0
	}
	return h.count
}

// Rank returns the k-th smallest time in µs, with k from 1 to Count; a k out of range counts as the nearest in range. Without
// times it is 0.
func (h *Histogram) Rank(k int64) int64 {
	k = min(max(k, 1), h.Count())
	found, below := int64(0), int64(0)
	h.eachBucket(func(index uint16, n int64) {
		if below < k {
			found = highestOf(index)
		}
		below += n
	})
	return found
}

// Quantile returns the time in µs that a share q of the times, from 0 to 1, do not exceed: HdrHistogram's percentile 100 q.
// Without times it is 0.
func (h *Histogram) Quantile(q float64) int64 {
	return h.Rank(int64(min(max(q, 0), 1)*float64(h.Count()) + 0.5))
}

// Each yields the highest time in µs and the count of each bucket in use, in order.
func (h *Histogram) Each(yield func(micros, n int64)) {
	h.eachBucket(func(index uint16, n int64) { yield(highestOf(index), n) })
}
