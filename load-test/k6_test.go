package loadtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
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

	"github.com/verity-app/xk6-verity/extension/testkit"
)

const (
	queueConcurrency    = "queue-concurrency.js"
	videoSessionSustain = "video-session-sustain.js"
	tokenPurchaseSpike  = "token-purchase-spike.js"
)

var scenarios = []string{queueConcurrency, videoSessionSustain, tokenPurchaseSpike} //nolint:gochecknoglobals // constant

// jwt matches the beginning of any JSON Web Token: {" in base64.
var jwt = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}`)

// command is a k6 command that has yet to be started.
type command struct {
	args []string
	env  []string // NAME=value; k6 sees no other variable of this process than PATH
	// secrets that must not be in its output; JSON Web Tokens never may
	secrets []string
	// target of the run; nil for none
	target *target
	// niceness lowers the priority of the process; "" for none
	niceness string
	// debug: the output has headers in it because k6 was asked for them
	debug bool
	// dir is the folder in which it is started; "" for that of the test
	dir string
}

// k6 returns a command without a target.
func k6(args ...string) command { return command{args: args} }

// k6Run returns a run of a script against a target. Later variables win over earlier ones.
//
// Two users that match before the load would be in every count of requests, so they are left out unless a variable says otherwise.
func k6Run(script string, target *target, variables ...string) command {
	return command{
		args:    []string{"run", script},
		env:     append([]string{"BASE_URL=" + target.url, "STRIPE_WEBHOOK_SECRET=" + target.secret, "TRIAL=0"}, variables...),
		secrets: []string{secret},
		target:  target,
	}
}

// flags returns the command with flags before its other arguments.
func (c command) flags(flags ...string) command {
	c.args = slices.Concat(c.args[:1], flags, c.args[1:])
	return c
}

// simple is a run for which k6's flags decide how many users there are and how long they stay.
func (c command) simple(vus, duration string) command {
	c.env = append(c.env, "USE_SIMPLE=1")
	return c.flags("--vus", vus, "--duration", duration)
}

// process is a k6 that runs.
type process struct {
	command        command
	cmd            *exec.Cmd
	stdout, stderr output
	export         string
}

// output is a buffer that can be read while a process writes to it.
type output = testkit.Buffer

// k6Binary returns the path of the binary under test.
func k6Binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("K6_BINARY")
	if path == "" {
		path = filepath.Join("..", "k6")
	}
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	binary, err := exec.LookPath(path)
	if err != nil {
		t.Fatalf("there is no k6 to test (%v): build it with `make k6`, or name another one in K6_BINARY", err)
	}
	return binary
}

// start starts the command. The process ends with the test at the latest.
func (c command) start(t *testing.T) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(suite, runLimit)
	p := &process{command: c, export: filepath.Join(t.TempDir(), "summary.json")}
	if c.args[0] == "run" {
		c = c.flags("--summary-export", p.export)
	}
	p.cmd = exec.CommandContext(ctx, k6Binary(t), c.args...) //nolint:gosec // the binary under test
	if c.niceness != "" {
		p.cmd = exec.CommandContext(ctx, "nice", append([]string{"-n", c.niceness, k6Binary(t)}, c.args...)...) //nolint:gosec // likewise
	}
	// Lines are not broken, so that tests find whole sentences.
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "COLUMNS=100000"}, c.env...)
	p.cmd.Dir = c.dir
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = p.cmd.Wait() // an error where wait was called, which is the rule
	})
	return p
}

// run starts the command and waits for it.
func (c command) run(t *testing.T) result {
	t.Helper()
	return c.start(t).wait(t)
}

// result is how a k6 ended.
type result struct {
	exit           exitcodes.ExitCode
	stdout, stderr string
	summary        summary
}

// summary is what k6 exports of a run: per metric its values, and its thresholds, where true means crossed.
type summary struct {
	Metrics map[string]struct {
		Count      float64         `json:"count"`
		Value      float64         `json:"value"`
		Median     float64         `json:"med"`
		P95        float64         `json:"p(95)"`
		Max        float64         `json:"max"`
		Passes     int             `json:"passes"`
		Fails      int             `json:"fails"`
		Thresholds map[string]bool `json:"thresholds"`
	} `json:"metrics"`
}

// wait waits for the end of the process, and requires that its output contains no secret and no token.
func (p *process) wait(t *testing.T) result {
	t.Helper()
	err := p.cmd.Wait()
	r := result{stdout: p.stdout.String(), stderr: p.stderr.String()}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("k6 %s\nstdout:\n%s\nstderr:\n%s", strings.Join(p.command.args, " "), r.stdout, r.stderr)
		}
	})
	if p.command.target != nil {
		p.command.target.noteLooks(r.stdout)
	}
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &exit)
		require.Positive(t, exit.ExitCode(), "k6 was killed by a signal, or took longer than %s", runLimit)
		r.exit = exitcodes.ExitCode(exit.ExitCode()) //nolint:gosec // an exit code fits a byte
	}
	if !p.command.debug {
		p.command.requireDiscreet(t, r.stdout+r.stderr)
	}
	text, err := os.ReadFile(p.export)
	if errors.Is(err, os.ErrNotExist) {
		return r // refused, or no run at all
	}
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &r.summary))
	p.command.requireDiscreet(t, string(text))
	return r
}

// requireDiscreet requires that a text contains no secret of the command and no token.
func (c command) requireDiscreet(t *testing.T, text string) {
	t.Helper()
	for _, secret := range c.secrets {
		require.NotContains(t, text, secret, "the secret is let out")
	}
	require.NotRegexp(t, jwt, text, "a token is let out")
}

func (r result) count(metric string) int { return int(r.summary.Metrics[metric].Count) }

// crossed lists the thresholds that failed, such as "error_rate rate<0.001".
func (r result) crossed() []string {
	var crossed []string
	for name, metric := range r.summary.Metrics {
		for threshold, isCrossed := range metric.Thresholds {
			if isCrossed {
				crossed = append(crossed, name+" "+threshold)
			}
		}
	}
	slices.Sort(crossed)
	return crossed
}

// isLatency reports whether a threshold is a limit of request time that a busy machine may miss, with a p95 below slowest.
// TestReportedLatencyIsTheServers compares the latency that a run reports with the server's own measurement.
func (r result) isLatency(threshold string) bool {
	const slowest = 2000 // ms
	metric, isDuration := strings.CutSuffix(threshold, " p(95)<100")
	return isDuration && strings.HasPrefix(metric, "http_req_duration") && r.summary.Metrics[metric].P95 < slowest
}

// requirePassed requires that the run passed. Slow answers are logged and do not fail the test.
func (r result) requirePassed(t *testing.T) {
	t.Helper()
	crossed := r.crossed()
	want := exitcodes.ExitCode(0)
	if len(crossed) > 0 {
		require.Empty(t, slices.DeleteFunc(slices.Clone(crossed), r.isLatency), "thresholds other than latency were crossed")
		t.Logf("this machine is slow: %s", strings.Join(crossed, "; "))
		want = exitcodes.ThresholdsHaveFailed
	} else {
		require.NotContains(t, r.stderr, "level=error")
	}
	require.Equal(t, want, r.exit)
	require.NotContains(t, r.stderr, "level=warning")
	require.Contains(t, r.stdout, "0.00 % did not do what the scenario wanted")
	require.Zero(t, r.summary.Metrics["http_req_failed"].Value)
	require.Zero(t, r.summary.Metrics["error_rate"].Value)
}

// requireCrossed requires that the run failed by these thresholds, and by no others but latency.
func (r result) requireCrossed(t *testing.T, thresholds ...string) {
	t.Helper()
	require.Equal(t, exitcodes.ThresholdsHaveFailed, r.exit)
	require.ElementsMatch(t, thresholds, slices.DeleteFunc(r.crossed(), r.isLatency))
	for _, threshold := range thresholds {
		require.Contains(t, r.stdout, threshold, "the summary must name what was crossed")
	}
}

// requireOneError requires exactly one error message, with these texts in it and no stack trace.
func (r result) requireOneError(t *testing.T, texts ...string) {
	t.Helper()
	var messages []string
	for line := range strings.Lines(r.stderr) {
		if strings.Contains(line, "level=error") {
			messages = append(messages, line)
		}
	}
	require.Len(t, messages, 1, "one error message is enough")
	for _, text := range texts {
		require.Contains(t, messages[0], text)
	}
	require.NotContains(t, messages[0], `\tat `, "a stack")
	require.NotContains(t, r.stdout, "level=error")
}

// sortedKeys returns the names in a map, in order.
func sortedKeys[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }

// interrupt sends the signal of Ctrl-C, and returns the result and how long the process took to end.
func (p *process) interrupt(t *testing.T) (result, time.Duration) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	pressed := time.Now()
	r := p.wait(t)
	return r, time.Since(pressed)
}
