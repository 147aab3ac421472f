package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
)

const (
	// lookback is how far back Prometheus itself looks for the last sample of a series.
	lookback = 5 * time.Minute
	// chunk is how much of a run one request asks raw samples of.
	chunk = 6 * time.Hour
)

// history is one series as it was scraped: samples in the order of their times.
type history []model.SamplePair

// window is the run, and the time from which on a scrape has all that a service counts of it.
type window struct{ start, end, until model.Time }

// rise is how much a counter, or several together, grew.
type rise struct {
	value  float64
	resets int
	series int
	began  int // series that were not there when the run began; they count from their first scrape
	ended  int // series that were gone when the run ended
	first  model.Time
	last   model.Time // the scrapes between which it was counted
}

// riseOf counts from the last scrape that is not after the start to the first that is not before until. A counter that fell
// began again from zero. Without a scrape in the window there is no rise: then it counts no series.
func (h history) riseOf(w window) rise {
	r := rise{series: 1}
	for _, sample := range h.numbers() {
		switch {
		case sample.Timestamp <= w.start:
			r.first = sample.Timestamp
		case r.first == 0:
			r.first, r.began = sample.Timestamp, 1
			r.last = sample.Timestamp
		default:
			r.last = sample.Timestamp
		}
		if r.last >= w.until {
			break
		}
	}
	if r.last == 0 {
		return rise{}
	}
	if r.last < w.end {
		r.ended = 1
	}
	var fell float64
	r.value, r.resets, fell = h.between(r.first, r.last)
	r.value += fell
	return r
}

// climbOf adds up how much the value of an expression grew. Where it fell it may have been any part of it that was reset, so
// what it gained then is unknown.
func (h history) climbOf() rise {
	numbers := h.numbers()
	if len(numbers) == 0 {
		return rise{}
	}
	r := rise{series: 1, first: numbers[0].Timestamp, last: numbers[len(numbers)-1].Timestamp}
	r.value, r.resets, _ = h.between(r.first, r.last)
	return r
}

// between adds up how much the samples from first to last grew, and counts how often they fell, and to what in sum.
func (h history) between(first, last model.Time) (grew float64, falls int, to float64) {
	before := math.NaN()
	for _, sample := range h.numbers() {
		if sample.Timestamp < first || sample.Timestamp > last {
			continue
		}
		value := float64(sample.Value)
		switch {
		case value < before:
			falls++
			to += value
		case value > before:
			grew += value - before
		}
		before = value
	}
	return grew, falls, to
}

// rateAt is by how much a second the counter grew between the scrapes before and after a time. One that fell began again from zero.
func (h history) rateAt(at model.Time) (perSecond float64, ok bool) {
	i, _ := slices.BinarySearchFunc(h, at, func(sample model.SamplePair, at model.Time) int { return cmp.Compare(sample.Timestamp, at) })
	if i == 0 || i == len(h) {
		return 0, false
	}
	before, after := h[i-1], h[i]
	grew := float64(after.Value - before.Value)
	if grew < 0 {
		grew = float64(after.Value)
	}
	perSecond = grew / after.Timestamp.Sub(before.Timestamp).Seconds()
	return perSecond, isFinite(perSecond)
}

// interval is the usual time between two scrapes; 0 where there are no two.
func (h history) interval() time.Duration {
	if len(h) < 2 {
		return 0
	}
	gaps := make([]time.Duration, len(h)-1)
	for i := range gaps {
		gaps[i] = h[i+1].Timestamp.Sub(h[i].Timestamp)
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}

// numbers leaves out the samples that are not finite.
func (h history) numbers() history {
	return slices.DeleteFunc(slices.Clone(h), func(s model.SamplePair) bool { return !isFinite(float64(s.Value)) })
}

// add adds up the rises of several series.
func (r rise) add(other rise) rise {
	if other.series == 0 {
		return r
	}
	if r.series == 0 {
		return other
	}
	return rise{
		value: r.value + other.value, resets: r.resets + other.resets, series: r.series + other.series,
		began: r.began + other.began, ended: r.ended + other.ended,
		first: min(r.first, other.first), last: max(r.last, other.last),
	}
}

// raw returns the samples of a selector as they were scraped, from one time to another.
func (r *Reader) raw(ctx context.Context, selected string, from, to time.Time, notes *notes) (map[model.Fingerprint]history, error) {
	all := make(map[model.Fingerprint]history)
	for from.Before(to) {
		end := from.Add(chunk)
		if end.After(to) {
			end = to
		}
		expr := fmt.Sprintf("%s[%dms]", selected, end.Sub(from).Milliseconds())
		value, err := r.query(ctx, expr, end, notes)
		if err != nil {
			return nil, err
		}
		matrix, ok := value.(model.Matrix)
		if !ok {
			return nil, errors.New("the samples of the expression cannot be had: this Prometheus answers a range with something else")
		}
		for _, stream := range matrix {
			key := stream.Metric.Fingerprint()
			all[key] = all[key].join(stream.Values)
		}
		from = end
	}
	return all, nil
}

// join appends later samples. Chunks of Prometheus 2 share the sample at their border.
func (h history) join(later []model.SamplePair) history {
	for len(h) > 0 && len(later) > 0 && later[0].Timestamp <= h[len(h)-1].Timestamp {
		later = later[1:]
	}
	return append(h, later...)
}
