package loadtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// ended is a run that does not end as planned.
type ended struct {
	run  func(t *testing.T) command
	by   os.Signal // sent once a user is queued; nil: the run ends by itself
	exit exitcodes.ExitCode
	says string // a regular expression
}

// The reason why a run ended comes first in its summary, in the headline of its report and in the JUnit report, regardless of its
// thresholds: in most of these runs all thresholds pass.
func TestWhatEndedARunIsSaidFirst(t *testing.T) {
	t.Parallel()
	long := []string{"TARGET_VUS=10", "THINK_TIME_MIN=0.2", "THINK_TIME_MAX=0.5", "RAMP_UP=1s", "HOLD=60s", "RAMP_DOWN=1s"}
	of := func(script string, variables ...string) func(t *testing.T) command {
		return func(t *testing.T) command {
			t.Helper()
			return k6Run(script, startNode(t, conditions{}), append(long, variables...)...)
		}
	}
	const stopped = exitcodes.ExternalAbort
	for name, c := range map[string]ended{
		"Ctrl-C":       {of(queueConcurrency), os.Interrupt, stopped, `stopped by Ctrl-C after [0-9]+ s`},
		"SIGTERM":      {of(queueConcurrency), syscall.SIGTERM, stopped, `stopped by SIGTERM after [0-9]+ s`},
		"test.abort()": {of("testdata/test-abort.js"), nil, exitcodes.ScriptAborted, `stopped by test\.abort\(\) after [0-9]+ s: enough seen`},
		"abortOnFail": {of("testdata/abort-on-fail.js"), nil, exitcodes.ThresholdsHaveFailed,
			`stopped after [0-9]+ s by a threshold with abortOnFail`},
		"an exception in a cycle": {of("testdata/exception.js"), nil, exitcodes.MarkedAsFailed,
			`failed by an exception that the script threw in a stay`},
		"the preflight": {of(queueConcurrency, "STRIPE_WEBHOOK_SECRET=whsec_wrong"), nil, exitcodes.ScriptException,
			`stopped before the load: the preflight stops this run, whose result would be meaningless: webhook secret: .*`},
		"setup()": {func(t *testing.T) command { t.Helper(); return spike(startMute(t, 0), "SKIP_PREFLIGHT=1") }, nil, exitcodes.ScriptAborted,
			`stopped before the load: setup\(\) failed, or no iteration could begin`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			run := c.run(t)
			run.env = append(run.env, "REPORT_DIR="+dir)
			p := run.start(t)
			if c.by != nil {
				require.Eventually(t, func() bool { return run.target.state(t).queued() > 0 }, 30*time.Second, 50*time.Millisecond)
				require.NoError(t, p.cmd.Process.Signal(c.by))
			}
			r := p.wait(t)
			require.Equal(t, c.exit, r.exit)
			require.Regexp(t, `(?m)^  █ VERITY .*\n\n    ✗ run          `+c.says+`$`, r.stdout)
			reports, err := filepath.Glob(filepath.Join(dir, "*.md"))
			require.NoError(t, err)
			require.Len(t, reports, 1)
			report := filepath.Base(reports[0])
			markdown, junit := readReport(t, dir, report[:len(report)-len(".md")])
			require.Regexp(t, `^# [a-z-]+: ✗ `+c.says+`(; [0-9]+ of [0-9]+ thresholds crossed)?\n`, markdown)
			require.Equal(t, 1, junit.Errors)
			require.Equal(t, "the run ends as planned", junit.Suites[0].Cases[0].Name)
			require.Regexp(t, `^`+c.says+`$`, junit.Suites[0].Cases[0].Error.Message)
		})
	}
}

// Without thresholds nothing is judged, and no output claims otherwise.
func TestARunWithoutThresholdsIsNotJudged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := k6Run(queueConcurrency, startNode(t, conditions{}), append(brief, "REPORT_DIR="+dir)...).flags("--no-thresholds").run(t)
	require.Zero(t, r.exit)
	require.Contains(t, r.stdout, "    ✗ thresholds   there were none, so nothing was judged\n")
	require.NotContains(t, r.stdout, "passed")
	markdown, junit := readReport(t, dir, "queue-concurrency")
	require.Contains(t, markdown, "# queue-concurrency: ✗ there were no thresholds, so nothing was judged\n")
	require.Equal(t, 1, junit.Failures)
}

// Lines are broken between words, at 80 columns unless a terminal has another width.
func TestLinesFitTheTerminal(t *testing.T) {
	t.Parallel()
	r := k6Run(queueConcurrency, startNode(t, conditions{}), append(brief, "COLUMNS=")...).run(t)
	require.Contains(t, r.stdout, "█ VERITY")
	begun := false
	for line := range strings.Lines(r.stdout) {
		begun = begun || strings.HasPrefix(line, "  VERITY ")
		if strings.Contains(line, "█ TOTAL RESULTS") {
			break // what follows is k6's
		}
		if begun && !strings.HasPrefix(line, "running (") {
			require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), 80, line)
		}
	}
	require.True(t, begun)
	require.Regexp(t, `(?m)^    [ !] runner       timers late by .*\n {19}\S`, r.stdout)
}
