package evidence

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Part is the evidence of one or more runners, with a name for messages: that of its file.
type Part struct {
	Name string
	Run  *Run
}

// heldFor is how many seconds a runner's reading of a level is used if there is no newer one, as timers that drift sometimes
// leave out a second.
const heldFor = 3

// furthestApart is the longest gap between the end of one runner's evidence and the beginning of the next one's, in one run.
const furthestApart = time.Minute

// Merge adds up the evidence of several runners of one test, to what one runner would have recorded. Times, failures, counts
// and levels are summed, except readings of the service itself, of which the largest is kept. Parts that are not of one run are
// refused. Runners that are missing (see Runner.Count), were killed or began late are no error: Run.Runners shows them.
func Merge(parts ...Part) (*Run, error) {
	if len(parts) == 0 {
		return nil, errors.New("nothing to merge; give the evidence of each runner")
	}
	if err := checkParts(parts); err != nil {
		return nil, err
	}
	merged := &Run{Header: parts[0].Run.Header, Seconds: map[int64]*Second{}}
	merged.Header.Overridden = nil
	for _, part := range parts {
		run := part.Run
		merged.addSeconds(run)
		merged.Runners = append(merged.Runners, run.Runners...)
		merged.Truncated = merged.Truncated || run.Truncated
		if run.Header.Began.Before(merged.Header.Began) {
			merged.Header.Began = run.Header.Began
		}
		merged.Header.Overridden = union(merged.Header.Overridden, run.Header.Overridden)
		merged.End = mergeEnds(merged.End, named(run, len(parts)))
	}
	slices.SortStableFunc(merged.Runners, func(a, b Runner) int { return a.Index - b.Index })
	return merged, nil
}

func (run *Run) addSeconds(from *Run) {
	levels := newHolder(from)
	for _, at := range levels.order {
		second, held := from.Seconds[at], levels.at(at)
		if second == nil && len(held) == 0 {
			continue
		}
		if second == nil {
			second = &Second{}
		}
		run.second(at).add(second, held)
	}
}

func (run *Run) second(at int64) *Second {
	second := run.Seconds[at]
	if second == nil {
		second = newSecond()
		run.Seconds[at] = second
	}
	return second
}

func (s *Second) add(from *Second, levels map[string]float64) {
	for series, cell := range from.Cells {
		s.cell(series).add(cell)
	}
	for name, n := range from.Counts {
		s.Counts[name] += n
	}
	for name, value := range levels {
		sum, isThere := s.Levels[name]
		switch {
		case !isThere:
			s.Levels[name] = value
		case isOfService(name):
			s.Levels[name] = max(sum, value)
		default:
			s.Levels[name] = sum + value
		}
	}
}

// isOfService reports whether a level is a reading of the service, which is the same for each runner.
func isOfService(level string) bool {
	return level == LevelDepth || level == LevelServer || strings.HasPrefix(level, LevelServer+"{")
}

// holder carries levels over seconds without a reading: at most heldFor seconds, and not beyond the last reading.
type holder struct {
	run   *Run
	order []int64          // the recorded seconds, and those between them that levels are carried over
	last  map[string]int64 // by level: the second of the latest reading so far
	until map[string]int64 // by level: the second of the last reading of the run
}

func newHolder(run *Run) *holder {
	h := &holder{run: run, last: map[string]int64{}, until: map[string]int64{}}
	for _, at := range slices.Sorted(maps.Keys(run.Seconds)) {
		if last := len(h.order) - 1; last >= 0 {
			for between := h.order[last] + 1; between < min(at, h.order[last]+1+heldFor); between++ {
				h.order = append(h.order, between)
			}
		}
		h.order = append(h.order, at)
		for name := range run.Seconds[at].Levels {
			h.until[name] = at
		}
	}
	return h
}

// at returns the levels of a second. It must be called with the seconds of order, in order.
func (h *holder) at(at int64) map[string]float64 {
	levels := map[string]float64{}
	if second := h.run.Seconds[at]; second != nil {
		for name := range second.Levels {
			h.last[name] = at
		}
	}
	for name, last := range h.last {
		if at-last <= heldFor && at <= h.until[name] {
			levels[name] = h.run.Seconds[last].Levels[name]
		}
	}
	return levels
}

func checkParts(parts []Part) error {
	first := parts[0]
	for _, part := range parts[1:] {
		if what, a, b := difference(first.Run.Header, part.Run.Header); what != "" {
			return fmt.Errorf("%s and %s are not of one test: %s is %s in one and %s in the other; merge the files of one run only",
				first.Name, part.Name, what, a, b)
		}
	}
	if err := checkRunners(parts); err != nil {
		return err
	}
	return checkTimes(parts)
}

// difference returns the first field that differs between two headers and must be the same in one test, with both values.
func difference(a, b Header) (what, inA, inB string) {
	for _, field := range []struct {
		name string
		a, b any
	}{
		{"the version of the format", a.Version, b.Version},
		{"the version of the tool", a.Tool, b.Tool},
		{"the version of k6", a.K6, b.K6},
		{"the scenario", a.Scenario, b.Scenario},
		{"the profile", a.Profile, b.Profile},
		{"the target", a.Target, b.Target},
		{"the plan", a.Plan, b.Plan},
		{"the number of planned users", a.PlannedUsers, b.PlannedUsers},
		{"the planned rate", a.PlannedRate, b.PlannedRate},
		{"what is claimed", a.Claims, b.Claims},
		{"why nothing is claimed", a.NoClaims, b.NoClaims},
		{"what the limits are", a.Limits, b.Limits},
	} {
		if !reflect.DeepEqual(field.a, field.b) {
			return field.name, shown(field.a), shown(field.b)
		}
	}
	return "", "", ""
}

func shown(value any) string {
	if text, isText := value.(string); isText {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%+v", value)
}

// placed is a runner with the bounds of its execution segment and the name of its file.
type placed struct {
	Runner
	name     string
	from, to *big.Rat
}

func checkRunners(parts []Part) error {
	var known []placed
	for _, part := range parts {
		for _, runner := range part.Run.Runners {
			from, to, err := segmentOf(runner.Segment)
			if err != nil {
				return fmt.Errorf("%s: %w", part.Name, err)
			}
			next := placed{runner, part.Name, from, to}
			for _, other := range known {
				if err := checkPair(other, next); err != nil {
					return err
				}
			}
			known = append(known, next)
		}
	}
	return nil
}

func checkPair(a, b placed) error {
	switch {
	case a.ID == b.ID:
		return fmt.Errorf("%s and %s are of the same runner (%s); give the evidence of each runner once", a.name, b.name, a.ID)
	case a.Count != b.Count:
		return fmt.Errorf("%s is of a test of %d runners, %s of one of %d; merge the files of one run only", a.name, a.Count, b.name, b.Count)
	case a.Segment == "" || b.Segment == "":
		return fmt.Errorf("%s and %s are not parts of one test, for a runner without --execution-segment ran the whole of it; "+
			"run each runner with the flags that k6 x verity segment prints", a.name, b.name)
	case a.from.Cmp(b.to) < 0 && b.from.Cmp(a.to) < 0:
		return fmt.Errorf("%s and %s overlap: execution segments %s and %s; give the evidence of each part of the test once",
			a.name, b.name, a.Segment, b.Segment)
	}
	return nil
}

// segmentOf parses an execution segment as k6 writes it, such as 0:1/4, 25%:50% or 1/3, which begins at 0. "" is the whole.
func segmentOf(text string) (from, to *big.Rat, err error) {
	start, end, hasStart := strings.Cut(text, ":")
	if !hasStart {
		start, end = "0", text
	}
	if text == "" {
		end = "1"
	}
	from, isFrom := shareOf(start)
	to, isTo := shareOf(end)
	if !isFrom || !isTo || from.Sign() < 0 || from.Cmp(to) >= 0 || to.Cmp(big.NewRat(1, 1)) > 0 {
		return nil, nil, fmt.Errorf("execution segment %.40q; it is such as 0:1/4", text)
	}
	return from, to, nil
}

// longestShare is the longest text of a bound; a longer number could take very long to compute.
const longestShare = 24

func shareOf(text string) (*big.Rat, bool) {
	if len(text) > longestShare || strings.ContainsAny(text, "eEpP") {
		return nil, false
	}
	number, isPercent := strings.CutSuffix(text, "%")
	share, isNumber := new(big.Rat).SetString(number)
	if isNumber && isPercent {
		share.Quo(share, big.NewRat(100, 1))
	}
	return share, isNumber
}

// checkTimes refuses parts of several runs, which may have equal headers but have different times.
func checkTimes(parts []Part) error {
	type span struct {
		name        string
		first, last int64
	}
	spans := make([]span, 0, len(parts))
	for _, part := range parts {
		began := part.Run.Header.Began.Unix()
		s := span{part.Name, began, began}
		for at := range part.Run.Seconds {
			s.first, s.last = min(s.first, at), max(s.last, at)
		}
		spans = append(spans, s)
	}
	slices.SortStableFunc(spans, func(a, b span) int { return int(a.first - b.first) })
	latest := spans[0]
	for _, next := range spans[1:] {
		if gap := time.Duration(next.first-latest.last) * time.Second; gap > furthestApart {
			return fmt.Errorf("%s and %s are not of one run: one ended at %s, the other began at %s; merge the files of one run only",
				latest.name, next.name, clockTime(latest.last), clockTime(next.first))
		}
		if next.last > latest.last {
			latest = next
		}
	}
	return nil
}

func clockTime(second int64) string { return time.Unix(second, 0).UTC().Format(time.RFC3339) }

// named returns the end of a run with the runner's name before each crossed threshold and finding, if there are several parts.
func named(run *Run, parts int) *End {
	if run.End == nil || parts == 1 || len(run.Runners) != 1 {
		return run.End
	}
	end, prefix := *run.End, run.Runners[0].Name()+": "
	end.Crossed = slices.Clone(end.Crossed)
	for i := range end.Crossed {
		end.Crossed[i] = prefix + end.Crossed[i]
	}
	end.Findings = slices.Clone(end.Findings)
	for i := range end.Findings {
		end.Findings[i].Text = prefix + end.Findings[i].Text
	}
	return &end
}

// Name returns the name of a runner, such as "runner 1 of 4", or "the runner" for a single one.
func (r Runner) Name() string {
	if r.Count < 2 {
		return "the runner"
	}
	return fmt.Sprintf("runner %d of %d", r.Index+1, r.Count)
}

// mergeEnds returns the sum of two ends, and changes neither.
func mergeEnds(a, b *End) *End {
	if a == nil || b == nil {
		return either(a, b)
	}
	merged := *a
	if b.At.After(a.At) {
		merged.At = b.At
	}
	merged.Interrupted = strings.Join(union(sentences(a.Interrupted), sentences(b.Interrupted)), "; ")
	merged.Thresholds = a.Thresholds + b.Thresholds
	merged.Crossed = union(a.Crossed, b.Crossed)
	merged.Conditions = mergeConditions(a.Conditions, b.Conditions)
	merged.UptimeBefore, merged.UptimeAfter = youngest(a, b)
	merged.Ledger = mergeLedgers(a.Ledger, b.Ledger)
	merged.Findings = union(a.Findings, b.Findings)
	merged.Facts = mergeFacts(a.Facts, b.Facts)
	merged.Waiting = mergeWaiting(a.Waiting, b.Waiting)
	merged.Checks = union(a.Checks, b.Checks)
	merged.Warnings = union(a.Warnings, b.Warnings)
	merged.Tables = slices.Concat(a.Tables, b.Tables)
	return &merged
}

// mergeConditions returns each threshold once, with the values measured by each runner. It passed if it did on each runner.
func mergeConditions(a, b []Condition) []Condition {
	merged := slices.Clone(a)
	for _, next := range b {
		at := slices.IndexFunc(merged, func(c Condition) bool { return c.Metric == next.Metric && c.Condition == next.Condition })
		if at < 0 {
			merged = append(merged, next)
			continue
		}
		c := &merged[at]
		c.Passed = c.Passed && next.Passed
		c.Measured = strings.Join(union(sentences(c.Measured), sentences(next.Measured)), "; ")
		if c.Samples < 0 || next.Samples < 0 {
			c.Samples = -1
			continue
		}
		c.Samples += next.Samples
	}
	return merged
}

func either[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

func sentences(interrupted string) []string {
	if interrupted == "" {
		return nil
	}
	return strings.Split(interrupted, "; ")
}

// union returns the elements of both lists, each once, in order.
func union[T comparable](a, b []T) []T {
	all := slices.Clone(a)
	for _, item := range b {
		if !slices.Contains(all, item) {
			all = append(all, item)
		}
	}
	return all
}

// youngest returns the uptimes of the runner between whose readings the service aged least, which shows a restart that only one
// runner saw.
func youngest(a, b *End) (before, after float64) {
	isKnown := func(e *End) bool { return e.UptimeBefore >= 0 && e.UptimeAfter >= 0 }
	if !isKnown(a) || isKnown(b) && b.UptimeAfter-b.UptimeBefore < a.UptimeAfter-a.UptimeBefore {
		return b.UptimeBefore, b.UptimeAfter
	}
	return a.UptimeBefore, a.UptimeAfter
}

const mostExamples = 10

func mergeLedgers(a, b *Ledger) *Ledger {
	if a == nil || b == nil {
		return either(a, b)
	}
	examples := slices.Concat(a.Examples, b.Examples)
	return &Ledger{
		Users: a.Users + b.Users, Unread: a.Unread + b.Unread, Unknown: a.Unknown + b.Unknown, Wrong: a.Wrong + b.Wrong,
		Bought: a.Bought + b.Bought, Spent: a.Spent + b.Spent, Lost: a.Lost + b.Lost, Left: a.Left + b.Left,
		Examples: examples[:min(len(examples), mostExamples)],
	}
}

func mergeFacts(a, b map[string]int64) map[string]int64 {
	if len(a) == 0 {
		return b
	}
	sum := maps.Clone(a)
	for name, n := range b {
		sum[name] += n
	}
	return sum
}

func mergeWaiting(a, b []Waiting) []Waiting {
	sum := slices.Clone(a)
	for _, w := range b {
		i := slices.IndexFunc(sum, func(known Waiting) bool { return known.What == w.What })
		if i < 0 {
			sum = append(sum, w)
			continue
		}
		sum[i].Users += w.Users
		sum[i].Longest = max(sum[i].Longest, w.Longest)
	}
	return sum
}
