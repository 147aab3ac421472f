package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/cmd/state"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// began is the time at which the load of the runners in these tests began.
var began = time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // constant

// runnerFile describes the evidence of one of four runners of a test of 400 users that took 40 s.
type runnerFile struct {
	index   int
	slow    bool          // its requests take 400 ms instead of 20
	killed  time.Duration // its evidence breaks off at this time after it began; 0: it has an end
	late    time.Duration
	crossed []string
	plan    string
	version string
	segment string        // "": the part of its index
	later   time.Duration // by how much the whole run was later
	claims  []evidence.Claim
}

// claims returns a claim on users and one on latency.
func claims() []evidence.Claim {
	return []evidence.Claim{
		{Kind: verdict.KindUsers, Least: 400},
		{Kind: verdict.KindLatency, Operations: []string{"queue_join"}, WithinMs: 100},
	}
}

func (f runnerFile) write(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, fmt.Sprintf("match-dry-runner-%d-of-4%s", f.index+1, evidence.Extension))
	began := began.Add(f.later)
	now := began.Add(f.late)
	segment := f.segment
	if segment == "" {
		segment = fmt.Sprintf("%d/4:%d/4", f.index, f.index+1)
	}
	r := evidence.New(func() time.Time { return now })
	require.NoError(t, r.Describe(
		evidence.Header{Scenario: "queue-concurrency", Plan: "a plan" + f.plan, PlannedUsers: 400, Target: "http://127.0.0.1:1", Tool: f.version, Claims: f.claims},
		evidence.Runner{Index: f.index, Count: 4, Segment: segment, Began: now, ClockError: 50 * time.Millisecond}))
	require.NoError(t, r.Open(path, nil))
	took := 20 * time.Millisecond
	if f.slow {
		took *= 20
	}
	for second := range 40 {
		at := began.Add(time.Duration(second) * time.Second)
		if at.Before(now) || f.killed > 0 && at.After(began.Add(f.killed)) {
			continue
		}
		r.Level(evidence.LevelPresent, at, 100)
		for range 20 {
			r.Time(evidence.Series{Metric: evidence.MetricRequest, Label: "queue_join"}, at, took, evidence.OK, "")
			r.Count(evidence.Labelled(evidence.CountOperations, "queue_join"), at, 1)
		}
		r.Time(evidence.Series{Metric: evidence.MetricLag}, at, time.Millisecond, evidence.OK, "")
	}
	require.NoError(t, r.Close(evidence.End{
		At: began.Add(40 * time.Second), Thresholds: 10, Crossed: f.crossed, UptimeBefore: -1, UptimeAfter: -1,
	}))
	if f.killed > 0 {
		withoutEnd(t, path)
	}
	return path
}

// withoutEnd cuts the end record off a file, as a runner killed by SIGKILL leaves it.
func withoutEnd(t *testing.T, path string) {
	t.Helper()
	run, err := evidence.ReadFile(path)
	require.NoError(t, err)
	run.End, run.Runners[0].Ended = nil, false
	require.NoError(t, writeRun(path, run))
}

// four returns the four runners of a healthy test.
func four() []runnerFile {
	return []runnerFile{{index: 0, claims: claims()}, {index: 1, claims: claims()}, {index: 2, claims: claims()}, {index: 3, claims: claims()}}
}

// runMerge runs k6 x verity merge with these arguments.
func runMerge(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	gs := state.NewGlobalState(t.Context())
	gs.Stderr.Writer = io.Discard
	gs.Stdout.Writer, gs.Env = &out, map[string]string{"COLUMNS": "1000"}
	cmd := newMergeCommand(gs)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.Execute()
	return out.String(), err
}

func TestMergeGivesOneVerdict(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func([]runnerFile) []runnerFile
		flags  []string
		exit   int // 0: no error
		want   []string
	}{
		"healthy": {
			func(f []runnerFile) []runnerFile { return f }, nil, 0,
			[]string{
				": PASS\n", "✓ PASS        400 users present at once", "n 3,200)", "all 40 passed", "3,200     0       20.",
				"400 present at the peak, of 400 planned", "the seconds of two runners agree to within 0.10 s", "runner 4 of 4",
			},
		},
		"a runner whose requests are slow": {
			func(f []runnerFile) []runnerFile { f[2].slow = true; return f }, nil, 99,
			[]string{": FAIL\n", "✗ FAIL        API p95 40"},
		},
		"a runner that crossed a threshold": {
			func(f []runnerFile) []runnerFile { f[1].crossed = []string{"error_rate rate<0.001"}; return f }, nil, 99,
			[]string{": PASS, but 1 of 40 thresholds crossed\n", "1 of 40 crossed: runner 2 of 4: error_rate rate<0.001"},
		},
		"a runner that is missing": {
			func(f []runnerFile) []runnerFile { return f[:3] }, nil, 110,
			[]string{": NOT PROVEN\n", "the evidence of 1 of 4 runners is missing (runner 4)", "✗ run          the evidence of runner 4 of 4 is missing\n"},
		},
		"a runner that was killed": {
			func(f []runnerFile) []runnerFile { f[3].killed = 20 * time.Second; return f }, nil, 110,
			[]string{
				": NOT PROVEN\n", "1 of 4 runners did not go on to their end (runner 4)",
				"runner 4 of 4 was killed: its evidence ends at 06:00:20, 19 s before that of the run",
			},
		},
		"a runner that began late": {
			func(f []runnerFile) []runnerFile { f[3].late = 10 * time.Second; return f }, nil, 0,
			[]string{": PASS\n", "runner 4 of 4 began 10s after the first"},
		},
		"fewer than expected": {
			func(f []runnerFile) []runnerFile { return f }, []string{"--expect", "5"}, 110,
			[]string{": NOT PROVEN\n", "the evidence of 1 of 5 runners is missing (runner 5)"},
		},
		"without a claim, one missing": {
			func(f []runnerFile) []runnerFile {
				for i := range f {
					f[i].claims = nil
				}
				return f[1:]
			}, nil, 110,
			[]string{"no claim is made", "the evidence of runner 1 of 4 is missing"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, f := range tc.change(four()) {
				f.write(t, dir)
			}
			out, err := runMerge(t, append(tc.flags, dir)...)
			for _, want := range tc.want {
				require.Contains(t, out, want)
			}
			if tc.exit == 0 {
				require.NoError(t, err)
				return
			}
			require.Equal(t, tc.exit, exitCodeOf(t, err))
		})
	}
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	dir, empty := t.TempDir(), t.TempDir()
	first := runnerFile{index: 0}.write(t, dir)
	second := runnerFile{index: 1}.write(t, dir)
	copied := filepath.Join(empty, "copy"+evidence.Extension)
	text, err := os.ReadFile(first) //nolint:gosec // the test's own file
	require.NoError(t, err)
	known, err := evidence.ReadFile(first)
	require.NoError(t, err)
	none := t.TempDir()
	cut, noEvidence := filepath.Join(t.TempDir(), "cut"+evidence.Extension), filepath.Join(t.TempDir(), "no"+evidence.Extension)
	require.NoError(t, os.WriteFile(copied, text, 0o600)) //nolint:gosec // the test's own
	require.NoError(t, os.WriteFile(cut, nil, 0o600))
	require.NoError(t, os.WriteFile(noEvidence, []byte("<html><body>no such file</body></html>"), 0o600))
	of := func(f runnerFile) string { return f.write(t, t.TempDir()) }
	plan, version := of(runnerFile{index: 1, plan: " of another kind"}), of(runnerFile{index: 1, version: "v2"})
	overlapping, later := of(runnerFile{index: 1, segment: "1/8:1/2"}), of(runnerFile{index: 1, later: time.Hour})
	const oneRunOnly = "; merge the files of one run only"
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{first, copied}, first + " and " + copied + " are of the same runner (" + known.Runners[0].ID + "); give the evidence of each runner once"},
		{[]string{first, plan}, first + " and " + plan + ` are not of one test: the plan is "a plan" in one and "a plan of another kind" in the other` + oneRunOnly},
		{[]string{first, version}, first + " and " + version + ` are not of one test: the version of the tool is "" in one and "v2" in the other` + oneRunOnly},
		{[]string{first, overlapping}, first + " and " + overlapping + " overlap: execution segments 0/4:1/4 and 1/8:1/2; give the evidence of each part of the test once"},
		{[]string{first, later}, first + " and " + later + " are not of one run: one ended at 2026-11-28T06:00:39Z, the other began at 2026-11-28T07:00:00Z" + oneRunOnly},
		{[]string{none}, none + ": there is no *.evidence.jsonl.gz in it; give the folder that the runners had as REPORT_DIR"},
		{[]string{filepath.Join(none, "x")}, "stat " + none + "/x: no such file or directory"},
		{[]string{first, cut}, cut + ": no evidence: the file is empty; the runner ended before its load began; without this file its runner counts as missing"},
		{[]string{first, noEvidence}, noEvidence + ": no evidence: it does not begin as a gzip file does (gzip: invalid header); give a file that ends in " +
			".evidence.jsonl.gz; without this file its runner counts as missing"},
		{[]string{"--expect", "1", first, second}, "--expect 1, and there is the evidence of 2 runners in " + first + ", " + second +
			": leave out what is of another run, or expect 2"},
		{[]string{"--expect", "-1", first}, "--expect must be the number of runners, 1 to 10000, got -1"},
		{[]string{"--out", first, first}, `--out must be a folder that this process may write to, got "` + first + `": not a directory`},
	} {
		out, err := runMerge(t, tc.args...)
		require.EqualError(t, err, tc.want)
		require.Equal(t, 107, exitCodeOf(t, err))
		require.Empty(t, out)
	}
}

// A merge into the folder of the runners can be repeated, and the files written have the same content as the terminal.
func TestMergeWritesFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, f := range four() {
		f.write(t, dir)
	}
	for range 2 {
		out, err := runMerge(t, "--out", dir, dir)
		require.NoError(t, err)
		require.Contains(t, out, "written to "+dir+"/queue-concurrency-merged.md, ")
	}
	markdown, err := os.ReadFile(filepath.Join(dir, "queue-concurrency-merged.md")) //nolint:gosec // the test's own
	require.NoError(t, err)
	require.Contains(t, string(markdown), "# queue-concurrency-merged: ✓ PASS\n")
	require.Contains(t, string(markdown), "## Thresholds\n\n0 of 40 crossed\n")
	junit, err := os.ReadFile(filepath.Join(dir, "queue-concurrency-merged.xml")) //nolint:gosec // the test's own
	require.NoError(t, err)
	require.Contains(t, string(junit), `<testsuites tests="4" failures="0" errors="0"`)
	require.Contains(t, string(junit), `name="40 thresholds that were not crossed"`)
	run, err := evidence.ReadFile(filepath.Join(dir, "queue-concurrency-merged"+evidence.Extension))
	require.NoError(t, err)
	require.Len(t, run.Runners, 4)
	require.NotNil(t, run.End)
}

func TestMergeAsJSON(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, f := range four() {
		f.write(t, dir)
	}
	out, err := runMerge(t, "--json", dir)
	require.NoError(t, err)
	var judged verdict.Verdict
	require.NoError(t, json.Unmarshal([]byte(out), &judged))
	require.Equal(t, verdict.Pass, judged.Status)
	require.Len(t, judged.Claims, 2)

	out, err = runMerge(t, "--json", "--expect", "5", dir)
	require.Equal(t, 110, exitCodeOf(t, err))
	require.NoError(t, json.Unmarshal([]byte(out), &judged), "nothing but JSON on stdout")
	require.Equal(t, verdict.NotProven, judged.Status)
	require.Equal(t, "the evidence of 1 of 5 runners is missing (runner 5): merge that of all of them", judged.Claims[1].Reason)
}

func TestSegment(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		job  string
		want string
	}{
		{[]string{"0", "1"}, "", "--execution-segment 0:1 --execution-segment-sequence 0,1"},
		{[]string{"0", "4"}, "", "--execution-segment 0:1/4 --execution-segment-sequence 0,1/4,2/4,3/4,1"},
		{[]string{"3", "4"}, "1", "--execution-segment 3/4:1 --execution-segment-sequence 0,1/4,2/4,3/4,1"},
		{[]string{"4"}, "1", "--execution-segment 1/4:2/4 --execution-segment-sequence 0,1/4,2/4,3/4,1"},
	} {
		flags, err := segmentFlags(tc.args, tc.job)
		require.NoError(t, err)
		require.Equal(t, tc.want, flags)
	}
	for _, tc := range []struct {
		args []string
		job  string
		want string
	}{
		{[]string{"4"}, "", "INDEX is missing, and JOB_COMPLETION_INDEX is not set: give both, such as segment 0 4"},
		{[]string{"4", "4"}, "", `INDEX must be which of the 4 runners this is, 0 to 3, got "4"`},
		{[]string{"x", "4"}, "", `INDEX must be which of the 4 runners this is, 0 to 3, got "x"`},
		{[]string{"4"}, "9", `INDEX must be which of the 4 runners this is, 0 to 3, got "9"`},
		{[]string{"0", "0"}, "", `COUNT must be the number of runners, 1 to 10000, got "0"`},
	} {
		_, err := segmentFlags(tc.args, tc.job)
		require.EqualError(t, err, tc.want)
	}
}
