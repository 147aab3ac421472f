package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/cmd/state"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// evidenceFile writes evidence with requests of two operations, of 10 and 20 ms, and a wait for a match.
func evidenceFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "match-dry"+evidence.Extension)
	r := evidence.New(nil)
	require.NoError(t, r.Describe(evidence.Header{}, evidence.Runner{}))
	require.NoError(t, r.Open(path, nil))
	now := time.Now()
	r.Time(evidence.Series{Metric: evidence.MetricRequest, Label: "queue_join"}, now, 10*time.Millisecond, evidence.OK, "")
	r.Time(evidence.Series{Metric: evidence.MetricRequest, Label: "queue_leave"}, now, 20*time.Millisecond, evidence.OK, "")
	r.Time(evidence.Series{Metric: evidence.MetricMatch}, now, time.Second, evidence.OK, "")
	require.NoError(t, r.Close(evidence.End{}))
	return path
}

// runExport runs k6 x verity export with these arguments.
func runExport(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, notes bytes.Buffer
	gs := state.NewGlobalState(t.Context())
	gs.Stdout.Writer, gs.Stderr.Writer = &out, &notes
	cmd := newExportCommand(gs)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err = cmd.Execute()
	return out.String(), notes.String(), err
}

func tagsAndMedians(t *testing.T, log string) map[string]int64 {
	t.Helper()
	reader := hdrhistogram.NewHistogramLogReader(strings.NewReader(log))
	found := map[string]int64{}
	for {
		interval, err := reader.NextIntervalHistogram()
		require.NoError(t, err)
		if interval == nil {
			return found
		}
		found[interval.Tag()] = interval.ValueAtQuantile(50) / int64(time.Millisecond)
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	path := evidenceFile(t)
	for _, tc := range []struct {
		flags []string
		want  map[string]int64 // ms by tag
	}{
		{nil, map[string]int64{"match": 1004, "request{queue_join}": 10, "request{queue_leave}": 20}},
		{[]string{"--metric", "request"}, map[string]int64{"request{queue_join}": 10, "request{queue_leave}": 20}},
		{[]string{"--metric", "request", "--label", "queue_leave"}, map[string]int64{"": 20}},
		{[]string{"--metric", "match"}, map[string]int64{"": 1004}},
	} {
		out, notes, err := runExport(t, append([]string{path}, tc.flags...)...)
		require.NoError(t, err)
		require.Empty(t, notes)
		require.Equal(t, tc.want, tagsAndMedians(t, out), "%q", tc.flags)
	}
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	path := evidenceFile(t)
	dir := filepath.Dir(path)
	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{filepath.Join(dir, "missing")}, "open " + dir + "/missing: no such file or directory"},
		{[]string{empty}, empty + ": no evidence: the file is empty; the runner ended before its load began"},
		{[]string{path, "--metric", "request", "--label", "quue_join"}, path + `: --metric "request", --label "quue_join": there are no such ` +
			"latencies in it; there are match, request{queue_join}, request{queue_leave}"},
	} {
		out, _, err := runExport(t, tc.args...)
		require.EqualError(t, err, tc.want)
		require.Equal(t, 107, exitCodeOf(t, err))
		require.Empty(t, out)
	}
	out, _, err := runExport(t)
	require.EqualError(t, err, "accepts 1 arg(s), received 0")
	require.Empty(t, out)
}

func TestExportUsesWhatIsWholeOfACutFile(t *testing.T) {
	t.Parallel()
	path := evidenceFile(t)
	whole, err := os.ReadFile(path) //nolint:gosec // the test's own file
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, whole[:len(whole)-4], 0o600)) //nolint:gosec // the test's own file
	out, notes, err := runExport(t, path)
	require.NoError(t, err)
	require.Equal(t, path+": the file ends in the middle of a record, which is left out\n", notes)
	require.Len(t, tagsAndMedians(t, out), 3)
}

// TestThePageOfEvidenceShowsCommandsThatWork runs the commands of this subcommand that docs/evidence.md shows.
func TestThePageOfEvidenceShowsCommandsThatWork(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/evidence.md")
	require.NoError(t, err)
	found := regexp.MustCompile(`(?m)^\./k6 x verity export match-dry\S+ (.*) >\S+$`).FindAllStringSubmatch(string(page), -1)
	require.Len(t, found, 1)
	require.Len(t, found, strings.Count(string(page), "\n./k6 "), "others have no test")
	out, _, err := runExport(t, append([]string{evidenceFile(t)}, strings.Fields(found[0][1])...)...)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"": 10}, tagsAndMedians(t, out))
}
