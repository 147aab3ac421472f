package loadtest_test

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/standin"
)

// dashboardExport is what k6's dashboard writes: its configuration, and which series had samples.
type dashboardExport struct {
	title  string // of the first tab
	panels map[string][]string
	series map[string]bool
}

func readDashboardExport(t *testing.T, path string) dashboardExport {
	t.Helper()
	html, err := os.ReadFile(path) // #nosec G304 -- the test's own
	require.NoError(t, err)
	_, data := readDashboard(t, string(html))
	found := dashboardExport{panels: map[string][]string{}, series: map[string]bool{}}
	lines := bufio.NewScanner(strings.NewReader(data))
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		var event struct {
			Event string          `json:"event"`
			Data  json.RawMessage `json:"data"`
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &event))
		switch event.Event {
		case "config":
			found.readTabs(t, event.Data)
		case "metric":
			var series map[string]any
			require.NoError(t, json.Unmarshal(event.Data, &series))
			for name := range series {
				found.series[name] = true
			}
		}
	}
	require.NoError(t, lines.Err())
	return found
}

func (d *dashboardExport) readTabs(t *testing.T, config []byte) {
	t.Helper()
	var all struct {
		Tabs []struct {
			Title    string
			Sections []struct {
				Panels []struct {
					Title  string
					Series []struct{ Query string }
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal(config, &all))
	require.Len(t, all.Tabs, 4, "Verity's and k6's own")
	d.title = all.Tabs[0].Title
	for _, section := range all.Tabs[0].Sections {
		for _, panel := range section.Panels {
			for _, series := range panel.Series {
				d.panels[panel.Title] = append(d.panels[panel.Title], series.Query)
			}
		}
	}
}

// query matches those of the dashboard: a metric without tags or with one, and its aggregates.
var query = regexp.MustCompile(`^(\w+)\[\?(!tags|tags\.(\w+)(?:=='(\w+)')?) && `) //nolint:gochecknoglobals // constant

// hasData reports whether a series with this query has samples.
func (d dashboardExport) hasData(t *testing.T, of string) bool {
	t.Helper()
	parts := query.FindStringSubmatch(of)
	require.NotNil(t, parts, "the query %s", of)
	wanted := parts[1]
	if parts[3] != "" {
		wanted += "{" + parts[3] + ":" + parts[4]
	}
	for name := range d.series {
		if name == wanted || parts[3] != "" && strings.HasPrefix(name, wanted) {
			return true
		}
	}
	return false
}

// The first tab of k6's dashboard is Verity's, without setting a variable: from the root of the repository, from an unpacked folder, and from
// any other folder. Each series of its panels has data in some scenario, and the main series of a scenario have data in that scenario.
func TestTheDashboard(t *testing.T) {
	t.Parallel()
	unpacked := filepath.Join(t.TempDir(), "unpacked")
	require.EqualValues(t, 0, k6("x", "verity", "init", unpacked).run(t).exit)
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	redis := startRedis(t)
	server, err := standin.Start(t.Context(), standin.Options{WebhookSecret: secret, RedisURL: redis, Session: time.Second, TokenTTL: 6 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close(suite)) })
	target := &target{url: server.URL(), secret: secret}
	hasData := map[string]bool{} // by query
	for _, tc := range []struct {
		dir, script string
		panels      []string
		variables   []string
	}{
		{root, filepath.Join("load-test", queueConcurrency), []string{
			"Users", "Queue depth", "Sign-up latency", "Join latency", "Leave latency", "Stripe webhook latency", "Runner delay", "Failures by kind",
		}, []string{"REDIS_URL=" + redis}},
		{unpacked, filepath.Join("load-test", videoSessionSustain), []string{
			"Users", "Sessions at once", "Match time", "Join latency", "Balance latency", "Token refresh latency", "Runner delay",
		}, []string{"HOLD=8s"}},
		{t.TempDir(), filepath.Join(unpacked, "load-test", tokenPurchaseSpike), []string{"Events planned and sent", "Stripe webhook latency", "Runner delay"},
			[]string{"SPIKE_RATE=60", "SPIKE_HOLD=3s"}},
		{t.TempDir(), filepath.Join(root, "load-test", queueConcurrency), []string{"Failures by kind"},
			[]string{"STRIPE_WEBHOOK_SECRET=whsec_wrong", "SKIP_PREFLIGHT=1"}},
	} {
		export := filepath.Join(t.TempDir(), "dashboard.html")
		run := k6Run(tc.script, target, append(append(brief,
			"K6_WEB_DASHBOARD=true", "K6_WEB_DASHBOARD_PORT=-1", "K6_WEB_DASHBOARD_PERIOD=1s", "K6_WEB_DASHBOARD_EXPORT="+export), tc.variables...)...)
		run.dir = tc.dir
		run.run(t)
		found := readDashboardExport(t, export)
		require.Equal(t, "Verity", found.title)
		require.Len(t, found.panels, 13)
		for _, panel := range tc.panels {
			require.NotEmpty(t, found.panels[panel], panel)
			require.True(t, found.hasData(t, found.panels[panel][0]), "%s has no data in %s", panel, tc.script)
		}
		for _, panel := range found.panels {
			for _, query := range panel {
				hasData[query] = hasData[query] || found.hasData(t, query)
			}
		}
	}
	for query, isThere := range hasData {
		require.True(t, isThere, "no run has data for %s", query)
	}
}

// startRedis starts a redis-server of the test's own and returns its URL.
func startRedis(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	require.NoError(t, err, "it is in Debian's package redis-server")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	cmd := exec.CommandContext(suite, program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", t.TempDir()) // #nosec G204 -- Debian's
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // says that it was killed
	})
	require.Eventually(t, func() bool {
		connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		return err == nil && connection.Close() == nil
	}, 10*time.Second, 20*time.Millisecond)
	return "redis://" + address
}

// progressUsers and progressEvents are lines of progress.
var (
	progressUsers = regexp.MustCompile( //nolint:gochecknoglobals // constant
		`  VERITY \d+ of 4 users present(, \d+ sessions at once)?, p95 \d+\.\d ms in the last 10 s, 0 errors so far`)
	progressEvents = regexp.MustCompile( //nolint:gochecknoglobals // constant
		`  VERITY \d+ of \d+ events sent, p95 \d+\.\d ms in the last 10 s, 0 errors so far`)
)

// A run longer than ten seconds reports its progress in one line every ten seconds. There is none after the summary, and none with
// --quiet.
func TestProgressWithoutATerminal(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{session: time.Second})
	users := slices.Concat(brief, []string{"RAMP_UP=1s", "HOLD=11s", "RAMP_DOWN=1s", "TARGET_VUS=4", "SESSION_VUS=4"})
	for scenario, line := range map[string]*regexp.Regexp{queueConcurrency: progressUsers, videoSessionSustain: progressUsers} {
		r := k6Run(scenario, target, users...).run(t)
		r.requirePassed(t)
		require.Len(t, line.FindAllString(r.stdout, -1), 1, scenario)
		_, summary, found := strings.Cut(r.stdout, "█ VERITY")
		require.True(t, found)
		require.NotRegexp(t, line, summary)
		require.NotContains(t, r.stdout+r.stderr, "fully finished")
		require.NotRegexp(t, `[1-9]\d* interrupted iterations`, lastBar(r.stdout), "stays that ended as planned are complete")
	}
	r := k6Run(tokenPurchaseSpike, target, append(brief, "RAMP_UP=5s", "SPIKE_HOLD=6s", "RAMP_DOWN=2s")...).run(t)
	r.requirePassed(t)
	require.Regexp(t, progressEvents, r.stdout)
	require.Regexp(t, `token-purchase-spike +✓ \[ 100% \]`, r.stdout)
	require.NotContains(t, r.stdout, "token-purchase-spike ✗")
	quiet := k6Run(queueConcurrency, target, users...).flags("--quiet").run(t)
	quiet.requirePassed(t)
	require.NotRegexp(t, progressUsers, quiet.stdout)
}

// lastBar is the last line in which k6 says how many iterations there were.
func lastBar(stdout string) string {
	bars := regexp.MustCompile(`(?m)^running .* iterations$`).FindAllString(stdout, -1)
	return bars[len(bars)-1]
}

// At a terminal the progress is shown above k6's bars, in the line that they leave empty, and is gone at the end.
func TestProgressAtATerminal(t *testing.T) {
	t.Parallel()
	target := startStandin(t, conditions{})
	program, err := exec.LookPath("script")
	require.NoError(t, err, "script is in Debian's bsdutils")
	cmd := exec.CommandContext(t.Context(), program, "-qec", k6Binary(t)+" run "+queueConcurrency, os.DevNull) // #nosec G204 -- the binary under test
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TERM=xterm", "BASE_URL=" + target.url,
		"STRIPE_WEBHOOK_SECRET=" + target.secret}, brief...)
	cmd.Env = append(cmd.Env, "TARGET_VUS=4", "HOLD=3s")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil { // a slow machine may cross a limit of latency
		require.ErrorAs(t, err, &exit)
		require.EqualValues(t, exitcodes.ThresholdsHaveFailed, exit.ExitCode(), "%s", out)
	}
	text := strings.ReplaceAll(string(out), "\r\n", "\n")
	require.Regexp(t, `  VERITY [1-4] of 4 users present, p95 \d+\.\d ms in the last 10 s, \d+ errors s?o?`+`[^\n]*`+"\x1b\\[K\nrunning ", text)
	_, summary, _ := strings.Cut(text, "█ VERITY")
	require.NotContains(t, summary, "users present, p95")
}
