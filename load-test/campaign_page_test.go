package loadtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/campaign"
	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// campaignOf returns a campaign of three synthetic runs: one passed, one failed, and one proves nothing; a fourth step has not begun.
func campaignOf() *campaign.Record {
	began := time.Date(2026, 11, 28, 5, 58, 0, 0, time.UTC)
	record := &campaign.Record{
		ID: "TFCQ2ZLVO5TYB3LDQXNFZ6BMJI", Tool: "v0.9.0", K6: "v2.2.0", Target: "https://staging.example.com", Window: "22:00-02:00 Australia/Sydney",
		Began: began, Ended: began.Add(90 * time.Minute), ExitCode: 99, Ending: "FAIL: the campaign ended at purchase-spike, which is NOT PROVEN",
		Baseline: &campaign.Baseline{Text: "GET /health takes 2.1 ms; nobody is queued or in a session; redis_clients 6, postgres_connections 12"},
		Events:   []campaign.Event{{At: began, Kind: campaign.KindCampaign, Text: "began: " + strings.Repeat("a long line of the log ", 12)}},
	}
	states := []campaign.State{campaign.StatePassed, campaign.StateFailed, campaign.StateNotProven}
	for i, made := range []madeRun{sessionsRun(), failedRun(), unprovenRun()} {
		judged := verdict.Judge(made.Run, made.Header.Claims)
		start := began.Add(time.Duration(2+25*i) * time.Minute)
		name := made.Header.Profile
		record.Steps = append(record.Steps, campaign.StepRecord{
			Step:  campaign.Step{Name: name, Profile: name, Scenario: made.Header.Scenario, Claims: made.Header.Claims, Shows: "whether it " + made.Header.Plan},
			State: states[i], Began: start, Ended: start.Add(madeSeconds * time.Second), Verdict: &judged, Thresholds: 17,
			Command: "BASE_URL=https://staging.example.com PROFILE=" + name + " REPORT_DIR=" + strings.Repeat("a-long-folder/", 20) + name + " ./k6 run",
			Files:   []string{name + "/" + name + ".html", name + "/" + name + evidence.Extension}, Facts: map[string]int64{"accounts_deleted": 2000},
		})
		record.Events = append(record.Events,
			campaign.Event{At: start, Kind: campaign.KindStep, Step: name, Text: "begins"},
			campaign.Event{At: start.Add(9 * time.Minute), Kind: campaign.KindDecision, Step: name, Text: "accepted"},
			campaign.Event{At: start.Add(10 * time.Minute), Kind: campaign.KindBreak, Step: name, Text: "the service is down"},
		)
	}
	record.Steps = append(record.Steps, campaign.StepRecord{Step: campaign.Step{
		Name: "sessions-1000", Scenario: "video-session-sustain", Claims: []evidence.Claim{{Kind: verdict.KindSessions, Least: 1000}},
	}})
	record.Events = append(record.Events, campaign.Event{At: record.Ended, Kind: campaign.KindNext, Text: "go on with --resume"})
	return record
}

// A browser shows the page of a campaign correctly: on a wide screen and a phone, light and dark, and printed.
func TestTheCampaignsPageInABrowser(t *testing.T) {
	t.Parallel()
	browser := startBrowser(t)
	text, err := campaign.Page(campaignOf())
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), campaign.PageFile)
	require.NoError(t, os.WriteFile(path, text, 0o600))
	for _, as := range []look{{width: 1280}, {width: 1280, dark: true}, {width: 400}, {width: 400, dark: true}, {width: 760, dark: true, print: true}} {
		page := browser.open(t, path, as)
		var seen seenPage
		page.evaluate(t, lookAtPage, &seen)
		require.Equal(t, "✗ FAIL: the campaign ended at purchase-spike, which is NOT PROVEN", seen.Verdict)
		require.Len(t, seen.Claims, 5, "match time, API p95, errors, sessions at once and purchases")
		require.Regexp(t, `^Match time`, seen.Claims[0][1])
		require.Equal(t, []string{"What to do next", "Steps", "What each step has shown", "Log"}, seen.Headings)
		require.Equal(t, "https://staging.example.com", seen.Facts["Target"])
		require.Greater(t, seen.Texts, 100)
		require.Empty(t, seen.Faint, "contrast below that of WCAG AA")
		require.Empty(t, seen.Wide)
		require.LessOrEqual(t, seen.Overflow, 0, "nothing is wider than the screen")
		require.Equal(t, as.dark && !as.print, seen.Background[0] < 128, "light or dark")
		var bars []float64
		page.evaluate(t, `[...document.querySelectorAll('.steps svg')].map((svg) => svg.querySelector('rect:not(.wait)').getBoundingClientRect().width)`, &bars)
		require.Len(t, bars, 3)
		for _, width := range bars {
			require.Greater(t, width, 20.0, "a bar that can be seen")
		}
		requests, errors := page.heard()
		require.Len(t, requests, 1, "the page itself and nothing else")
		require.Empty(t, errors)
		page.keep(t, "campaign", as)
	}
}
