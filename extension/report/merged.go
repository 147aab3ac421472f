package report

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

const (
	// lateBegin is the delay after the first runner from which a runner is reported as late: runners of k6 that are started
	// together begin within a second or two of each other.
	lateBegin = 3 * time.Second
	// earlyEnd is the time before the last second of the run above which a runner's evidence is reported as ending early.
	earlyEnd = time.Second
)

// Merged returns the report of the merged evidence of several runners. The parts are the evidence of each runner.
func Merged(run *evidence.Run, parts []evidence.Part, judged verdict.Verdict) *Report {
	r := Of(run, judged)
	r.Name += evidence.MergedSuffix
	expected := 0
	for _, runner := range run.Runners {
		expected = max(expected, runner.Count)
	}
	r.Runner = fmt.Sprintf("%d of %d, merged", len(run.Runners), max(expected, len(run.Runners)))
	// Findings of one runner that are neither failures nor warnings are dropped, and the sums over all runners are added instead.
	r.Findings = slices.DeleteFunc(r.Findings, func(f Finding) bool { return f.Mark != "✗" && f.Mark != "!" })
	r.Findings = append(r.Findings, loads(run)...)
	incomplete := r.addRunners(run, parts, expected)
	r.Findings = append(r.Findings, clocks(run.Runners))
	if len(incomplete) > 0 {
		r.Ending = strings.Join(slices.DeleteFunc(append(incomplete, r.Ending), func(s string) bool { return s == "" }), "; ")
	}
	r.Tables = append([]Table{measured(run)}, r.Tables...)
	return r
}

// Incomplete reports whether the evidence of a runner is missing or has no end.
func Incomplete(run *evidence.Run) bool {
	return slices.ContainsFunc(run.Runners, func(r evidence.Runner) bool { return !r.Ended || r.Count > len(run.Runners) })
}

// addRunners adds a table of the runners and a warning for each that began late. It returns a sentence for each that is missing
// or was killed.
func (r *Report) addRunners(run *evidence.Run, parts []evidence.Part, expected int) (incomplete []string) {
	t := Table{Title: "Runners", Columns: []string{"", "runner", "began", "clock", "evidence"}}
	first, end := run.Header.Began, lastSecond(run)
	there := map[int]bool{}
	for _, part := range parts {
		for _, runner := range part.Run.Runners {
			there[runner.Index] = true
			mark, found := "✓", "to its end"
			if last := lastSecond(part.Run); !runner.Ended {
				mark = "✗"
				found = fmt.Sprintf("ends early, at %s, %d s before that of the run: the runner was killed", clockTime(last), end-last)
				incomplete = append(incomplete, fmt.Sprintf("%s was killed: its evidence ends at %s, %d s before that of the run",
					runner.Name(), clockTime(last), end-last))
			} else if early := time.Duration(end-last) * time.Second; early > earlyEnd && part.Run.End.Interrupted != "" {
				mark, found = "!", fmt.Sprintf("ends %s early: %s", early, part.Run.End.Interrupted)
			}
			if late := runner.Began.Sub(first).Round(time.Second); late >= lateBegin {
				mark = max(mark, "!") // a ✗ stays
				r.Warnings = append(r.Warnings, fmt.Sprintf("%s began %s after the first: until then less than the planned load was there; "+
					"start the runners together (START_AT)", runner.Name(), late))
			}
			t.Rows = append(t.Rows, []string{
				mark, runner.Name(), runner.Began.UTC().Format("15:04:05.0"), offsetText(runner), filepath.Base(part.Name) + " " + found,
			})
		}
	}
	for index := range expected {
		if there[index] {
			continue
		}
		name := evidence.Runner{Index: index, Count: expected}.Name()
		t.Rows = append(t.Rows, []string{"✗", name, "", "", "missing"})
		incomplete = append(incomplete, "the evidence of "+name+" is missing")
	}
	r.Tables = append(r.Tables, t)
	return incomplete
}

func lastSecond(run *evidence.Run) int64 {
	_, last := run.Extent()
	return max(last, run.Header.Began.Unix())
}

func clockTime(second int64) string { return time.Unix(second, 0).UTC().Format("15:04:05") }

func offsetText(r evidence.Runner) string {
	if r.ClockError == 0 {
		return "not compared"
	}
	return fmt.Sprintf("%+.2f s ± %.2f s", r.ClockOffset.Seconds(), r.ClockError.Seconds())
}

// clocks says how closely the seconds of the runners agree: those of two differ by at most the sum of their uncertainties.
func clocks(runners []evidence.Runner) Finding {
	var errs []time.Duration
	least, most, unknown := time.Duration(0), time.Duration(0), 0
	for i, r := range runners {
		if r.ClockError == 0 {
			unknown++
			continue
		}
		if len(errs) == 0 {
			least, most = runners[i].ClockOffset, runners[i].ClockOffset
		}
		least, most = min(least, r.ClockOffset), max(most, r.ClockOffset)
		errs = append(errs, r.ClockError)
	}
	slices.Sort(errs)
	switch {
	case len(runners) == 1:
		return Finding{"", "clocks", "there is one runner, so there is nothing to compare"}
	case unknown > 0:
		return finding("!", "clocks", "%d of %d runners could not compare their clock with the target's: their seconds agree as well as "+
			"their machines' clocks do", unknown, len(runners))
	}
	worst, second := errs[len(errs)-1], errs[len(errs)-2]
	return finding("", "clocks", "the runners' clocks were %+.2f to %+.2f s ahead of the target's, each known to within %.2f s, and their "+
		"times are put on the target's: the seconds of two runners agree to within %.2f s",
		least.Seconds(), most.Seconds(), worst.Seconds(), (worst + second).Seconds())
}

// loads returns the peak levels and the totals of all runners together.
func loads(run *evidence.Run) (list []Finding) {
	peaks := map[string]float64{}
	for _, second := range run.Seconds {
		for name, value := range second.Levels {
			peaks[name] = max(peaks[name], value)
		}
	}
	if users := peaks[evidence.LevelPresent]; users > 0 {
		list = append(list, finding("", "users", "%s present at the peak, of %s planned; %s waiting at the peak", Thousands(int(users)),
			Thousands(run.Header.PlannedUsers), Thousands(int(peaks[evidence.LevelWaiting]))))
	}
	if operations := counted(run, evidence.CountOperations); operations > 0 {
		list = append(list, finding("", "operations", "%s, of which %s did not do what the scenario wanted",
			Thousands(operations), Thousands(counted(run, evidence.CountErrors))))
	}
	if inside := peaks[evidence.LevelInside]; inside > 0 {
		text := strconv.FormatFloat(inside/2, 'f', -1, 64) + " at once at the peak"
		// Users that do not hold their sessions count no starts.
		if started, dropped := counted(run, evidence.CountStarted), counted(run, evidence.CountDropped); started > 0 || dropped > 0 {
			text += fmt.Sprintf("; %s started, %s dropped (of users: a session has two)", Thousands(started), Thousands(dropped))
		}
		list = append(list, Finding{Title: "sessions", Text: text})
	}
	return append(list, ledgerFindings(run)...)
}

// counted returns the sum of a count over the run and over all labels.
func counted(run *evidence.Run, name string) int {
	sum := int64(0)
	for _, second := range run.Seconds {
		for label, n := range second.Counts {
			if label == name || strings.HasPrefix(label, name+"{") {
				sum += n
			}
		}
	}
	return int(sum)
}

func ledgerFindings(run *evidence.Run) []Finding {
	if run.End == nil || run.End.Ledger == nil {
		return nil
	}
	l := run.End.Ledger
	mark := ""
	if l.Wrong > 0 {
		mark = "✗"
	}
	return []Finding{finding(mark, "tokens", "%s bought, %s spent, %s lost, %s left, of %s users, %s of whom do not add up and %s could not be read",
		Thousands(int(l.Bought)), Thousands(int(l.Spent)), Thousands(int(l.Lost)), Thousands(int(l.Left)), Thousands(l.Users),
		Thousands(l.Wrong), Thousands(l.Unread))}
}

// measured returns the table of latencies, with the samples of all runners in one pool.
func measured(run *evidence.Run) Table {
	t := Table{Title: "Measured, of all runners together", Columns: []string{"", "answered", "failed", "p50 ms", "p95 ms", "p99 ms", "max ms"}}
	type pool struct {
		times  []*evidence.Histogram
		failed int64
	}
	pools := map[evidence.Series]*pool{}
	for _, second := range run.Seconds {
		for series, cell := range second.Cells {
			p := pools[series]
			if p == nil {
				p = &pool{}
				pools[series] = p
			}
			p.times = append(p.times, cell.OK)
			for _, n := range cell.Failed {
				p.failed += n
			}
		}
	}
	order := func(a, b evidence.Series) int { return strings.Compare(a.String(), b.String()) }
	for _, series := range slices.SortedFunc(maps.Keys(pools), order) {
		p := pools[series]
		sum := evidence.Sum(p.times...)
		row := append(make([]string, 0, 7), series.String(), Thousands(int(sum.Count())), Thousands(int(p.failed)))
		for _, q := range []float64{0.5, 0.95, 0.99, 1} {
			text := ""
			if sum.Count() > 0 {
				text = strconv.FormatFloat(float64(sum.Quantile(q))/1000, 'f', 2, 64)
			}
			row = append(row, text)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
