package loadtest_test

import (
	_ "embed"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/standin"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

//go:embed testdata/page.js
var lookAtPage string

// pictures is the folder in which pictures of the pages are kept for inspection.
var pictures = flag.String("pictures", "", "keep pictures of the pages of reports in this folder") //nolint:gochecknoglobals // a flag

// seenPage is what testdata/page.js finds.
type seenPage struct {
	Title, Verdict, Again string
	Claims                [][]string
	Facts                 map[string]string
	Charts                []seenChart
	Distributions         []string
	Findings, Headings    []string
	Thresholds            [][]string
	Below                 int // where the first screen ends
	Overflow, Texts       int
	Background            []int
	Faint, Wide           []string
}

// seenChart is one over the time of the run.
type seenChart struct {
	Title string
	Drawn bool
	Lines []string
	Left  int // where its time axis begins

	Columns []string
	Rows    int
	Table   bool // is seen
}

func (s seenPage) titles() (titles []string) {
	for _, chart := range s.Charts {
		titles = append(titles, chart.Title)
	}
	return titles
}

// madeRun is synthetic evidence of a run of 17 minutes.
type madeRun struct {
	*evidence.Run

	random *rand.Rand
}

const madeSeconds = 17 * 60

func newMadeRun(header evidence.Header) madeRun {
	began := time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC)
	header.Version, header.Target, header.Began, header.Tool, header.K6 = evidence.Version, "https://staging.example.com", began, "v0.9.0", "v2.2.0"
	header.Limits = evidence.DefaultLimits()
	end := evidence.End{
		At: began.Add(madeSeconds * time.Second), UptimeBefore: 3600, UptimeAfter: 3600 + madeSeconds, Thresholds: 2,
		Conditions: []evidence.Condition{
			{Metric: "error_rate", Condition: "rate<0.001", Passed: true, Measured: "rate=0", Samples: 90000},
			{Metric: "http_req_duration{name:queue_join}", Condition: "p(95)<100", Passed: true, Measured: "p(95)=31.4 ms", Samples: 41200},
		},
		Findings: []evidence.Finding{{Mark: "✗", Title: "error", Text: "it said </script><script>alert(1)</script>, for example: " + strings.Repeat("x", 90)}},
		Tables:   []evidence.Table{{Title: "Preflight", Columns: []string{"", "check", "found"}, Rows: [][]string{{"✓", "health", "answered in 3 ms"}}}},
		Ledger:   &evidence.Ledger{Users: 500, Bought: 5000, Spent: 3000, Left: 2000},
	}
	run := &evidence.Run{Header: header, Seconds: map[int64]*evidence.Second{}, End: &end, Runners: []evidence.Runner{{Count: 1, Began: began, ID: "one", Ended: true}}}
	for i := range int64(madeSeconds) {
		run.Seconds[began.Unix()+i] = &evidence.Second{Cells: map[evidence.Series]*evidence.Cell{}, Levels: map[string]float64{}, Counts: map[string]int64{}}
	}
	made := madeRun{run, rand.New(rand.NewPCG(1, 2))} // #nosec G404 -- noise
	made.each(func(_ int, second *evidence.Second) {
		made.times(second, evidence.MetricLag, "", 10, 0.2, nil)
		second.Levels[evidence.LevelCPU], second.Levels[evidence.LevelCPULimit] = 0.4+0.1*made.random.Float64(), 2
	})
	return made
}

// each calls f with each second of the run.
func (m madeRun) each(f func(i int, second *evidence.Second)) {
	for i := range madeSeconds {
		f(i, m.Seconds[m.Header.Began.Unix()+int64(i)])
	}
}

// times adds n samples of about this many ms.
func (m madeRun) times(second *evidence.Second, metric evidence.Metric, label string, n int, ms float64, failed map[string]int64) {
	micros := make([]int64, n)
	over := int64(0)
	limit := m.Header.Limits[metric]
	for i := range micros {
		micros[i] = max(1, int64(1000*ms*math.Exp(0.35*m.random.NormFloat64())))
		if limit > 0 && micros[i] > limit {
			over++
		}
	}
	second.Cells[evidence.Series{Metric: metric, Label: label}] = &evidence.Cell{OK: evidence.HistogramOf(micros...), Over: over, Failed: failed}
}

// ramp returns the level at second i: up within five minutes, held for ten, and down in two.
func ramp(i, top int) float64 {
	return float64(top) * min(1, float64(i)/300, float64(madeSeconds-i)/120)
}

// sessionsRun returns a run in which users hold sessions on a healthy service.
func sessionsRun() madeRun {
	m := newMadeRun(evidence.Header{
		Scenario: "video-session-sustain", Profile: "sessions-full", PlannedUsers: 2000,
		Plan:      "profile sessions-full; 2000 users, 50 a VU; up in 5m, hold 10m, down in 2m; think 0.5 to 1.5 s",
		Stages:    []evidence.Stage{{Seconds: 300, Target: 2000}, {Seconds: 600, Target: 2000}, {Seconds: 120, Target: 0}},
		Variables: map[string]string{"PROFILE": "sessions-full", "QUEUE_REGION": "it's </script>"},
		Claims: []evidence.Claim{
			{Kind: verdict.KindSessions, Least: 900, ForSeconds: 300}, {Kind: verdict.KindMatch, Quantile: 0.95, WithinMs: 3000},
			{Kind: verdict.KindLatency, Operations: []string{"queue_join"}, Quantile: 0.95, WithinMs: 100},
			{Kind: verdict.KindErrors, Below: 0.001}, {Kind: verdict.KindTokens},
		},
	})
	m.each(func(i int, second *evidence.Second) {
		users := ramp(i, 2000)
		for _, operation := range []string{"auth_refresh", "auth_signup", "queue_join", "stripe_webhook", "tokens_balance"} {
			m.times(second, evidence.MetricRequest, operation, 30, 20, nil)
			second.Counts[evidence.Labelled(evidence.CountOperations, operation)] = 30
		}
		m.times(second, evidence.MetricMatch, "", 30, 700, nil)
		m.times(second, evidence.MetricSocket, "", 2, 15, nil)
		m.times(second, evidence.MetricStart, "", 20, 8, nil)
		m.times(second, evidence.MetricSession, "", 20, 45000, nil)
		second.Levels[evidence.LevelPlanned], second.Levels[evidence.LevelPresent] = users, math.Floor(users)
		second.Levels[evidence.LevelWaiting], second.Levels[evidence.LevelInside] = math.Floor(0.04*users), math.Floor(0.94*users)
		second.Levels[evidence.LevelDepth] = math.Floor(0.04 * users)
		second.Counts[evidence.CountStarted] = 20
		if i%15 == 0 {
			for reading := range 12 {
				second.Levels[evidence.Labelled(evidence.LevelServer, fmt.Sprintf("reading_%02d", reading))] = 1e6 * (1 + m.random.Float64())
			}
		}
	})
	return m
}

// failedRun returns a run in which users match on a service that fails more and more, and does not answer at the end.
func failedRun() madeRun {
	m := newMadeRun(evidence.Header{
		Scenario: "queue-concurrency", Profile: "match-dry", PlannedUsers: 500, Plan: "profile match-dry; 500 users, 50 a VU; up in 5m, hold 10m, down in 2m",
		Stages: []evidence.Stage{{Seconds: 300, Target: 500}, {Seconds: 600, Target: 500}, {Seconds: 120, Target: 0}},
		Claims: []evidence.Claim{
			{Kind: verdict.KindMatch, Quantile: 0.95, WithinMs: 3000}, {Kind: verdict.KindErrors, Below: 0.001},
		},
	})
	m.each(func(i int, second *evidence.Second) {
		var refused, unmatched map[string]int64
		if i > 100 {
			refused, unmatched = map[string]int64{"HTTPError 500": 3}, map[string]int64{"no_match": 3}
			second.Counts[evidence.Labelled(evidence.CountErrors, "queue_join", "HTTPError 500")] = 3
			second.Counts[evidence.Labelled(evidence.CountErrors, "match", "NoMatchError")] = 3
		}
		m.times(second, evidence.MetricRequest, "queue_join", 30, 40, refused)
		m.times(second, evidence.MetricMatch, "", 30, 1200, unmatched)
		if i > madeSeconds-20 {
			second.Cells[evidence.Series{Metric: evidence.MetricMatch}].Cut = evidence.HistogramOf(int64(madeSeconds-i) * 1e6)
		}
		second.Levels[evidence.LevelPlanned], second.Levels[evidence.LevelPresent] = ramp(i, 500), math.Floor(0.98*ramp(i, 500))
		second.Counts[evidence.Labelled(evidence.CountOperations, "queue_join")] = 33
	})
	return m
}

// unprovenRun returns a run of events, some of which the service throttled.
func unprovenRun() madeRun {
	m := newMadeRun(evidence.Header{
		Scenario: "token-purchase-spike", Profile: "purchase-spike", PlannedRate: 40, Start: 5, Plan: "profile purchase-spike; 5 to 40 events/s",
		Stages: []evidence.Stage{{Seconds: 300, Target: 40}, {Seconds: 600, Target: 40}, {Seconds: 120, Target: 0}},
		Claims: []evidence.Claim{
			{Kind: verdict.KindPurchases, Quantile: 0.95, WithinMs: 100, Sent: 0.95, SendWithinMs: 1000},
			{Kind: verdict.KindLatency, Operations: []string{"stripe_webhook"}, Quantile: 0.95, WithinMs: 100},
		},
	})
	m.each(func(i int, second *evidence.Second) {
		due := int64(1 + ramp(i, 40))
		second.Counts[evidence.CountDue], second.Counts[evidence.CountSent] = due, due
		second.Counts[evidence.CountThrottled] = 1
		second.Counts[evidence.Labelled(evidence.CountOperations, "stripe_webhook")] = due
		m.times(second, evidence.MetricRequest, "stripe_webhook", int(due), 12, map[string]int64{"ThrottledError 429": 1})
		m.times(second, evidence.MetricEvent, "", int(due), 13, nil)
		m.times(second, evidence.MetricSend, "", int(due), 1, nil)
	})
	return m
}

// write writes the evidence into a folder, makes its report with k6 x verity report, and returns the path of the page.
func (m madeRun) write(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), m.Header.Profile+evidence.Extension)
	file, err := os.Create(path) // #nosec G304 -- the test's own
	require.NoError(t, err)
	require.NoError(t, m.Write(file))
	require.NoError(t, file.Close())
	return pageOf(t, path)
}

// pageOf makes the report of an evidence file and returns the path of the page.
func pageOf(t *testing.T, file string) string {
	t.Helper()
	r := k6("x", "verity", "report", file).run(t)
	require.Zero(t, r.exit)
	page := strings.TrimSuffix(file, evidence.Extension) + ".html"
	require.Contains(t, r.stdout, page+"\n")
	found, err := os.Stat(page)
	require.NoError(t, err)
	require.Less(t, found.Size(), int64(300<<10), "it can be mailed")
	return page
}

// expected is the expected content of a page.
type expected struct {
	page, status string // of the run
	claims       int
	charts       []string
}

// A browser shows the pages of runs that failed, that passed and that prove nothing correctly. One page is of a run of the scenarios, the
// others are of synthetic runs of 17 minutes.
func TestThePageInABrowser(t *testing.T) {
	t.Parallel()
	browser := startBrowser(t)
	ran := holds().run(t, startStandin(t, conditions{session: 3 * time.Second, defects: standin.Defects{LoseStart: 0.2}}))
	require.Equal(t, verdict.Fail, ran.verdict.Status)
	for name, want := range map[string]expected{
		"passed": {sessionsRun().write(t), "PASS", 5, []string{
			"Users present", "Match time", "API latency by operation, p95", "Sessions at once", "Errors by kind", "Queue depth in Redis",
			"Server: reading_00", "Server: reading_01", "Server: reading_02", "Server: reading_03", "Server: reading_04", "Server: reading_05",
			"Server: reading_06", "Server: reading_07", "Server: reading_08", "Server: reading_09", "Server: reading_10", "Server: reading_11",
			"The runner's own delay", "The runner's processors",
		}},
		"failed": {failedRun().write(t), "FAIL", 2, []string{
			"Users present", "Match time", "API latency by operation, p95", "Errors by kind", "The runner's own delay", "The runner's processors",
		}},
		"not proven": {unprovenRun().write(t), "NOT PROVEN", 2, []string{
			"API latency by operation, p95", "Errors by kind", "Events due, sent and answered", "Time of an event, from when it was due",
			"The runner's own delay", "The runner's processors",
		}},
		"failed, of a real run": {pageOf(t, filepath.Join(ran.dir, "small"+evidence.Extension)), "FAIL", 5, []string{
			"Users present", "Match time", "API latency by operation, p95", "Sessions at once", "Errors by kind", "The runner's own delay",
			"The runner's processors",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, as := range []look{{width: 1280}, {width: 1280, dark: true}, {width: 400}, {width: 400, dark: true}} {
				page := browser.open(t, want.page, as)
				seen := page.look(t, want)
				require.Equal(t, as.dark, seen.Background[0] < 128, "light or dark")
				for _, chart := range seen.Charts {
					require.True(t, chart.Drawn, chart.Title)
					require.Equal(t, seen.Charts[0].Left, chart.Left, "one time axis")
					require.False(t, chart.Table, "%s: the table is folded below its chart", chart.Title)
				}
				page.keep(t, name, as)
				page.requireSharedAxis(t, len(seen.Charts))
			}
			requireReadableWithoutScripts(t, browser, want)
			requirePrintable(t, browser, want)
		})
	}
}

// look looks at the page, which is to show what is expected, legibly.
func (p *page) look(t *testing.T, want expected) seenPage {
	t.Helper()
	var seen seenPage
	p.evaluate(t, lookAtPage, &seen)
	require.Regexp(t, `^[✓✗?] `+want.status+`(;|$)`, seen.Verdict)
	require.Contains(t, seen.Title, want.status)
	require.Len(t, seen.Claims, want.claims)
	for _, claim := range seen.Claims {
		require.Len(t, claim, 5)
		require.Regexp(t, `^[✓✗?] (PASS|FAIL|NOT PROVEN)$`, claim[0])
		require.NotEmpty(t, claim[1], "what was measured")
		require.NotEmpty(t, claim[3], "what is needed")
		require.Regexp(t, `^[0-9,]+$`, claim[4], "samples")
	}
	require.Equal(t, want.charts, seen.titles())
	for _, fact := range []string{"Plan", "Target", "Scenario", "Profile", "Began", "Took", "Version"} {
		require.NotEmpty(t, seen.Facts[fact], fact)
	}
	require.NotEmpty(t, seen.Distributions)
	require.NotEmpty(t, seen.Findings)
	require.Contains(t, seen.Headings, "Run it again")
	require.Contains(t, seen.Again, "./k6 run load-test/")
	require.Greater(t, seen.Texts, 100)
	require.Empty(t, seen.Faint, "contrast below that of WCAG AA")
	require.Empty(t, seen.Wide)
	require.LessOrEqual(t, seen.Overflow, 0, "nothing is wider than the screen")
	requests, errors := p.heard()
	require.Len(t, requests, 1, "the page itself and nothing else")
	require.Regexp(t, `^file:///.*\.html$`, requests[0])
	require.Empty(t, errors)
	return seen
}

// shownTimes are the times that the legends of all charts show.
const shownTimes = `[...document.querySelectorAll('figure.chart .u-series:first-child .u-value')].map((value) => value.textContent)`

// requireSharedAxis requires that the mouse over one chart is seen in all of them, and that all of them are zoomed together.
func (p *page) requireSharedAxis(t *testing.T, charts int) {
	t.Helper()
	var over struct{ Left, Top, Width, Height float64 }
	p.evaluate(t, `(() => {
		const over = document.querySelector('#chart-0 .u-over');
		over.scrollIntoView({ block: 'center', behavior: 'instant' });
		const { left, top, width, height } = over.getBoundingClientRect();
		return { left, top, width, height };
	})()`, &over)
	y := over.Top + over.Height/2
	timesAt := func(share float64) (times []string) {
		p.mouse(t, "mouseMoved", over.Left+share*over.Width, y)
		require.Eventually(t, func() bool {
			p.evaluate(t, shownTimes, &times)
			return len(times) == charts && times[0] != "–" && !strings.Contains(strings.Join(times, " "), "–")
		}, 5*time.Second, 20*time.Millisecond, "no time is shown")
		return times
	}
	same := func(times []string) string {
		for _, one := range times {
			require.Equal(t, times[0], one, "all charts show one time")
		}
		return times[0]
	}
	first := same(timesAt(0.01))
	require.Regexp(t, `^00:0`, first)
	p.mouse(t, "mouseMoved", over.Left+0.4*over.Width, y)
	p.mouse(t, "mousePressed", over.Left+0.4*over.Width, y)
	p.mouse(t, "mouseMoved", over.Left+0.5*over.Width, y)
	p.mouse(t, "mouseMoved", over.Left+0.6*over.Width, y)
	p.mouse(t, "mouseReleased", over.Left+0.6*over.Width, y)
	require.NotEqual(t, first, same(timesAt(0.02)), "the charts are zoomed")
}

// requireReadableWithoutScripts requires that, without scripts, the numbers of each chart are in its table.
func requireReadableWithoutScripts(t *testing.T, browser *browser, want expected) {
	t.Helper()
	page := browser.open(t, want.page, look{width: 400, noScripts: true})
	page.keep(t, "no scripts, "+want.status+" "+filepath.Base(want.page), look{width: 400})
	seen := page.look(t, want)
	for _, chart := range seen.Charts {
		require.False(t, chart.Drawn, "scripts are off")
		require.True(t, chart.Table, chart.Title)
		require.Equal(t, "time", chart.Columns[0])
		require.Greater(t, len(chart.Columns), 1)
		require.Greater(t, chart.Rows, 10)
	}
}

// requirePrintable requires that print is black on white, regardless of the screen's colours, with charts instead of their tables.
func requirePrintable(t *testing.T, browser *browser, want expected) {
	t.Helper()
	page := browser.open(t, want.page, look{width: 760, dark: true, print: true})
	page.keep(t, "print, "+filepath.Base(want.page), look{width: 760})
	seen := page.look(t, want)
	require.Equal(t, []int{255, 255, 255}, seen.Background)
	for _, chart := range seen.Charts {
		require.True(t, chart.Drawn, chart.Title)
		require.False(t, chart.Table)
	}
	var pdf struct{ Data []byte }
	page.call(t, "Page.printToPDF", map[string]any{"printBackground": true}, &pdf)
	require.True(t, strings.HasPrefix(string(pdf.Data), "%PDF-"))
}

// keep writes a picture of the page into the folder of -pictures, if it is given.
func (p *page) keep(t *testing.T, name string, as look) {
	t.Helper()
	if *pictures == "" {
		return
	}
	scheme := "light"
	if as.dark {
		scheme = "dark"
	}
	name = fmt.Sprintf("%s %d %s.png", name, as.width, scheme)
	require.NoError(t, os.WriteFile(filepath.Join(*pictures, name), p.shot(t, 0), 0o600))
}
