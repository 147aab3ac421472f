package campaign

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// drawnRecord returns a campaign in which two steps passed, one is not proven, and one was ended by the breaker a day later.
func drawnRecord() *Record {
	began := time.Date(2026, 11, 28, 22, 0, 0, 0, time.UTC)
	at := began.Add
	claimed := func(kinds ...string) (claims []evidence.Claim) {
		for _, kind := range kinds {
			claims = append(claims, evidence.Claim{Kind: kind})
		}
		return claims
	}
	proven := func(results ...verdict.Result) *verdict.Verdict {
		v := &verdict.Verdict{}
		for _, r := range results {
			v.Claims, v.Status = append(v.Claims, r), max(v.Status, r.Status)
		}
		return v
	}
	result := func(kind string, status verdict.Status, text string) verdict.Result {
		return verdict.Result{Claim: evidence.Claim{Kind: kind}, Status: status, Text: text, Needed: "under 100 ms", Low: 38, High: 41, Unit: "ms", N: 41200}
	}
	const hostile = `</style><script>alert(1)</script>" onload="x`
	failed := result(verdict.KindWaiting, verdict.NotProven, "1,800 to 2,300 users waiting at once")
	failed.Reason = "the level was not reached: " + hostile
	return &Record{
		ID: "TFCQ2ZLV", Tool: "v0.9.0", K6: "v2.2.0", Target: "https://staging.example.com", Window: "22:00-02:00 Australia/Sydney",
		Plan: Plan{Name: "plan.yaml " + hostile}, Began: began, Ended: at(25 * time.Hour), ExitCode: 99,
		Ending:   "FAIL: the campaign ended at purchase-spike: the service was down",
		Baseline: &Baseline{Text: "GET /health takes 2 ms; nobody is queued or in a session"},
		Steps: []StepRecord{
			{
				Step: Step{Name: "match-dry", Claims: claimed(verdict.KindMatch, verdict.KindLatency)}, State: StatePassed, Began: at(time.Minute),
				Ended: at(8 * time.Minute), Command: "PROFILE=match-dry ./k6 run load-test/queue-concurrency.js", Thresholds: 17,
				Verdict: proven(result(verdict.KindMatch, verdict.Pass, "match p95 1.8 s"), result(verdict.KindLatency, verdict.Pass, "API p95 38 to 41 ms")),
				Files:   []string{"match-dry/match-dry.html", "match-dry/match-dry.evidence.jsonl.gz"}, Facts: map[string]int64{"accounts_deleted": 500, "accounts_kept": 0},
			},
			{
				Step: Step{Name: "match-full", Claims: claimed(verdict.KindMatch, verdict.KindWaiting, verdict.KindLatency)}, State: StateAccepted, Began: at(10 * time.Minute),
				Ended:   at(30 * time.Minute),
				Verdict: proven(result(verdict.KindMatch, verdict.Pass, "match p95 2.8 s"), failed, result(verdict.KindLatency, verdict.Pass, "API p95 61 to 64 ms")),
			},
			{
				Step: Step{Name: "purchase-spike", Claims: claimed(verdict.KindPurchases)}, State: StateBroken, Began: at(24 * time.Hour), Ended: at(24*time.Hour + 3*time.Minute),
				Reason: "the service has had no healthy answer to GET /health for 15 s " + hostile,
				Files:  []string{"javascript:alert(1)//.html"},
			},
			{Step: Step{Name: "sessions-1000", Claims: claimed(verdict.KindSessions)}},
		},
		Events: []Event{
			{At: began, Kind: KindCampaign, Text: "began"},
			{At: at(9 * time.Minute), Kind: KindWait, Step: "match-full", Text: "the service is calm after 12 s"},
			{At: at(29 * time.Minute), Kind: KindDecision, Step: "match-full", Text: "NOT PROVEN accepted by ada"},
			{At: at(24*time.Hour + 2*time.Minute), Kind: KindBreak, Step: "purchase-spike", Text: "no healthy answer " + hostile},
			{At: at(25 * time.Hour), Kind: KindNext, Text: "see the service's log, then go on with --resume"},
		},
	}
}

func drawnPage(t *testing.T, record *Record) string {
	t.Helper()
	text, err := Page(record)
	require.NoError(t, err)
	return string(text)
}

func TestThePageHasTheTargetsWithTheClaimThatDecided(t *testing.T) {
	t.Parallel()
	record := drawnRecord()
	type row struct {
		title, decided string
		status         verdict.Status
		open           string
		passed         bool
	}
	var rows []row
	for _, target := range record.targets() {
		worst, _ := target.worst()
		rows = append(rows, row{target.Title, strings.TrimSpace(worst.Step + " " + worst.Text), target.Status, strings.Join(target.Open, " "), target.passed()})
	}
	require.Equal(t, []row{
		{"Match time with thousands queued", "match-full 1,800 to 2,300 users waiting at once", verdict.NotProven, "", false},
		{"API p95", "match-full API p95 61 to 64 ms", verdict.Pass, "", true},
		{"Sessions at once", "", verdict.NoClaim, "sessions-1000", false},
		{"Purchases", "", verdict.NoClaim, "purchase-spike", false},
	}, rows)

	page := drawnPage(t, record)
	require.Equal(t, 4, strings.Count(page, `<tr class="claim `))
	for _, part := range []string{
		"✗ FAIL: the campaign ended at purchase-spike", "1,800 to 2,300 users waiting at once <small>match-full</small>", "✓ match p95 2.8 s <small>match-full</small>",
		"claimed by sessions-1000", "38 to 41 ms", "500 accounts deleted, 0 left on the service", "PROFILE=match-dry ./k6 run",
		`<a href="match-dry/match-dry.html">match-dry.html</a>`, "see the service&#39;s log, then go on with --resume", "2026-11-29 23:00:00 UTC, after 25h0m0s",
		"Left out: 23h30m0s from 22:30:00 UTC.", "GET /health takes 2 ms; nobody is queued or in a session", "22:00-02:00 Australia/Sydney",
	} {
		require.Contains(t, page, part)
	}
}

func TestAPlanWithoutThousandsQueuedHasItsMatchTimesAsATarget(t *testing.T) {
	t.Parallel()
	record := drawnRecord()
	record.Steps = record.Steps[:1]
	targets := record.targets()
	require.Len(t, targets, 2)
	require.Equal(t, "Match time", targets[0].Title)
	require.True(t, targets[0].passed())
}

// A target that one step has proven, and that another step still has to prove, is not shown as passed.
func TestATargetIsNotPassedWhileAStepIsToProveIt(t *testing.T) {
	t.Parallel()
	record := drawnRecord()
	record.Steps[1].Verdict = nil
	target := record.targets()[1]
	require.Equal(t, "API p95", target.Title)
	require.False(t, target.passed())
	row := target.row()
	require.Equal(t, "open", row.Class)
	require.Equal(t, "? PASS so far", row.Mark+" "+row.Word)
	require.Equal(t, "not measured yet in match-full", row.Note)
}

func TestNoWordOnThePageIsTakenForMarkup(t *testing.T) {
	t.Parallel()
	page := drawnPage(t, drawnRecord())
	require.NotContains(t, page, "<script")
	require.Equal(t, 2, strings.Count(page, "</style>"))
	require.NotContains(t, page, `" onload="`)
	require.NotContains(t, page, "javascript:")
	require.NotRegexp(t, `(src|href)="(https?:)?//`, page)
}

func TestTheTimelineLeavesOutLongPauses(t *testing.T) {
	t.Parallel()
	record := drawnRecord()
	line := newTimeline(record)
	require.Len(t, line.spans, 2)
	var bars [][2]float64
	for i := range record.Steps[:3] {
		row := record.stepRow(i, line)
		bars = append(bars, [2]float64{row.X, row.Width})
	}
	// 29 minutes and 3, with a pause of 30 between them.
	minute := 970.0 / 32
	require.InDeltaSlice(t, []float64{0, 7 * minute, 9 * minute, 20 * minute, 29*minute + 30, 3 * minute},
		[]float64{bars[0][0], bars[0][1], bars[1][0], bars[1][1], bars[2][0], bars[2][1]}, 0.01)
	waited := record.stepRow(1, line)
	require.InDelta(t, 7*minute, waited.WaitX, 0.01)
	require.InDelta(t, 2*minute, waited.WaitFor, 0.01)
	require.Zero(t, record.stepRow(2, line).WaitFor, "a day is no wait")
	require.Equal(t, "22:29:00 UTC: NOT PROVEN accepted by ada", waited.Ticks[0].Text)
	require.Zero(t, record.stepRow(3, line).Width, "it has not begun")
	require.Zero(t, line.at(record.Began))
	require.InDelta(t, 1000.0, line.at(record.Ended), 0.01)
}

// The bars of all steps lie within the drawing, including a step that ended at once and a campaign that was killed.
func TestBarsLieOnTheDrawing(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 28, 22, 0, 0, 0, time.UTC)
	record := &Record{
		Began: began,
		Steps: []StepRecord{
			{Step: Step{Name: "a"}, State: StatePassed, Began: began, Ended: began.Add(time.Hour)},
			{Step: Step{Name: "b"}, State: StateRefused, Began: began.Add(time.Hour), Ended: began.Add(time.Hour)},
			{Step: Step{Name: "c"}, State: StateRunning, Began: began.Add(time.Hour)},
		},
		Events: []Event{{At: began.Add(90 * time.Minute)}},
	}
	line := newTimeline(record)
	for i := range record.Steps {
		row := record.stepRow(i, line)
		require.GreaterOrEqual(t, row.X, 0.0)
		require.GreaterOrEqual(t, row.Width, leastWidth)
		require.LessOrEqual(t, row.X+row.Width, timelineWidth+0.001)
	}
	require.InDelta(t, 1000.0/3, record.stepRow(2, line).Width, 0.01)
	page := drawnPage(t, record)
	require.Contains(t, page, "✗ Not ended: 1 of 3 steps have passed")
	require.Contains(t, page, "The steps of this campaign make no claim.")
	require.Contains(t, page, `<dt>Ended</dt><dd>not yet, or it was killed</dd>`)
}

func TestTheHeadOfThePage(t *testing.T) {
	t.Parallel()
	ended := time.Date(2026, 11, 28, 23, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name   string
		record Record
		class  string
	}{
		{"empty", Record{}, "open"},
		{"passed", Record{Ended: ended, Steps: []StepRecord{{State: StatePassed}, {State: StatePending}}}, "pass"},
		{"with one that was accepted", Record{Ended: ended, Steps: []StepRecord{{State: StatePassed}, {State: StateAccepted}}}, "open"},
		{"failed", Record{Ended: ended, ExitCode: 99, Steps: []StepRecord{{State: StateFailed}}}, "fail"},
		{"interrupted", Record{Ended: ended, ExitCode: 105, Steps: []StepRecord{{State: StateInterrupted}}}, "open"},
		{"refused before its first step", Record{Ended: ended, ExitCode: 108, Steps: []StepRecord{{State: StatePending}}}, "fail"},
		{"going on", Record{Steps: []StepRecord{{State: StatePassed}, {State: StateRunning}}}, "open"},
	} {
		require.Equal(t, tc.class, tc.record.class(), tc.name)
	}
	require.Contains(t, drawnPage(t, &Record{Ended: ended, Ending: "PASS: all steps have passed", Steps: []StepRecord{{State: StatePassed}}}),
		"<title>The safe execution plan: ✓ PASS: all steps have passed</title>")
}
