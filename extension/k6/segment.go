package k6

import (
	"errors"
	"fmt"
	"strings"

	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// RunnerFor says which of the runners of a test this is.
func RunnerFor(options lib.Options) evidence.Runner {
	segment, sequence := options.ExecutionSegment, options.ExecutionSegmentSequence
	if segment == nil || sequence == nil {
		return evidence.Runner{Count: 1}
	}
	index, err := indexOf(*sequence, segment)
	if err != nil {
		return evidence.Runner{Count: 1}
	}
	return evidence.Runner{Index: index, Count: len(*sequence), Segment: segment.String()}
}

// PartOf is which of the runners of a test this is, such as 1 of 2; "" for the only one, and for a segment that is refused elsewhere.
func PartOf(here evidence.Runner) string {
	if here.Segment == "" {
		return ""
	}
	return fmt.Sprintf("%d of %d", here.Index+1, here.Count)
}

// ReadSegment reads --execution-segment and its sequence, as they were given, before k6 does: the part of the test that this runner makes,
// and which of the runners it is. What is no segment, and a segment without its sequence, is refused elsewhere.
func ReadSegment(segment, sequence string) (share float64, part string) {
	own, err := lib.NewExecutionSegmentFromString(segment)
	if err != nil || own == nil {
		return 1, ""
	}
	if all, err := lib.NewExecutionSegmentSequenceFromString(sequence); err == nil {
		part = PartOf(RunnerFor(lib.Options{ExecutionSegment: own, ExecutionSegmentSequence: &all}))
	}
	return own.FloatLength(), part
}

// Share is the part of the test that this runner makes.
func Share(options lib.Options) float64 {
	if options.ExecutionSegment == nil {
		return 1
	}
	return options.ExecutionSegment.FloatLength()
}

// IsFirst reports whether this runner has the first part of the test, or all of it.
func IsFirst(options lib.Options) bool {
	return strings.HasPrefix(options.ExecutionSegment.String(), "0:")
}

// RunnersOf returns which runner of a test this is, and how many users each runner has: those of the VUs that k6 gives to
// its execution segment, usersPerVU for each, fewer for the last VU of the whole test.
func RunnersOf(options lib.Options, users, usersPerVU int) (runner int, each []int, err error) {
	segment, sequence := options.ExecutionSegment, options.ExecutionSegmentSequence
	if segment == nil {
		return 0, nil, nil
	}
	if sequence == nil {
		return 0, nil, errSegmentWithoutSequence
	}
	index, err := indexOf(*sequence, segment)
	if err != nil {
		return 0, nil, err
	}
	vus := int64((users + usersPerVU - 1) / usersPerVU)
	missing := int(vus)*usersPerVU - users
	wrapper := lib.NewExecutionSegmentSequenceWrapper(*sequence)
	for i := range *sequence {
		own := wrapper.ScaleInt64(i, vus)
		count := int(own) * usersPerVU
		if own > wrapper.ScaleInt64(i, vus-1) { // the last VU is this runner's
			count -= missing
		}
		each = append(each, count)
	}
	return index, each, nil
}

var errSegmentWithoutSequence = errors.New("--execution-segment needs --execution-segment-sequence beside it: without it " +
	"every runner numbers its users alike")

func indexOf(sequence lib.ExecutionSegmentSequence, segment *lib.ExecutionSegment) (int, error) {
	for i, s := range sequence {
		if s.Equal(segment) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("--execution-segment %s is none of --execution-segment-sequence %s", segment, sequence)
}

// EventNumbers returns a function that returns the numbers of this runner's events, one after the other, as k6 deals them out.
func EventNumbers(options lib.Options) (func() int, error) {
	tuple, err := lib.NewExecutionTuple(options.ExecutionSegment, options.ExecutionSegmentSequence)
	if err != nil {
		return nil, err
	}
	start, offsets, _ := tuple.GetStripedOffsets()
	next, i := int(start), 0
	return func() int {
		n := next
		next += int(offsets[i%len(offsets)])
		i++
		return n
	}, nil
}
