package verdict

import (
	"math"
	"slices"
	"strings"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// bucketWidth is the highest ratio of a histogram's value to the recorded one.
const bucketWidth = 1.008

// allowances are the excesses over a limit, as shares of it, above which a time counts against the service: a lesser excess may
// be the runner's delay. Each is valid, as the times that the runner delayed by more are subtracted.
var allowances = []float64{0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2, 5}

// tally is how many things were counted and how many of them missed the claim, by second.
type tally struct {
	seconds   int64 // in the judged part
	n, misses []float64
	// near is how many came near the limit or missed it; nil: not counted.
	near []float64
	// certain is, for each allowance, a lower bound of the misses that neither the runner nor the throttle nor an overridden
	// preflight can have caused.
	certain [][]float64
	// pool is the times of all successful ones, cells the same by second, and never how many have no such time.
	pool   *evidence.Histogram
	cells  []*evidence.Histogram
	never  []float64
	failed map[string]int64 // by kind
	late   int64            // successful ones after the limit
	// independent caches the result of worth.
	independent *sample
}

func (t *tally) all() sample { return sample{n: sum(t.n), misses: sum(t.misses)} }

// part returns the sample of the seconds from one index up to another.
func (t *tally) part(from, to int) sample {
	return sample{n: sum(t.n[from:to]), misses: sum(t.misses[from:to])}
}

// worth returns the sample that as many independent samples would be.
func (t *tally) worth() sample {
	if t.independent == nil {
		by := inflation(t.n, t.misses)
		if t.near != nil {
			by = max(by, inflation(t.n, t.near))
		}
		worth := t.all().worth(by)
		t.independent = &worth
	}
	return *t.independent
}

// over reports whether more than a share miss, with this confidence.
func (t *tally) over(share, level float64) bool { return t.worth().lower(level) > share }

// certainlyOver is over for the certain misses: those that the service itself caused.
func (t *tally) certainlyOver(share, level float64) bool {
	return slices.ContainsFunc(t.certain, func(misses []float64) bool {
		own := tally{n: t.n, misses: misses, near: t.near}
		return own.over(share, level)
	})
}

// quantile returns the time in ms at a share of the sorted times; infinite among the things without an answer.
func (t *tally) quantile(share float64) float64 {
	answered := float64(t.pool.Count())
	rank := math.Ceil(share * (answered + sum(t.never)))
	if rank > answered {
		return math.Inf(1)
	}
	return float64(t.pool.Rank(int64(rank))) / 1000
}

// times tallies the times and failures of a series against a limit in µs.
func (j *judge) times(series evidence.Series, limit int64, allowed float64, from, to int64) *tally {
	t := newTally(to-from+1, len(allowances))
	exact := j.run.Header.Limits[series.Metric] == limit
	for i := range t.n {
		cell := j.cell(series, from+int64(i))
		if cell == nil {
			continue
		}
		t.cells[i] = cell.OK
		late, cut := cell.Over, cell.CutOver
		if !exact {
			late, cut = above(cell.OK, float64(limit)), above(cell.Cut, float64(limit))
		}
		failed := evidence.Total(cell.Failed)
		t.n[i] = float64(cell.OK.Count() + failed + cut)
		t.misses[i] = float64(late + failed + cut)
		t.never[i] = float64(failed + cut)
		t.late += late
		for kind, n := range cell.Failed {
			t.failed[kind] += n
		}
		answers := j.certainFailures(cell.Failed, from+int64(i), limit)
		for a, part := range allowances {
			t.certain[a][i] = answers + j.certainLate(cell, late+cut, series.Metric, from+int64(i), float64(limit), part)
		}
	}
	t.pool = evidence.Sum(t.cells...)
	t.countNear(float64(limit), allowed)
	return t
}

func newTally(seconds int64, allowed int) *tally {
	t := &tally{
		seconds: seconds, n: make([]float64, seconds), misses: make([]float64, seconds), never: make([]float64, seconds),
		cells: make([]*evidence.Histogram, seconds), failed: map[string]int64{}, certain: make([][]float64, allowed),
	}
	for i := range t.certain {
		t.certain[i] = make([]float64, seconds)
	}
	return t
}

// countNear counts times near the limit. Their bunches show how longer times would come; the bunches of the misses show little
// if there are few.
func (t *tally) countNear(limit, allowed float64) {
	never, misses := sum(t.never), sum(t.misses)
	near := max(misses+nearMisses, nearShare*allowed*sum(t.n))
	if misses >= near {
		return
	}
	nth := max(t.pool.Count()-int64(near-never), 1)
	edge := max(float64(t.pool.Rank(nth))-1, nearPart*limit)
	t.near = make([]float64, len(t.n))
	for i, cell := range t.cells {
		t.near[i] = float64(above(cell, edge)) + t.never[i]
	}
}

// certainLate returns how many of a second's late answers and cut requests the service caused: those later by the allowance,
// less those that the runner may have delayed by as much, when sending or when receiving.
func (j *judge) certainLate(cell *evidence.Cell, late int64, metric evidence.Metric, second int64, limit, part float64) float64 {
	if !j.lagged {
		if part == 0 {
			return float64(late)
		}
		return 0
	}
	allowance := limit * part
	if part > 0 {
		edge := (limit + allowance) * bucketWidth
		late = min(late, above(cell.OK, edge)+above(cell.Cut, edge))
	}
	if late == 0 {
		return 0
	}
	until := second + int64(math.Ceil((limit+allowance)/1e6))
	delayed := 0.0
	for s := second; s <= until; s++ {
		delayed = max(delayed, j.delayed(s, allowance/2))
	}
	runners := min(2*delayed, 1) * float64(cell.OK.Count()+cell.Cut.Count())
	return max(float64(late)-runners-j.sentLate(metric, second, allowance/2), 0)
}

// sentLate returns how many of a second's events were sent later than micros after they were due, from when their time counts.
func (j *judge) sentLate(metric evidence.Metric, second int64, micros float64) float64 {
	sent := j.cell(evidence.Series{Metric: evidence.MetricSend}, second)
	if metric != evidence.MetricEvent || sent == nil {
		return 0
	}
	return float64(above(sent.OK, micros))
}

// delayed returns the share of a second in which the runner's own timers were late by more than micros. A long delay may be a
// single reading, so each reading also counts with its duration. Readings are recorded about once a second: for a second
// without any, its neighbours are used, and if they have none either, the runner stood still.
func (j *judge) delayed(second int64, micros float64) float64 {
	if second > j.last {
		return 0 // after the end of the load
	}
	share, read := j.delayedIn(second, micros)
	if read {
		return share
	}
	before, readBefore := j.delayedIn(second-1, micros)
	after, readAfter := j.delayedIn(second+1, micros)
	if readBefore || readAfter {
		return max(before, after)
	}
	return 1
}

func (j *judge) delayedIn(second int64, micros float64) (share float64, read bool) {
	cell := j.cell(evidence.Series{Metric: evidence.MetricLag}, second)
	if cell == nil || cell.OK.Count() == 0 {
		return 0, false
	}
	readings, lasted := int64(0), 0.0
	cell.OK.Each(func(late, n int64) {
		if float64(late) > micros {
			readings += n
			lasted += float64(late) * float64(n) / 1e6
		}
	})
	lasted /= float64(max(len(j.run.Runners), 1)) // a delay holds up the requests of one runner
	return min(max(float64(readings)/float64(cell.OK.Count()), lasted), 1), true
}

// certainFailures counts a second's failures that the service itself caused; the series has this limit in µs.
func (j *judge) certainFailures(failed map[string]int64, second, limit int64) float64 {
	certain := int64(0)
	for kind, n := range failed {
		switch {
		case isThrottled(kind):
		case isAnswer(kind), !j.overridden && !j.starved(second, limit):
			certain += n
		}
	}
	return float64(certain)
}

// starvedMicros is a delay in µs that a runner with idle processors does not have.
const starvedMicros = 50_000

// starved reports whether the runner's own delays may be why requests had no answer.
func (j *judge) starved(second, limit int64) bool {
	return j.lagged && j.delayed(second, max(starvedMicros, float64(limit)/10)) > 0.1
}

// hanging returns for each second how many requests or waits of some series began earlier, had no answer yet and never got one
// within the limit in µs; a limit of 0 excludes those that the end of the run cut. It is 0 where the runner's own delay may be why.
func (j *judge) hanging(of func(evidence.Series) bool, limit, from, to int64) []float64 {
	count := make([]float64, to-from+1)
	if j.overridden {
		return count
	}
	changes := make([]float64, to-from+2)
	add := func(began int64, waited *evidence.Histogram) {
		waited.Each(func(micros, n int64) {
			first, last := max(began+1, from), min(began+micros/1e6, to)
			if micros > limit && first <= last {
				changes[first-from] += float64(n)
				changes[last+1-from] -= float64(n)
			}
		})
	}
	for began := j.first; began <= to; began++ {
		second := j.run.Seconds[began]
		if second == nil {
			continue
		}
		for series, cell := range second.Cells {
			if !of(series) {
				continue
			}
			add(began, cell.FailedAfter)
			if limit > 0 {
				add(began, cell.Cut)
			}
		}
	}
	open := 0.0
	for i := range count {
		open += changes[i]
		if !j.starved(from+int64(i), limit) {
			count[i] = open
		}
	}
	return count
}

func isThrottled(kind string) bool {
	return strings.Contains(kind, "Throttled") || strings.Contains(kind, "429")
}

// isAnswer reports whether a failure is an answer of the service, which does not depend on the runner's state.
func isAnswer(kind string) bool {
	for _, name := range []string{"HTTPError", "AuthError", "InsufficientTokensError", "ConflictError", "UnexpectedAnswerError"} {
		if strings.HasPrefix(kind, name) {
			return true
		}
	}
	return false
}

// above counts the times of a histogram above micros, including all of the bucket that holds micros.
func above(h *evidence.Histogram, micros float64) int64 {
	over := int64(0)
	h.Each(func(value, n int64) {
		if float64(value) > micros {
			over += n
		}
	})
	return over
}
