package report

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// drawnRun returns a run of 17 minutes with data for every chart.
func drawnRun() *evidence.Run {
	began := time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC)
	run := &evidence.Run{
		Header: evidence.Header{
			Scenario: "queue-concurrency", Profile: "match-dry", Target: "https://staging.example.com", Plan: "500 users", PlannedUsers: 500,
			Began: began, Tool: "v0.9.0", K6: "v2.2.0", Limits: evidence.DefaultLimits(), Stages: []evidence.Stage{{Seconds: 60, Target: 500}, {Seconds: 960, Target: 500}},
			Claims:    []evidence.Claim{{Kind: "users", Least: 500}, {Kind: "match", Quantile: 0.95, WithinMs: 3000}},
			Variables: map[string]string{"PROFILE": "match-dry", "QUEUE_REGION": "it's </script>"},
		},
		Seconds: map[int64]*evidence.Second{}, Runners: []evidence.Runner{{}},
		End: &evidence.End{
			At: began.Add(17 * time.Minute), UptimeBefore: -1, UptimeAfter: -1, Thresholds: 1,
			Conditions: []evidence.Condition{{Metric: "error_rate", Condition: "rate<0.001", Passed: true, Measured: "rate=0", Samples: 9}},
			Findings:   []evidence.Finding{{Mark: "✗", Title: "error", Text: "it said </script><script>alert(1)</script>"}},
		},
	}
	for i := range int64(17 * 60) {
		run.Seconds[began.Unix()+i] = &evidence.Second{
			Cells: map[evidence.Series]*evidence.Cell{
				{Metric: evidence.MetricRequest, Label: "queue_join"}: {OK: evidence.HistogramOf(9000+i, 20000+7*i)},
				{Metric: evidence.MetricMatch}:                        {OK: evidence.HistogramOf(900000+500*i, 1200000)},
				{Metric: evidence.MetricLag}:                          {OK: evidence.HistogramOf(80, 150+i)},
			},
			Levels: map[string]float64{evidence.LevelPlanned: 500, evidence.LevelPresent: math.Min(500, float64(9*i)), evidence.LevelDepth: 40},
			Counts: map[string]int64{evidence.Labelled(evidence.CountErrors, "queue_join", "HTTPError </script>"): 1 + i%3},
		}
	}
	return run
}

func drawnPage(t *testing.T, run *evidence.Run) string {
	t.Helper()
	judged := verdict.Judge(run, run.Header.Claims)
	text, err := html(run, judged, Of(run, judged))
	require.NoError(t, err)
	return string(text)
}

func TestThePageHasWhatTheRunMeasured(t *testing.T) {
	t.Parallel()
	page := drawnPage(t, drawnRun())
	require.Less(t, len(page), 300<<10)
	require.Equal(t, 6, strings.Count(page, `<figure class="chart"`), "users, match, latency, errors, depth, delay")
	require.Equal(t, 2, strings.Count(page, `<tr class="claim `))
	require.Equal(t, 1, strings.Count(page, `<tr class="threshold"`))
	for _, part := range []string{"Users present", "Match time", "API latency by operation", "Errors by kind", "Queue depth", "runner&#39;s own delay", "PROFILE=match-dry", "STRIPE_WEBHOOK_SECRET=…"} {
		require.Contains(t, page, part)
	}
	require.NotContains(t, page, "Sessions at once")
	require.Equal(t, 3, strings.Count(page, "</script>"), "no word of the service ends a script")
	require.NotContains(t, page, "<script>alert")
}

// A run with little or no data still has a page.
func TestThePageOfARunWithLittleInIt(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC)
	failed := &evidence.Cell{Failed: map[string]int64{"TimeoutError": 7}}
	for name, c := range map[string]struct {
		run  *evidence.Run
		want string
	}{
		"nothing":     {&evidence.Run{}, "Nothing was measured."},
		"only a time": {&evidence.Run{Header: evidence.Header{Scenario: "x", Began: began}}, "the evidence has no end"},
		"only failures": {&evidence.Run{
			Header:  evidence.Header{Scenario: "x", Began: began, Limits: evidence.DefaultLimits()},
			Seconds: map[int64]*evidence.Second{began.Unix(): {Cells: map[evidence.Series]*evidence.Cell{{Metric: evidence.MetricRequest, Label: "queue_join"}: failed}}},
		}, "<td>queue_join</td><td>0</td><td></td><td></td><td></td><td></td><td>7</td>"},
	} {
		require.Contains(t, drawnPage(t, c.run), c.want, name)
	}
}

// As in the claims, a failure counts as slower than every answer.
func TestPercentilesCountFailures(t *testing.T) {
	t.Parallel()
	answered := evidence.HistogramOf(1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000)
	for _, c := range []struct {
		failed int64
		q      float64
		want   float64
	}{
		{0, 0.5, 5}, {0, 0.95, 10}, {0, 1, 10}, {1, 0.5, 6}, {1, 0.95, math.Inf(1)}, {10, 0.5, 10}, {11, 0.5, math.Inf(1)},
	} {
		found := quantileOf(answered, c.failed, c.q)
		if math.IsInf(c.want, 1) {
			require.True(t, math.IsInf(found, 1), "%v: %g", c, found)
			continue
		}
		require.InEpsilon(t, c.want, found, 0.01, "%v", c)
	}
	require.True(t, math.IsInf(quantileOf(evidence.HistogramOf(), 3, 0.5), 1))
	require.True(t, math.IsNaN(quantileOf(evidence.HistogramOf(), 0, 0.5)))
	text, err := json.Marshal(numbers{1, math.Inf(1), math.NaN()})
	require.NoError(t, err)
	require.JSONEq(t, `[1,1e+308,null]`, strings.ReplaceAll(string(text), "1e999", "1e+308"))
}

func TestUPlotIsThatOfItsPackage(t *testing.T) {
	t.Parallel()
	require.True(t, strings.HasPrefix(plotLicense, "The MIT License"))
	for file, want := range map[string]string{plotScript: "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f", plotStyle: "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"} {
		require.Equal(t, want, fmt.Sprintf("%x", sha256.Sum256([]byte(file))), "as in npm's uplot 1.6.32, dist/")
	}
}

func TestJUnitIsAsJenkinsSchemaSays(t *testing.T) {
	t.Parallel()
	xmllint, err := exec.LookPath("xmllint")
	if err != nil {
		require.Empty(t, os.Getenv("VERITY_NO_SKIP"), "xmllint is not installed")
		t.Skip("skipped, not tested: xmllint is not installed")
	}
	run := drawnRun()
	refused := &Report{Name: "x", Scenario: "x", Refused: true, Ending: "refused before the load: BASE_URL is not set"}
	for name, r := range map[string]*Report{"judged": Of(run, verdict.Judge(run, run.Header.Claims)), "example": example(), "refused": refused, "empty": {Name: "x"}} {
		text, err := r.JUnit()
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "x.xml")
		require.NoError(t, os.WriteFile(path, text, 0o600))
		out, err := exec.CommandContext(t.Context(), xmllint, "--noout", "--nonet", "--schema", "testdata/jenkins-junit.xsd", path).CombinedOutput() //nolint:gosec // the test's own
		require.NoError(t, err, "%s: %s", name, out)
	}
}
