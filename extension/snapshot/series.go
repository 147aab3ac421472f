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
	// lookback is how far back Prometheus looks for the last sample of a series, by default.
	lookback = 5 * time.Minute
	// chunk is how long a part of a run is whose raw samples are read by one request.
	chunk = 6 * time.Hour
)

// history is the scraped samples of one series, in the order of their times.
type history []model.SamplePair

// window is the start and end of the run, and from when on a scrape has everything that the service counts of it.
type window struct{ start, end, until model.Time }

// rise is the increase of a counter, or of several together.
type rise struct {
	value  float64
	resets int
	series int
	began  int // series that began during the run; they count from their first scrape
	ended  int // series that ended before the run did
	first  model.Time
	last   model.Time // the scrapes between which value was counted
}

// riseOf returns the increase from the last scrape at or before the start to the first at or after until. A counter that fell
// was reset to zero. Without a scrape in the window the result has no series.
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

// climbOf returns the increase of the value of an expression. Where the value fell, any of its series may have been reset, so
// that the increase at that time is unknown and left out.
func (h history) climbOf() rise {
	numbers := h.numbers()
	if len(numbers) == 0 {
		return rise{}
	}
	r := rise{series: 1, first: numbers[0].Timestamp, last: numbers[len(numbers)-1].Timestamp}
	r.value, r.resets, _ = h.between(r.first, r.last)
	return r
}

// between returns by how much the samples from first to last grew, how often they fell, and the sum of the values they fell to.
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

// rateAt is the increase per second between the scrapes before and after a time. A counter that fell began again from zero.
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

// interval returns the median time between two scrapes, or 0 if there are fewer than two.
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

// numbers returns the finite samples.
func (h history) numbers() history {
	return slices.DeleteFunc(slices.Clone(h), func(s model.SamplePair) bool { return !isFinite(float64(s.Value)) })
}

// add returns the sum of two rises.
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

// raw returns the scraped samples of a selector between two times.
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

// join appends later samples. With Prometheus 2, adjacent chunks share the sample at their border.
func (h history) join(later []model.SamplePair) history {
	for len(h) > 0 && len(later) > 0 && later[0].Timestamp <= h[len(h)-1].Timestamp {
		later = later[1:]
	}
	return append(h, later...)
}
