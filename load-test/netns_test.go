//go:build netns

package loadtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/standin"
)

// These tests need root, iproute2 and curl: go test -tags netns -run Namespaces ./load-test. Each of four runners has a network
// namespace and an address of its own, and is started as k6-operator starts it: paused, and resumed by a REST call.

const (
	runnersInNamespaces = 4
	targetAddress       = "10.97.255.1"
	// resume is the body of the call with which k6-operator starts a runner.
	resume = `{"data":{"attributes":{"paused":false,"stopped":false},"id":"default","type":"status"}}`
)

// namespaces are those of the four runners, and of the service.
type namespaces struct{ prefix string }

func (n namespaces) service() string     { return n.prefix + "-service" }
func (n namespaces) runner(i int) string { return fmt.Sprintf("%s-%d", n.prefix, i) }
func address(i int) string               { return fmt.Sprintf("10.97.%d.2", i) }

// command runs a program in a namespace.
func (n namespaces) command(ctx context.Context, in string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", in}, args...)...) //nolint:gosec // the test's own
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput() //nolint:gosec // the test's own
	require.NoError(t, err, "ip %q: %s (this test needs root)", args, text)
}

func makeNamespaces(t *testing.T) namespaces {
	t.Helper()
	n := namespaces{fmt.Sprintf("verity%d", os.Getpid())}
	add := func(name string) {
		ip(t, "netns", "add", name)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() }) //nolint:gosec,noctx // after the test's context
		ip(t, "-n", name, "link", "set", "lo", "up")
	}
	add(n.service())
	ip(t, "-n", n.service(), "address", "add", targetAddress+"/32", "dev", "lo")
	for i := range runnersInNamespaces {
		name, link := n.runner(i), "r"+strconv.Itoa(i)
		add(name)
		ip(t, "-n", n.service(), "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
		ip(t, "-n", n.service(), "address", "add", fmt.Sprintf("10.97.%d.1/24", i), "dev", link)
		ip(t, "-n", n.service(), "link", "set", link, "up")
		ip(t, "-n", name, "address", "add", address(i)+"/24", "dev", "eth0")
		ip(t, "-n", name, "link", "set", "eth0", "up")
		ip(t, "-n", name, "route", "add", "default", "via", fmt.Sprintf("10.97.%d.1", i))
	}
	return n
}

// operatorArguments are those that k6-operator v1.5.0 gives to runner i of a TestRun, from 1 (pkg/resources/jobs/runner.go).
func operatorArguments(i int, script string) []string {
	border := func(i int) string {
		if i == 0 || i == runnersInNamespaces {
			return strconv.Itoa(i / runnersInNamespaces)
		}
		return fmt.Sprintf("%d/%d", i, runnersInNamespaces)
	}
	return []string{
		"run", "--quiet", "--execution-segment=" + border(i-1) + ":" + border(i), "--execution-segment-sequence=0,1/4,2/4,3/4,1",
		script, "--address=0.0.0.0:6565", "--paused", "--tag", fmt.Sprintf("instance_id=%d", i), "--tag", "testrun_name=verity",
	}
}

// runInNamespaces runs a test and returns what the merge said, with its exit code, and the stand-in's account.
func runInNamespaces(t *testing.T, killed int) (merged string, exit int, run *evidence.Run, account standin.Stats) {
	t.Helper()
	ctx, cancel := context.WithTimeout(suite, runLimit)
	defer cancel()
	n, dir, binary := makeNamespaces(t), t.TempDir(), k6Binary(t)
	accountFile := filepath.Join(dir, "account.json")
	var said output
	service := n.command(ctx, n.service(), binary, "x", "verity", "standin", "--addr", targetAddress+":3000", "--session", "3s",
		"--webhook-secret", secret, "--account", accountFile)
	service.Stdout, service.Stderr = &said, &said
	require.NoError(t, service.Start())
	require.Eventually(t, func() bool { return regexp.MustCompile("serves on").MatchString(said.String()) }, 20*time.Second, 50*time.Millisecond)

	var runners []*exec.Cmd
	outputs := make([]output, runnersInNamespaces)
	for i := range runnersInNamespaces {
		runner := n.command(ctx, n.runner(i), append([]string{binary}, operatorArguments(i+1, videoSessionSustain)...)...)
		runner.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "BASE_URL=http://" + targetAddress + ":3000", "STRIPE_WEBHOOK_SECRET=" + secret,
			"REPORT_DIR=" + dir, "SESSION_VUS=40", "USERS_PER_VU=2", "RAMP_UP=2s", "HOLD=12s", "RAMP_DOWN=2s", "SESSION_HOLD_SECONDS=3",
			"THINK_TIME_MIN=0.2", "THINK_TIME_MAX=0.5", "TRIAL=0", "START_AT=+4s",
		}
		runner.Stdout, runner.Stderr = &outputs[i], &outputs[i]
		require.NoError(t, runner.Start())
		runners = append(runners, runner)
	}
	refused := ""
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last REST call: %s\nrunner 1: %s", refused, outputs[0].String())
		}
	})
	for i := range runnersInNamespaces {
		require.Eventually(t, func() bool {
			starter := n.command(ctx, n.service(), "curl", "--fail", "--silent", "--show-error", "--noproxy", "*", "-X", "PATCH", "--json", resume,
				"http://"+address(i)+":6565/v1/status")
			text, err := starter.CombinedOutput()
			refused = string(text)
			return err == nil
		}, 15*time.Second, 200*time.Millisecond, "the starter's REST call")
	}
	if killed >= 0 {
		time.Sleep(14 * time.Second) // START_AT, and ten seconds of the load
		require.NoError(t, runners[killed].Process.Kill())
	}
	for i, runner := range runners {
		if err := runner.Wait(); i != killed {
			require.NoError(t, err, outputs[i].String())
		}
	}
	require.NoError(t, service.Process.Signal(os.Interrupt))
	require.NoError(t, service.Wait())
	text, err := os.ReadFile(accountFile) //nolint:gosec // the test's own
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &account))

	merging := exec.CommandContext(ctx, binary, "x", "verity", "merge", "--expect", "4", "--out", filepath.Join(dir, "merged"), dir) //nolint:gosec // the binary under test
	merging.Env = []string{"COLUMNS=1000"}
	out, _ := merging.CombinedOutput() // its exit code is judged
	run, err = evidence.ReadFile(filepath.Join(dir, "merged", "video-session-sustain-merged"+evidence.Extension))
	require.NoError(t, err, string(out))
	return string(out), merging.ProcessState.ExitCode(), run, account
}

func TestFourRunnersInNamespaces(t *testing.T) {
	merged, exit, run, account := runInNamespaces(t, -1)
	require.Zero(t, exit, merged)
	require.Len(t, run.Runners, runnersInNamespaces)
	require.Equal(t, account.Users, run.End.Ledger.Users, "no trial signs others up")
	require.Equal(t, account.Tokens.Bought, run.End.Ledger.Bought)
	require.Equal(t, account.Tokens.Spent, run.End.Ledger.Spent)
	require.Zero(t, run.End.Ledger.Wrong)
	started, peak := int64(0), 0.0
	for _, second := range run.Seconds {
		started += second.Counts[evidence.CountStarted]
		peak = max(peak, second.Levels[evidence.LevelInside]/2)
	}
	require.EqualValues(t, 2*account.Sessions.Made, started)
	require.InDelta(t, float64(account.Peak), peak, 2, "read once a second")
	for _, runner := range run.Runners {
		require.InDelta(t, 0, runner.ClockOffset.Seconds(), 0.15)
		require.Positive(t, runner.ClockError)
		require.Less(t, runner.Began.Sub(run.Header.Began), 3*time.Second, "they began together")
	}
}

func TestARunnerThatIsKilledInNamespaces(t *testing.T) {
	merged, exit, run, _ := runInNamespaces(t, 2)
	require.Equal(t, 110, exit, merged)
	require.Regexp(t, `runner 3 of 4 was killed: its evidence ends at \d\d:\d\d:\d\d, \d+ s before that of the run`, merged)
	require.False(t, run.Runners[2].Ended)
	require.True(t, run.Runners[3].Ended)
}
