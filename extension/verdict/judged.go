package verdict

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/plain"
)

// latency judges each named operation, and any other with enough samples. PASS needs all named ones; FAIL needs one of any.
func (j *judge) latency(c evidence.Claim) Result {
	others := j.otherOperations(c)
	// One FAIL among several operations is FAIL, so each needs more confidence (Bonferroni).
	level := 1 - (1-confidence)/float64(len(c.Operations)+len(others))
	worst := Result{}
	for i, operation := range append(slices.Clone(c.Operations), others...) {
		r := j.within(c, evidence.Series{Metric: evidence.MetricRequest, Label: operation}, operation+" requests", level)
		r.Of = operation
		if i >= len(c.Operations) && r.Status != Fail {
			continue
		}
		if i == 0 || worse(r, worst) {
			worst = r
		}
	}
	worst.Title = "API " + quantileName(c.Quantile)
	worst.Measured = fmt.Sprintf("%s (%s, n %s)", worst.Measured, worst.Of, plain.Count(worst.N))
	return worst
}

// worse reports whether a has the worse status or, with the same status, the higher upper end.
func worse(a, b Result) bool {
	return cmp.Or(cmp.Compare(a.Status, b.Status), cmp.Compare(a.High, b.High)) > 0
}

// otherOperations returns the operations that the claim does not name and that have enough samples to fail.
func (j *judge) otherOperations(c evidence.Claim) []string {
	from, to := j.part()
	seen := map[string]int64{}
	for at := from; at <= to; at++ {
		second := j.run.Seconds[at]
		if second == nil {
			continue
		}
		for series, cell := range second.Cells {
			if series.Metric == evidence.MetricRequest && !slices.Contains(c.Operations, series.Label) {
				seen[series.Label] += cell.OK.Count() + evidence.Total(cell.Failed)
			}
		}
	}
	least := int64(leastSamples(1-c.Quantile, 0, confidence))
	others := []string{}
	for operation, n := range seen {
		if n >= least {
			others = append(others, operation)
		}
	}
	slices.Sort(others)
	return others
}

func (j *judge) match(c evidence.Claim) Result {
	r := j.within(c, evidence.Series{Metric: evidence.MetricMatch}, "waits for a match", confidence)
	r.Title = "match " + quantileName(c.Quantile)
	r.Measured = fmt.Sprintf("%s (n %s)", r.Measured, plain.Count(r.N))
	if lost := j.unheardMatches(c); lost.Status == Fail && r.Status != Fail {
		r.fail(lost.Reason + "; the service's events do not reach all sockets")
		r.Why = ""
	}
	return r
}

// unheardMatches judges the rate of matches that users did not hear of. They are a defect at a far lower rate than a quantile of
// the waits shows.
func (j *judge) unheardMatches(c evidence.Claim) Result {
	from, to := j.part()
	limit := int64(math.Round(c.WithinMs * 1000))
	t := newTally(to-from+1, 1)
	for i := range t.n {
		at := from + int64(i)
		cell := j.cell(evidence.Series{Metric: evidence.MetricMatch}, at)
		if cell == nil {
			continue
		}
		unheard := map[string]int64{evidence.KindUnheard: cell.Failed[evidence.KindUnheard]}
		t.n[i] = float64(cell.OK.Count() + evidence.Total(cell.Failed))
		t.misses[i] = float64(unheard[evidence.KindUnheard])
		t.failed[evidence.KindUnheard] += unheard[evidence.KindUnheard]
		t.certain[0][i] = j.certainFailures(unheard, at, limit)
	}
	return j.answer(question{
		t: t, allowed: defaultBelow, level: confidence, what: "waits for a match", missed: "ended with a match that the user did not hear of",
	})
}

// within judges whether a quantile of a series is within the claim's limit.
func (j *judge) within(c evidence.Claim, series evidence.Series, what string, level float64) Result {
	from, to := j.part()
	limit := int64(math.Round(c.WithinMs * 1000))
	t := j.times(series, limit, share(c.Quantile), from, to)
	q := question{
		t: t, allowed: share(c.Quantile), level: level, what: what, limit: c.WithinMs,
		missed: fmt.Sprintf("took longer than %s or failed", millis(c.WithinMs)), away: j.inSessions(from, to),
		hanging: j.hanging(func(s evidence.Series) bool { return s == series }, limit, from, to),
		users:   slices.Max(levels(j.run, evidence.LevelPresent, from, to)),
	}
	if series.Metric == evidence.MetricMatch {
		q.queue = levels(j.run, evidence.LevelWaiting, from, to)
	}
	if series.Metric == evidence.MetricEvent {
		q.late = j.sentLateBy(from, to)
	}
	r := j.answer(q)
	r.Needed, r.Limit, r.Unit = "under "+millis(c.WithinMs), Number(c.WithinMs), "ms"
	if r.N == 0 {
		r.Measured = "nothing measured"
		return r
	}
	low, high := quantileLevels(c.Quantile, r.Effective, confidence)
	r.Low, r.Estimate, r.High = Number(t.quantile(low)), Number(t.quantile(c.Quantile)), Number(t.quantile(high))
	if high >= 1-1e-9 && leastSamples(q.allowed, 0, confidence) > int(r.Effective) {
		r.High = Number(math.Inf(1)) // too few samples for an upper end
	}
	r.Measured = span(float64(r.Low), float64(r.High))
	return r
}

// inSessions returns for each second whether most of the users present were in sessions.
func (j *judge) inSessions(from, to int64) []bool {
	present, inside := levels(j.run, evidence.LevelPresent, from, to), levels(j.run, evidence.LevelInside, from, to)
	most := make([]bool, len(present))
	for i := range most {
		most[i] = inside[i] > present[i]/2
	}
	return most
}

// sentLateBy returns the p95 in ms of how late the events of the judged part were sent.
func (j *judge) sentLateBy(from, to int64) float64 {
	cells := []*evidence.Histogram{}
	for at := from; at <= to; at++ {
		if cell := j.cell(evidence.Series{Metric: evidence.MetricSend}, at); cell != nil {
			cells = append(cells, cell.OK)
		}
	}
	return float64(evidence.Sum(cells...).Quantile(0.95)) / 1000
}

// share returns the share that may miss a quantile, without the rounding error of 1 − 0.95.
func share(quantile float64) float64 { return math.Round((1-quantile)*1e9) / 1e9 }

// sessions judges the number of sessions held at once, and the rate of dropped sessions.
func (j *judge) sessions(c evidence.Claim) Result {
	held := j.sessionsHeld(c)
	t := j.counts(evidence.CountStarted, evidence.CountDropped)
	dropped := j.rate(question{
		t: t, allowed: c.Below, level: confidence, what: "sessions that began", missed: "were not held to their end", until: j.until(),
	})
	held.N = dropped.N
	held.Measured += fmt.Sprintf(", %s of %s dropped", plain.Count(sum(t.misses)), plain.Count(sum(t.n)))
	switch {
	case dropped.Status > held.Status:
		held.Status, held.Why, held.Reason, held.Effective = dropped.Status, dropped.Why, dropped.Reason, dropped.Effective
	case dropped.Status == Fail:
		held.Reason += "; " + dropped.Reason
	}
	return held
}

// nearly is the share of the needed level below which the claim is FAIL; from there up to the needed level it is TooClose.
const nearly = 0.95

func (j *judge) sessionsHeld(c evidence.Claim) Result {
	from, to := j.part()
	readings := levels(j.run, evidence.LevelInside, from, to)
	for i := range readings {
		readings[i] = math.Floor(readings[i] / 2)
	}
	seconds := int(c.ForSeconds)
	length := min(seconds, len(readings))
	kept := lastingLevel(readings, length)
	r := Result{
		Measured: fmt.Sprintf("%s sessions at once for %s", plain.Count(kept), lasting(float64(length))),
		Needed:   fmt.Sprintf("%s for %s needed", plain.Count(c.Least), lasting(c.ForSeconds)),
		Low:      Number(kept), Estimate: Number(kept), High: Number(kept), Limit: Number(c.Least), Unit: "sessions",
	}
	j.proven(&r, everyCheck)
	switch {
	case r.Status != Pass:
	case length < seconds:
		r.notProven(CheckSamples, fmt.Sprintf("the planned users were present for %s, and %s are needed: hold longer (HOLD)",
			lasting(float64(length)), lasting(c.ForSeconds)))
	case kept < nearly*c.Least:
		r.fail(fmt.Sprintf("no more than %s sessions were held at once for %s, with all users there who were planned: "+
			"see how long a match takes, and which sessions were dropped", plain.Count(kept), lasting(c.ForSeconds)))
	case kept < c.Least:
		r.notProven(TooClose, fmt.Sprintf("%s of %s sessions, which may be chance: use more users (SESSION_VUS)", plain.Count(kept), plain.Count(c.Least)))
	}
	return r
}

// purchases judges the ledger, the sending of events, and the time from when an event was due. It shows the worst of them.
func (j *judge) purchases(c evidence.Claim) Result {
	r := j.within(c, evidence.Series{Metric: evidence.MetricEvent}, "events", confidence)
	r.Measured = fmt.Sprintf("%s after they were due (n %s)", r.Measured, plain.Count(r.N))
	ledger := r
	j.ledger(&ledger)
	if ledger.Status == Fail && r.Status != Fail || r.Status == Pass && ledger.Status != Pass {
		r.Status, r.Why, r.Reason = ledger.Status, ledger.Why, ledger.Reason
		r.Measured += ", " + ledger.Measured
	}
	r.Title = "events answered, " + quantileName(c.Quantile)
	return r
}
