package evidence

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// segment returns one runner of count.
func segment(index, count int) Runner {
	return Runner{
		Index: index, Count: count, ID: fmt.Sprintf("runner-%d", index),
		Segment: fmt.Sprintf("%d/%d:%d/%d", index, count, index+1, count),
	}
}

// described returns the recorder of one runner of count.
func described(t *testing.T, header Header, runner Runner) *Recorder {
	t.Helper()
	r := newRecorder()
	require.NoError(t, r.Describe(header, runner))
	return r
}

// recordAtRandom records random samples in the parts, and in the whole the samples and levels that their merge must have.
func recordAtRandom(random *rand.Rand, whole *Recorder, parts []*Recorder) {
	kinds := []string{"HTTPError 500", "TimeoutError"}
	for range 3000 {
		part := parts[random.IntN(len(parts))]
		series := operations[random.IntN(len(operations))]
		begin := at(random.Float64() * 120)
		took := time.Duration(random.ExpFloat64()*5e7) * time.Nanosecond
		outcome, kind := Outcome(random.IntN(3)), kinds[random.IntN(2)]
		for _, r := range []*Recorder{whole, part} {
			r.Time(series, begin, took, outcome, kind)
			r.Count(Labelled(CountErrors, series.Label, kind), begin, 2)
		}
	}
	for second := range 120 {
		sum := 0.0
		for _, part := range parts {
			value := float64(random.IntN(1000))
			part.Level(LevelPresent, at(float64(second)), value)
			part.Level(LevelDepth, at(float64(second)), float64(7*second))
			sum += value
		}
		whole.Level(LevelPresent, at(float64(second)), sum)
		whole.Level(LevelDepth, at(float64(second)), float64(7*second))
	}
}

func TestMergedPartsEqualTheRecordOfOneRunner(t *testing.T) {
	t.Parallel()
	for _, count := range []int{1, 2, 4, 16} {
		random := rand.New(rand.NewPCG(uint64(count), 7)) //nolint:gosec // a seed that repeats
		whole := described(t, Header{}, Runner{})
		recorders := make([]*Recorder, count)
		for i := range recorders {
			recorders[i] = described(t, Header{}, segment(i, count))
		}
		recordAtRandom(random, whole, recorders)
		parts := make([]Part, count)
		for i, r := range recorders {
			parts[i] = Part{fmt.Sprintf("part %d", i), r.Run()}
		}
		random.Shuffle(count, func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		merged, err := Merge(parts...)
		require.NoError(t, err)
		require.Equal(t, whole.Run().Seconds, merged.Seconds)
		require.Len(t, merged.Seconds, 121)
		require.Len(t, merged.Runners, count)
		for i, runner := range merged.Runners {
			require.Equal(t, i, runner.Index)
		}
	}
}

func TestMergeDoesNotChangeTheParts(t *testing.T) {
	t.Parallel()
	a, b := described(t, Header{}, segment(0, 2)), described(t, Header{}, segment(1, 2))
	random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // a seed that repeats
	recordAtRandom(random, newRecorder(), []*Recorder{a, b})
	runA, runB := a.Run(), b.Run()
	_, err := Merge(Part{"a", runA}, Part{"b", runB})
	require.NoError(t, err)
	require.Equal(t, a.Run(), runA)
	require.Equal(t, b.Run(), runB)
}

func TestALevelIsCarriedOverSecondsWithoutAReading(t *testing.T) {
	t.Parallel()
	a, b := described(t, Header{}, segment(0, 2)), described(t, Header{}, segment(1, 2))
	for second := range 20 {
		a.Level(LevelPresent, at(float64(second)), 100)
	}
	for _, second := range []float64{0, 1, 3, 7, 12} { // 1, 3 and 4 left out
		b.Level(LevelPresent, at(second), 10)
	}
	merged, err := Merge(Part{"a", a.Run()}, Part{"b", b.Run()})
	require.NoError(t, err)
	var sums []float64
	for second := range int64(14) {
		sums = append(sums, merged.Seconds[at0+second].Levels[LevelPresent])
	}
	require.Equal(t, []float64{110, 110, 110, 110, 110, 110, 110, 110, 110, 110, 110, 100, 110, 100}, sums)
}

func TestMissingKilledAndLateRunnersAreNoErrors(t *testing.T) {
	t.Parallel()
	whole, killed := described(t, Header{}, segment(0, 4)), described(t, Header{}, segment(2, 4))
	whole.Time(join, at(0), time.Millisecond, OK, "")
	whole.Time(join, at(300), time.Millisecond, OK, "")
	require.NoError(t, whole.Close(End{At: at(300)}))
	killed.Time(join, at(20), time.Millisecond, OK, "")
	late := described(t, Header{Began: at(120)}, segment(1, 4))
	require.NoError(t, late.Close(End{At: at(301)}))
	merged, err := Merge(Part{"a", whole.Run()}, Part{"b", killed.Run()}, Part{"c", late.Run()})
	require.NoError(t, err)
	require.Len(t, merged.Runners, 3)
	for i, want := range []struct {
		began time.Time
		ended bool
	}{{at(0), true}, {at(120), true}, {at(0), false}} {
		require.Equal(t, i, merged.Runners[i].Index)
		require.Equal(t, 4, merged.Runners[i].Count)
		require.Equal(t, want.began, merged.Runners[i].Began)
		require.Equal(t, want.ended, merged.Runners[i].Ended)
	}
	require.Equal(t, at(301), merged.End.At)
	require.Equal(t, at(0), merged.Header.Began)
}

func TestEndsMerge(t *testing.T) {
	t.Parallel()
	ends := []End{
		{
			At: at(10), Thresholds: 17, Crossed: []string{"a"}, UptimeBefore: 100, UptimeAfter: 110, Interrupted: "stopped by Ctrl-C",
			Ledger:   &Ledger{Users: 10, Wrong: 1, Bought: 30, Spent: 20, Lost: 1, Left: 8, Examples: []string{"u1"}},
			Findings: []Finding{{"!", "x", "y"}}, Facts: map[string]int64{"matched_unheard": 2},
			Waiting: []Waiting{{"their socket", 3, time.Second}},
		},
		{
			At: at(12), Thresholds: 17, Crossed: []string{"a", "b"}, UptimeBefore: 101, UptimeAfter: 5, Interrupted: "stopped by Ctrl-C",
			Ledger:   &Ledger{Users: 5, Unread: 1, Unknown: 2, Bought: 10, Spent: 5, Left: 5},
			Findings: []Finding{{"!", "x", "y"}, {"?", "z", ""}}, Facts: map[string]int64{"matched_unheard": 1, "other": 1},
			Waiting: []Waiting{{"a match", 1, time.Second}, {"their socket", 4, time.Minute}},
		},
		{At: at(11), UptimeBefore: -1, UptimeAfter: -1},
	}
	var merged []Part
	for i, end := range ends {
		r := described(t, Header{Overridden: []string{"same", strconv.Itoa(i)}}, segment(i, 3))
		require.NoError(t, r.Close(end))
		merged = append(merged, Part{strconv.Itoa(i), r.Run()})
	}
	run, err := Merge(merged...)
	require.NoError(t, err)
	require.Equal(t, []string{"same", "0", "1", "2"}, run.Header.Overridden)
	require.Equal(t, &End{
		At: at(12), Thresholds: 34, Crossed: []string{"runner 1 of 3: a", "runner 2 of 3: a", "runner 2 of 3: b"},
		UptimeBefore: 101, UptimeAfter: 5, Interrupted: "stopped by Ctrl-C",
		Ledger:   &Ledger{Users: 15, Unread: 1, Unknown: 2, Wrong: 1, Bought: 40, Spent: 25, Lost: 1, Left: 13, Examples: []string{"u1"}},
		Findings: []Finding{{"!", "x", "runner 1 of 3: y"}, {"!", "x", "runner 2 of 3: y"}, {"?", "z", "runner 2 of 3: "}},
		Facts:    map[string]int64{"matched_unheard": 3, "other": 1},
		Waiting:  []Waiting{{"their socket", 7, time.Minute}, {"a match", 1, time.Second}},
	}, run.End)
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	same := segment(0, 2)
	with := func(change func(*Header)) Header {
		header := Header{Tool: "v1", K6: "v2", Plan: "p", Target: "http://t"}
		change(&header)
		return header
	}
	as := func(segment string) Runner { return Runner{Count: 2, ID: segment, Segment: segment} }
	second, plain := segment(1, 2), with(func(*Header) {})
	const notOneTest = "a.gz and b.gz are not of one test: "
	const oneRunOnly = "; merge the files of one run only"
	for _, tc := range []struct {
		header Header
		first  Runner
		second Runner
		want   string
	}{
		{plain, same, same, "a.gz and b.gz are of the same runner (runner-0); give the evidence of each runner once"},
		{plain, same, segment(2, 3), "a.gz is of a test of 2 runners, b.gz of one of 3" + oneRunOnly},
		{plain, as("0:1/2"), as("1/3:1"), "a.gz and b.gz overlap: execution segments 0:1/2 and 1/3:1; give the evidence of each part of the test once"},
		{plain, as("50%"), as("0.25:0.75"), "a.gz and b.gz overlap: execution segments 50% and 0.25:0.75; give the evidence of each part of the test once"},
		{plain, Runner{ID: "x"}, Runner{ID: "y"}, "a.gz and b.gz are not parts of one test, for a runner without --execution-segment " +
			"ran the whole of it; run each runner with the flags that k6 x verity segment prints"},
		{plain, same, as("1/2:1/4"), `b.gz: execution segment "1/2:1/4"; it is such as 0:1/4`},
		{plain, same, as("1e9999999:1"), `b.gz: execution segment "1e9999999:1"; it is such as 0:1/4`},
		{with(func(h *Header) { h.Plan = "q" }), same, second, notOneTest + `the plan is "p" in one and "q" in the other` + oneRunOnly},
		{with(func(h *Header) { h.Profile = "x" }), same, second, notOneTest + `the profile is "" in one and "x" in the other` + oneRunOnly},
		{with(func(h *Header) { h.Target = "http://u" }), same, second, notOneTest + `the target is "http://t" in one and "http://u" in the other` + oneRunOnly},
		{with(func(h *Header) { h.Tool = "v3" }), same, second, notOneTest + `the version of the tool is "v1" in one and "v3" in the other` + oneRunOnly},
		{with(func(h *Header) { h.PlannedUsers = 5 }), same, second, notOneTest + `the number of planned users is 0 in one and 5 in the other` + oneRunOnly},
		{with(func(h *Header) { h.Claims = []Claim{{Kind: "users"}} }), same, second, notOneTest + `what is claimed is [] in one and ` +
			`[{Kind:users Least:0 Operations:[] Quantile:0 WithinMs:0 Below:0 ForSeconds:0 SendWithinMs:0 Sent:0}] in the other` + oneRunOnly},
		{with(func(h *Header) { h.Began = at(61) }), same, second, "a.gz and b.gz are not of one run: one ended at 2026-11-28T06:00:00Z, " +
			"the other began at 2026-11-28T06:01:01Z" + oneRunOnly},
	} {
		a, b := described(t, plain, tc.first), described(t, tc.header, tc.second)
		_, err := Merge(Part{"a.gz", a.Run()}, Part{"b.gz", b.Run()})
		require.EqualError(t, err, tc.want)
	}
	_, err := Merge()
	require.EqualError(t, err, "nothing to merge; give the evidence of each runner")
}
