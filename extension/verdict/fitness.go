package verdict

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/plain"
)

const (
	// runnerPart is the highest p95 of the runner's own delay, as a share of the least limit.
	runnerPart = 0.5
	// busyPart is the share of its processors at which a runner counts as having none to spare.
	busyPart = 0.95
	// uptimeSlack is the tolerance in seconds for the two readings of the service's uptime, for rounding and the time they take.
	uptimeSlack = 5
)

// judge is the state that the judgement of each claim uses.
type judge struct {
	run         *evidence.Run
	window      window
	first, last int64 // seconds of the run
	overridden  bool  // a check of the preflight was overridden
	throttled   int64 // answers 429
	restarted   bool
	interrupted string            // how the evidence is incomplete; "": it is complete
	missing     bool              // a runner's evidence is absent or ends early
	lagged      bool              // the runner's delay was recorded
	lag         float64           // p95 in ms of the runner's delay in the judged part
	unread      int               // seconds of the judged part without a reading of the runner's delay
	checks      map[string]string // failed checks by name, with their text
	fit         map[string]string // passed checks by name, with their text
}

func newJudge(run *evidence.Run, claims []evidence.Claim) *judge {
	j := &judge{run: run, overridden: len(run.Header.Overridden) > 0, checks: map[string]string{}, fit: map[string]string{}}
	j.first, j.last = run.Extent()
	j.last = min(j.last, j.first+evidence.LongestRun)
	j.window = findWindow(run, j.first, j.last)
	for at := range run.Seconds {
		j.throttled += run.Seconds[at].Counts[evidence.CountThrottled]
		j.lagged = j.lagged || j.cell(evidence.Series{Metric: evidence.MetricLag}, at) != nil
	}
	j.checkInterrupted() // first, as a missing runner may be why the level was not reached
	j.checkLevel()
	j.checkSendRate(claims)
	j.checkRunner(claims)
	j.checkThrottled()
	j.checkRestarted()
	j.checkOverridden()
	return j
}

func (j *judge) cell(series evidence.Series, second int64) *evidence.Cell {
	if s := j.run.Seconds[second]; s != nil {
		return s.Cells[series]
	}
	return nil
}

// part returns the judged part of the run or, if the planned level was never reached, the whole run.
func (j *judge) part() (from, to int64) {
	if j.window.found {
		return j.window.from, j.window.to
	}
	return j.first, j.last
}

// until returns the number of seconds of the run up to the end of the judged part.
func (j *judge) until() int {
	_, to := j.part()
	return int(to - j.first + 1)
}

func (j *judge) checkLevel() {
	users, rate := j.run.Header.PlannedUsers, j.run.Header.PlannedRate
	switch {
	case len(j.run.Seconds) == 0:
		j.checks[CheckLevel] = "the evidence has no second in it: nothing was measured; run again"
	case users > 0 && !j.window.found:
		peak := slices.Max(levels(j.run, evidence.LevelPresent, j.first, j.last))
		j.checks[CheckLevel] = fmt.Sprintf("at most %s of the %s planned users were present, and the judged part begins at %s", plain.Count(peak),
			plain.Count(users), plain.Count(plannedPart*float64(users))) + j.remedy(": see the errors of auth_signup, and run until all have arrived")
	case rate > 0 && !j.window.found:
		j.checks[CheckLevel] = fmt.Sprintf("no second had %s events due, nine tenths of the planned %s", plain.Count(plannedPart*rate), plain.Count(rate)) +
			j.remedy(": run until the spike is at its top")
	case users == 0 && rate == 0:
		j.fit[CheckLevel] = "no load was planned, so the whole run is judged"
	default:
		j.fit[CheckLevel] = fmt.Sprintf("the planned load was there for %s", lasting(float64(j.window.seconds())))
	}
}

// remedy returns what to do about a level that was not reached: its own advice, unless a runner's part of the load is missing.
func (j *judge) remedy(own string) string {
	if j.missing {
		return "; " + j.interrupted
	}
	return own
}

func (j *judge) checkSendRate(claims []evidence.Claim) {
	index := slices.IndexFunc(claims, func(c evidence.Claim) bool { return c.Kind == KindPurchases })
	if index < 0 {
		return
	}
	claim := withDefaults(claims[index])
	due, inTime := j.sent(claim)
	switch share := (sample{n: due, misses: inTime}).share(); {
	case due == 0:
		j.checks[CheckSendRate] = "no event was due in the judged part, so none could be sent in time: run until the spike is at its top"
	case share < claim.Sent:
		j.checks[CheckSendRate] = fmt.Sprintf("%s of %s planned events were sent within %s of their time (%s; %s needed): "+
			"give the runner more VUs (MAX_VUS) or processors, or use several runners",
			plain.Count(inTime), plain.Count(due), millis(claim.SendWithinMs), percent(share), percent(claim.Sent))
	default:
		j.fit[CheckSendRate] = fmt.Sprintf("%s of %s planned events were sent within %s of their time",
			plain.Count(inTime), plain.Count(due), millis(claim.SendWithinMs))
	}
}

// sent returns how many events were due in the judged part, and how many of them were sent in time.
func (j *judge) sent(claim evidence.Claim) (due, inTime float64) {
	from, to := j.part()
	for at := from; at <= to; at++ {
		if second := j.run.Seconds[at]; second != nil {
			due += float64(second.Counts[evidence.CountDue])
		}
		if cell := j.cell(evidence.Series{Metric: evidence.MetricSend}, at); cell != nil {
			late := above(cell.OK, claim.SendWithinMs*1000*bucketWidth)
			inTime += float64(cell.OK.Count() - late)
		}
	}
	return due, min(inTime, due)
}

func (j *judge) checkRunner(claims []evidence.Claim) {
	from, to := j.part()
	cells := []*evidence.Histogram{}
	busy, read := 0, 0
	for at := from; at <= to; at++ {
		if cell := j.cell(evidence.Series{Metric: evidence.MetricLag}, at); cell != nil {
			cells = append(cells, cell.OK)
		} else {
			j.unread++
		}
		if second := j.run.Seconds[at]; second != nil && second.Levels[evidence.LevelCPULimit] > 0 {
			read++
			if second.Levels[evidence.LevelCPU] >= busyPart*second.Levels[evidence.LevelCPULimit] {
				busy++
			}
		}
	}
	pool := evidence.Sum(cells...)
	j.lag = float64(pool.Quantile(0.95)) / 1000
	limit := leastLimit(claims)
	switch {
	case limit > 0 && j.lag > runnerPart*limit:
		j.checks[CheckRunner] = fmt.Sprintf("the runner's own timers were late by %s (p95), more than half of the limit of %s: "+
			"what it reports is its own delay; use a machine with more processors, or several runners, and nothing else beside them", millis(j.lag), millis(limit))
	case busy*2 > read:
		j.checks[CheckRunner] = fmt.Sprintf("the runner had no processor to spare in %s of %s: "+
			"use a machine with more processors, or several runners, and nothing else beside them", plain.Count(busy), plural(read, "second"))
	case !j.lagged:
		j.fit[CheckRunner] = "the runner's own delay was not recorded"
	default:
		j.fit[CheckRunner] = fmt.Sprintf("the runner's own timers were late by %s (p95)", millis(j.lag))
	}
}

// leastLimit returns the least claimed time in ms, or 0.
func leastLimit(claims []evidence.Claim) float64 {
	least := 0.0
	for _, claim := range claims {
		if within := withDefaults(claim).WithinMs; within > 0 && (least == 0 || within < least) {
			least = within
		}
	}
	return least
}

func (j *judge) checkThrottled() {
	if j.throttled == 0 {
		j.fit[CheckThrottled] = "no answer was 429"
		return
	}
	j.checks[CheckThrottled] = fmt.Sprintf("%s 429, for the throttle is on for this runner: "+
		"have it lifted for the runner's address on the target, and run again", was(j.throttled))
}

func was(n int64) string {
	if n == 1 {
		return "1 answer was"
	}
	return plain.Count(n) + " answers were"
}

// checkRestarted compares the uptime at the end with the length of the run: a younger process began during the run. An uptime
// below that at the start is not enough, as another replica may have answered.
func (j *judge) checkRestarted() {
	end := j.run.End
	if end == nil || end.UptimeAfter < 0 || end.UptimeAfter == 0 && end.UptimeBefore <= 0 {
		j.fit[CheckRestarted] = "the service's uptime is not known"
		return
	}
	took := end.At.Sub(j.run.Header.Began).Seconds()
	grown := end.UptimeBefore < 0 || end.UptimeAfter >= end.UptimeBefore+took-uptimeSlack
	if end.UptimeAfter >= took-uptimeSlack || grown && end.UptimeBefore >= 0 {
		j.fit[CheckRestarted] = "the service did not restart"
		return
	}
	j.restarted = true
	j.checks[CheckRestarted] = fmt.Sprintf("the service restarted during the run: it was up for %s at the end of a run of %s; "+
		"find out from its logs why, and run again", lasting(end.UptimeAfter), lasting(took))
}

func (j *judge) checkOverridden() {
	if !j.overridden {
		j.fit[CheckOverridden] = "no check of the preflight was overridden"
		return
	}
	j.checks[CheckOverridden] = fmt.Sprintf("the preflight would have refused the run and was overridden (%s): "+
		"mend what it names, and run without SKIP_PREFLIGHT", strings.Join(j.run.Header.Overridden, "; "))
}

func (j *judge) checkInterrupted() {
	runners := runnersOf(j.run)
	switch {
	case len(runners.missing) > 0:
		j.missing = true
		j.interrupted = fmt.Sprintf("the evidence of %d of %d runners is missing (%s): merge that of all of them",
			len(runners.missing), runners.expected, numbers(runners.missing))
	case runners.expected > 1 && len(runners.cut) > 0:
		j.missing = true
		j.interrupted = fmt.Sprintf("%d of %d runners did not go on to their end (%s): run again",
			len(runners.cut), runners.expected, numbers(runners.cut))
	case j.run.End == nil:
		j.interrupted = "the evidence ends early, for the runner was killed: run again"
	case j.run.End.Interrupted != "":
		j.interrupted = fmt.Sprintf("the run ended before its time (%s): run again to the end", j.run.End.Interrupted)
	case j.run.Truncated:
		j.interrupted = "the file of the evidence is cut: run again"
	}
	if j.interrupted == "" {
		j.fit[CheckInterrupted] = "the run went on to its end"
		return
	}
	j.checks[CheckInterrupted] = j.interrupted
}

// runners is the expected number of runners of a run, and the numbers, from 1, of those that are missing or ended early.
type runners struct {
	expected     int
	missing, cut []int
}

func runnersOf(run *evidence.Run) runners {
	found := runners{expected: len(run.Runners)}
	there := map[int]bool{}
	for _, runner := range run.Runners {
		found.expected = max(found.expected, runner.Count)
		there[runner.Index] = true
		if !runner.Ended {
			found.cut = append(found.cut, runner.Index+1)
		}
	}
	for index := 0; len(run.Runners) > 0 && index < found.expected; index++ {
		if !there[index] {
			found.missing = append(found.missing, index+1)
		}
	}
	return found
}

// mostNumbers is how many runners a message names.
const mostNumbers = 10

func numbers(of []int) string {
	list := make([]string, 0, mostNumbers)
	for _, n := range of[:min(len(of), mostNumbers)] {
		list = append(list, strconv.Itoa(n))
	}
	if len(of) > mostNumbers {
		list = append(list, "…")
	}
	if len(of) > 1 {
		return "runners " + strings.Join(list, ", ")
	}
	return "runner " + list[0]
}

// allChecks returns the checks of the run. Those that are made for each claim, samples and unsteady, show their first failure.
func (j *judge) allChecks(results []Result) []Fitness {
	order := []string{
		CheckLevel, CheckSamples, CheckSendRate, CheckRunner, CheckThrottled, CheckRestarted, CheckOverridden, CheckUnsteady, CheckInterrupted,
	}
	own := map[string]string{CheckSamples: "there were enough samples", CheckUnsteady: "nothing that was judged grew worse while it was"}
	checks := make([]Fitness, 0, len(order))
	for _, name := range order {
		check := Fitness{Name: name, Fit: true, Text: j.fit[name]}
		if text, ok := own[name]; ok {
			check.Text = text
			if i := slices.IndexFunc(results, func(r Result) bool { return r.Why == name }); i >= 0 {
				check.Fit, check.Text = false, results[i].Reason
			}
		} else if text, unfit := j.checks[name]; unfit {
			check.Fit, check.Text = false, text
		}
		if check.Text != "" {
			checks = append(checks, check)
		}
	}
	return checks
}
