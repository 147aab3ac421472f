package verdict

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/verity-app/xk6-verity/extension/plain"
)

const (
	// trendLevel is the p-value below which a rise or fall counts as a trend.
	trendLevel = 0.01
	// trendBatches is the number of batches of time whose quantiles are tested for a trend, fewestBatches the fewest for a test.
	trendBatches, fewestBatches = 20, 8
	// batchSamples is how many samples a batch needs for its quantile.
	batchSamples = 20
	// matchedUnheard is the fact that counts users that were matched and received no event.
	matchedUnheard = "matched_unheard"
	// cappedAt limits a batch's quantile, as a multiple of the claim's limit, since that of unanswered requests is infinite.
	cappedAt = 10
)

// question is whether less than an allowed share of the counted things missed the claim.
type question struct {
	t       *tally
	allowed float64   // the share that may miss
	level   float64   // the confidence of FAIL
	what    string    // the counted things: "queue_join requests"
	missed  string    // how they missed the claim: "took longer than 100 ms or failed"
	limit   float64   // in ms; 0: not about a time
	lasts   bool      // FAIL stands even if the service restarted
	queue   []float64 // users waiting by second, for a question about matches
	away    []bool    // the seconds in which most users were in sessions and sent no requests
	late    float64   // p95 in ms of how late events were sent
	hanging []float64 // by second, how many of the things that began earlier had no answer yet and never got one in time
	users   float64   // the most users present at once, for hanging
	until   int       // where the whole run is counted: the number of seconds up to the end of the judged part; else 0
}

// answer judges a question.
func (j *judge) answer(q question) Result {
	all, eff := q.t.all(), q.t.worth()
	r := Result{N: int64(all.n), Effective: eff.n}
	trend := q.trend()
	switch {
	case q.t.certainlyOver(q.allowed, q.level), q.brokenEnd(), trend.rising && q.lastPartOver():
		j.failed(&r, q, trend)
	case all.n > 0 && q.t.over(q.allowed, q.level) && j.doubtful():
		j.doubt(&r, q)
	case all.n == 0 && j.window.found:
		r.notProven(CheckSamples, fmt.Sprintf("there were no %s in the judged part of the run%s", q.what, j.instead(leastSamples(q.allowed, 0, confidence))))
	default:
		j.proven(&r, everyCheck)
		if r.Status == Pass {
			j.decide(&r, q, trend)
		}
	}
	return r
}

// instead says why there were no samples, from what users were waiting for at the run's end, and what to do.
func (j *judge) instead(least int) string {
	if j.run.End == nil || len(j.run.End.Waiting) == 0 {
		return fmt.Sprintf(", and %s are the least that can show it: run longer, with users who do that", plain.Count(float64(least)))
	}
	waiting := make([]string, 0, len(j.run.End.Waiting))
	for _, w := range j.run.End.Waiting {
		waiting = append(waiting, fmt.Sprintf("%s for %s (%s at the longest)", plural(w.Users, "user"), w.What, millis(float64(w.Longest.Milliseconds()))))
	}
	return fmt.Sprintf("; still waiting at its end: %s; find out why the service does not answer them", strings.Join(waiting, ", "))
}

// failed sets FAIL, or NOT PROVEN if a restart or the service's warm-up may be the reason.
func (j *judge) failed(r *Result, q question, trend trend) {
	switch {
	case j.restarted && !q.lasts:
		r.notProven(CheckRestarted, j.checks[CheckRestarted])
	case trend.falling && !q.t.lastOver(q.allowed):
		r.notProven(CheckUnsteady, q.warmed())
	default:
		r.fail(q.failure() + j.unheard(q))
	}
}

// warmed returns the reason for a service that was slow only at first.
func (q question) warmed() string {
	return fmt.Sprintf("the %s were slow at first and grew faster all the time, and at the end they kept the limit: "+
		"ramp up more slowly or run longer, so that the judged part is steady", q.what)
}

// failure returns the reason for a FAIL.
func (q question) failure() string {
	all, eff := q.t.all(), q.t.worth()
	text := fmt.Sprintf("%s of %s %s %s", plain.Count(all.misses), plain.Count(all.n), q.what, q.missed)
	ended := !q.t.certainlyOver(q.allowed, q.level)
	if !ended {
		text += fmt.Sprintf(" (%s with 95 %% confidence; less than %s may)",
			percentSpan(eff.lower(confidence), eff.upper(confidence)), percent(q.allowed))
	}
	if list := kinds(q.t.failed); list != "" {
		text += ": " + list
		if q.t.late > 0 {
			text += fmt.Sprintf(", %s slower than the limit", plain.Count(q.t.late))
		}
	}
	switch {
	case ended && q.brokenFrom() > 0:
		text += fmt.Sprintf("; from %s into the %s to its end most of them did: look at what the service did then", lasting(float64(q.brokenFrom())), q.counted())
	case ended:
		text += fmt.Sprintf("; in the last quarter of the judged part it was %s: look at what the service did then", percent(q.t.lastQuarter().share()))
	case q.limit > 0:
		text += "; look at the service's own metrics for that time"
	default:
		text += "; see the errors in the summary"
	}
	return text
}

// unheard adds to a reason how many users were matched without receiving the event.
func (j *judge) unheard(q question) string {
	if q.queue == nil || j.run.End == nil || j.run.End.Facts[matchedUnheard] == 0 {
		return ""
	}
	return fmt.Sprintf("; %s matched by the service and heard nothing of it: its events do not reach the sockets", usersWere(j.run.End.Facts[matchedUnheard]))
}

func usersWere(n int64) string {
	if n == 1 {
		return "1 user was"
	}
	return plural(n, "user") + " were"
}

// doubtful reports whether anything but the service may be why something missed.
func (j *judge) doubtful() bool {
	_, runner := j.checks[CheckRunner]
	return runner || j.lagged || j.overridden || j.throttled > 0
}

// doubt sets NOT PROVEN for a FAIL that the throttle, an overridden preflight or the runner may have caused.
func (j *judge) doubt(r *Result, q question) {
	if name, text, found := j.unfit([]string{CheckThrottled, CheckOverridden, CheckRunner}); found {
		r.notProven(name, text)
		return
	}
	if q.late > 0 {
		r.notProven(CheckSendRate, fmt.Sprintf("%s of the %s %s, but the runner sent them late (p95 %s): "+
			"give it more VUs (MAX_VUS) or processors, or use several runners", percent(q.t.all().share()), q.what, q.missed, millis(q.late)))
		return
	}
	delay := "p95 " + millis(j.lag)
	if j.unread > 0 {
		delay += fmt.Sprintf(", and no reading in %s", plural(j.unread, "second"))
	}
	r.notProven(CheckRunner, fmt.Sprintf("%s of the %s %s, but the runner's own delay (%s) may be why: "+
		"use a machine with more processors, or several runners, and nothing else beside them", percent(q.t.all().share()), q.what, q.missed, delay))
}

// decide sets PASS or NOT PROVEN, given that the checks of the run found the evidence fit.
func (j *judge) decide(r *Result, q question, trend trend) {
	all, eff := q.t.all(), q.t.worth()
	least := float64(leastSamples(q.allowed, 0, confidence))
	passes := eff.upper(confidence) <= q.allowed
	stood, stalled := q.stalled()
	switch {
	case all.n < least:
		r.notProven(CheckSamples, fmt.Sprintf("there are too few samples (%s): %s are the least that can show it, if none misses; run longer", plain.Count(all.n), plain.Count(least)))
	case passes && q.t.lastOver(q.allowed):
		r.notProven(CheckUnsteady, fmt.Sprintf("in the last quarter of the %s %s of the %s %s, and less than %s may: run longer, to see where it ends",
			q.counted(), percent(q.t.lastQuarter().share()), q.what, q.missed, percent(q.allowed)))
	case trend.rising && trend.crosses:
		r.notProven(CheckUnsteady, fmt.Sprintf("the %s grew slower all the time, from %s to %s (%s): if that goes on, they cross the limit; run longer, to see where it ends",
			q.what, millis(trend.begin), millis(trend.end), quantileName(1-q.allowed)))
	case trend.falling && !passes && !q.t.lastOver(q.allowed):
		r.notProven(CheckUnsteady, q.warmed())
	case stalled:
		r.notProven(CheckUnsteady, fmt.Sprintf("in %d of %d seconds there were no %s, where half of the seconds had %s or more: "+
			"users waited for something else; see what is still waiting, and the errors", stood, q.t.seconds, q.what, plain.Count(median(q.t.n))))
	case q.grows():
		begin, end := q.queueEnds()
		r.notProven(CheckUnsteady, fmt.Sprintf("the queue grew all the time, from %s to %s users: if that goes on, the wait crosses the limit; "+
			"use more queue keys (QUEUE_SHARDS), or run longer, to see where it ends", plain.Count(begin), plain.Count(end)))
	case passes:
		r.Status = Pass
	case eff.n < least:
		r.notProven(CheckSamples, fmt.Sprintf("what came near the limit came in bunches, so that %s samples are worth only %s independent ones, and %s are the least: run about %s as long",
			plain.Count(all.n), plain.Count(eff.n), plain.Count(least), times(math.Ceil(least/eff.n))))
	default:
		r.notProven(TooClose, fmt.Sprintf("too close to call: %s of the %s %s with 95 %% confidence, and less than %s may; %s",
			percentSpan(eff.lower(confidence), eff.upper(confidence)), q.what, q.missed, percent(q.allowed), q.longer(eff)))
	}
}

func times(factor float64) string {
	if factor <= 2 {
		return "twice"
	}
	return plain.Count(factor) + " times"
}

// longer says how much longer a run must be for a decision, if its share of misses stays the same.
func (q question) longer(eff sample) string {
	for factor := 1.5; factor <= 20; factor *= 1.25 {
		more := sample{n: eff.n * factor, misses: eff.misses * factor}
		if more.upper(confidence) <= q.allowed || more.lower(q.level) > q.allowed {
			return fmt.Sprintf("run about %s as long", times(math.Ceil(factor)))
		}
	}
	return "it is at the limit, so that a longer run may not tell either"
}

// lastQuarter returns the sample of the last quarter of the judged part.
func (t *tally) lastQuarter() sample { return t.part(len(t.n)-max(len(t.n)/4, 1), len(t.n)) }

// lastOver reports whether the last quarter is over the limit, so that a service that slows down does not pass by its earlier
// speed. With enough samples its share decides, else the lower bound of the share.
func (t *tally) lastOver(allowed float64) bool {
	last := t.lastQuarter()
	if last.n >= float64(leastSamples(allowed, 0, confidence)) {
		return last.share() > allowed
	}
	return last.lower(confidence) > allowed
}

// lastPartOver reports whether the last quarter alone is over the limit, counting only certain misses.
func (q question) lastPartOver() bool {
	from := len(q.t.n) - max(len(q.t.n)/4, 1)
	last := tally{n: q.t.n[from:]}
	for _, misses := range q.t.certain {
		last.certain = append(last.certain, misses[from:])
	}
	return last.certainlyOver(q.allowed, 1-(1-q.level)/2)
}

// brokenEnd reports whether most samples missed in a quarter or more of the judged part, up to its end: the service died or
// stopped answering. Seconds without samples are included, as waiting users send no requests.
func (q question) brokenEnd() bool { return q.brokenFrom() >= 0 }

// brokenFrom returns the second at which a broken end begins, or -1.
func (q question) brokenFrom() int {
	for _, misses := range q.t.certain {
		start, end := q.missedUpToEnd(misses)
		long := q.end() - start
		if long >= 3 && long*4 >= q.end() && end.misses >= 5 && end.lower(0.99) > q.allowed {
			return start
		}
	}
	return -1
}

// missedUpToEnd returns the first second of the part, up to the end, in which most samples of each second missed, and the samples
// of that part. A second without samples belongs to it if most users waited for answers that did not come.
func (q question) missedUpToEnd(misses []float64) (start int, part sample) {
	start = q.end()
	for i, n := range slices.Backward(q.t.n[:start]) {
		missed := n > 0 && misses[i]*2 > n
		if n > 0 && !missed {
			break
		}
		if missed || q.mostHang(i) {
			start, part = i, sample{part.n + n, part.misses + misses[i]}
		}
	}
	if start < len(q.hanging) {
		part.n += q.hanging[start]
		part.misses += q.hanging[start]
	}
	return start, part
}

// end returns the number of seconds up to the end of the judged part. After it, few users send the last requests.
func (q question) end() int {
	if q.until > 0 {
		return q.until
	}
	return len(q.t.n)
}

// counted returns the name of the part that is counted.
func (q question) counted() string {
	if q.until > 0 {
		return "run"
	}
	return "judged part"
}

// mostHang reports whether most users waited, in this second, for an answer that did not come.
func (q question) mostHang(second int) bool {
	return second < len(q.hanging) && q.users > 0 && q.hanging[second]*2 > q.users
}

// stalled returns the number of seconds without requests, and whether that is more than one second in twenty although most
// seconds had requests. Seconds in which most users were in sessions do not count.
func (q question) stalled() (seconds int, found bool) {
	if q.limit == 0 || median(q.t.n) < 5 {
		return 0, false
	}
	for i, n := range q.t.n {
		if n == 0 && (i >= len(q.away) || !q.away[i]) {
			seconds++
		}
	}
	return seconds, seconds*20 > len(q.t.n)
}

func median(numbers []float64) float64 {
	sorted := slices.Sorted(slices.Values(numbers))
	return sorted[len(sorted)/2]
}
