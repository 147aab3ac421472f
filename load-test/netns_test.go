//go:build netns

package loadtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/standin"
)

// These tests run what k6-operator runs, without a cluster: each of four runners in a network namespace of its own with an address of its
// own, paused, and started by the operator's own call. build/namespaces.sh runs them, as root or in a user namespace; they need Debian's
// packages iproute2 and curl.

const (
	runnersInNamespaces = 4
	usersInNamespaces   = 40
	targetAddress       = "10.97.255.1"
	// sessionSeconds is as long as a session there, long enough for all users to be in one at the same time.
	sessionSeconds = "6"
)

// namespaces are the network namespaces of the four runners and of the service.
type namespaces struct{ prefix string }

func (n namespaces) service() string     { return n.prefix + "-service" }
func (n namespaces) runner(i int) string { return fmt.Sprintf("%s-%d", n.prefix, i) }
func address(i int) string               { return fmt.Sprintf("10.97.%d.2", i) }

// within puts a command into a namespace.
func within(cmd *exec.Cmd, namespace string) *exec.Cmd {
	ip, err := exec.LookPath("ip")
	if err != nil {
		cmd.Err = err
		return cmd
	}
	cmd.Path, cmd.Args = ip, slices.Concat([]string{"ip", "netns", "exec", namespace, cmd.Path}, cmd.Args[1:])
	return cmd
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput() //nolint:gosec // the test's own
	require.NoError(t, err, "ip %q: %s", args, text)
}

func makeNamespaces(t *testing.T) namespaces {
	t.Helper()
	n := namespaces{fmt.Sprintf("verity%d", os.Getpid())}
	add := func(name string) {
		text, err := exec.CommandContext(t.Context(), "ip", "netns", "add", name).CombinedOutput() //nolint:gosec // the test's own
		if err != nil {
			t.Fatalf("ip netns add is not permitted here, so nothing was tested: %s (build/namespaces.sh tries a user namespace too)", text)
		}
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

// cluster is a TestRun with its runners and the service under test, each in its namespace.
type cluster struct {
	namespaces
	container
	commands kubernetesCommands
	ctx      context.Context //nolint:containedctx // of the processes that it starts
	service  *exec.Cmd
	runners  [runnersInNamespaces]*exec.Cmd
	said     [runnersInNamespaces]output
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(suite, 2*runLimit)
	c := &cluster{namespaces: makeNamespaces(t), container: newContainer(t), commands: readKubernetesCommands(t), ctx: ctx}
	t.Cleanup(func() {
		cancel()
		for i, runner := range c.runners {
			if runner != nil {
				_ = runner.Wait() // an error where it was waited for, which is the rule
			}
			if t.Failed() {
				t.Logf("runner %d: %s", i+1, c.said[i].String())
			}
		}
		if c.service != nil {
			_ = c.service.Wait()
		}
	})
	require.Len(t, c.commands.TestRun.Runners, runnersInNamespaces)
	c.startService(t)
	c.startRunners(t)
	return c
}

func (c *cluster) accountFile() string { return filepath.Join(c.results, "account.json") }

func (c *cluster) startService(t *testing.T) {
	t.Helper()
	var said output
	c.service = within(c.command(c.ctx, []string{
		"k6", "x", "verity", "standin", "--addr", targetAddress + ":3000", "--session", sessionSeconds + "s", "--webhook-secret", secret, "--account", c.accountFile(),
	}), c.namespaces.service())
	c.service.Stdout, c.service.Stderr = &said, &said
	require.NoError(t, c.service.Start())
	require.Eventually(t, func() bool { return strings.Contains(said.String(), "serves on") }, 30*time.Second, 50*time.Millisecond, said.String())
}

// startRunners starts the pods' commands, and then, once each of them answers, the starter's.
func (c *cluster) startRunners(t *testing.T) {
	t.Helper()
	scenario := []string{"queue-concurrency.js", videoSessionSustain}
	addresses := slices.Clone(scenario)
	for i := range c.runners {
		c.runners[i] = within(c.command(c.ctx, c.commands.TestRun.Runners[i], scenario...), c.runner(i))
		c.runners[i].Env = append(c.runners[i].Env, "BASE_URL=http://"+targetAddress+":3000", "STRIPE_WEBHOOK_SECRET="+secret,
			fmt.Sprintf("SESSION_VUS=%d", usersInNamespaces), "USERS_PER_VU=2", "RAMP_UP=2s", "HOLD=18s", "RAMP_DOWN=2s",
			"SESSION_HOLD_SECONDS="+sessionSeconds, "THINK_TIME_MIN=0.2", "THINK_TIME_MAX=0.5", "TRIAL=0") // no trial signs others up
		c.runners[i].Stdout, c.runners[i].Stderr = &c.said[i], &c.said[i]
		require.NoError(t, c.runners[i].Start())
		addresses = append(addresses, fmt.Sprintf("runner-%d:", i+1), address(i)+":")
	}
	for i := range c.runners {
		require.Eventually(t, func() bool {
			look := within(exec.CommandContext(c.ctx, "curl", "--fail", "--silent", "--noproxy", "*", "http://"+address(i)+":6565/v1/status"), c.namespaces.service()) //nolint:gosec // the test's own
			text, err := look.Output()
			return err == nil && strings.Contains(string(text), `"paused":true`)
		}, 60*time.Second, 200*time.Millisecond, "runner %d waits to be started", i+1)
	}
	text, err := within(c.command(c.ctx, c.commands.TestRun.Starter, addresses...), c.namespaces.service()).CombinedOutput()
	require.NoError(t, err, string(text))
	require.Equal(t, runnersInNamespaces, strings.Count(string(text), `"http_code":200`), string(text))
}

// wait waits for the runners but for those that were killed, and stops the service, of which it returns the account.
func (c *cluster) wait(t *testing.T, killed ...int) (account standin.Stats) {
	t.Helper()
	for i, runner := range c.runners {
		_ = runner.Wait()
		if !slices.Contains(killed, i) {
			require.Contains(t, []int{0, 99}, runner.ProcessState.ExitCode(), "a slow machine crosses thresholds of latency, which the merge tells")
		}
	}
	require.NoError(t, c.service.Process.Signal(os.Interrupt))
	require.NoError(t, c.service.Wait())
	text, err := os.ReadFile(c.accountFile())
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &account))
	return account
}

func (c *cluster) mergedFile() string {
	return filepath.Join(c.results, "merged", "video-session-sustain-merged"+evidence.Extension)
}

// The merge is started together with the TestRun, and waits for the evidence.
func TestFourRunnersInNamespaces(t *testing.T) {
	c := newCluster(t)
	merging := c.command(c.ctx, c.commands.TestRun.Merge)
	var said output
	merging.Stdout, merging.Stderr = &said, &said
	require.NoError(t, merging.Start())
	account := c.wait(t)
	_ = merging.Wait()
	run := requireMerged(t, merging.ProcessState.ExitCode(), said.String(), c.mergedFile())
	require.Len(t, run.Runners, runnersInNamespaces)
	requireAgreement(t, run, account, usersInNamespaces, 1)
	require.Equal(t, usersInNamespaces, account.Users)
	for _, runner := range run.Runners {
		require.True(t, runner.Ended)
		require.Positive(t, runner.ClockError)
		require.LessOrEqual(t, runner.ClockOffset.Abs(), runner.ClockError, "both clocks are this machine's")
	}
}

// A killed runner leaves its evidence, except the last five seconds.
func TestARunnerThatIsKilledInNamespaces(t *testing.T) {
	c := newCluster(t)
	const killed = 2
	file := filepath.Join(c.results, "video-session-sustain-runner-3-of-4"+evidence.Extension)
	require.Eventually(t, func() bool { info, err := os.Stat(file); return err == nil && info.Size() > 0 }, 60*time.Second, 50*time.Millisecond)
	time.Sleep(9500 * time.Millisecond) // in mid-run, and half a second before the next write
	k6 := processOf(t, c.runners[killed].Process.Pid)
	at := time.Now()
	require.NoError(t, k6.Kill())
	account := c.wait(t, killed)

	left, err := evidence.ReadFile(file)
	require.NoError(t, err)
	require.Nil(t, left.End)
	last := int64(0)
	for second := range left.Seconds {
		last = max(last, second)
	}
	lost := at.Sub(time.Unix(last+1, 0).Add(left.Runners[0].ClockOffset))
	t.Logf("lost %.1f s of evidence", lost.Seconds())
	require.LessOrEqual(t, lost, 5*time.Second+left.Runners[0].ClockError+time.Second, "and a second for the write itself")

	command := slices.DeleteFunc(slices.Clone(c.commands.TestRun.Merge), func(arg string) bool { return strings.HasPrefix(arg, "--wait") })
	merging := c.command(c.ctx, command) // which would wait for five minutes more
	out, _ := merging.CombinedOutput()
	run := requireMergedButKilled(t, merging.ProcessState.ExitCode(), string(out), c.mergedFile())
	require.Len(t, run.Runners, runnersInNamespaces)
	for i, runner := range run.Runners {
		require.Equal(t, i != killed, runner.Ended)
	}
	require.Regexp(t, `runner 3 of 4 was killed: its evidence ends at \d\d:\d\d:\d\d, \d+ s before that of the run`, string(out))
	require.Equal(t, usersInNamespaces, account.Users)
	require.Equal(t, usersInNamespaces*3/4, run.End.Ledger.Users, "the killed one has read no balance")
}

// requireMergedButKilled is requireMerged for a run that proves nothing.
func requireMergedButKilled(t *testing.T, exit int, said, path string) *evidence.Run {
	t.Helper()
	run, err := evidence.ReadFile(path)
	require.NoError(t, err, said)
	if len(run.End.Crossed) == 0 {
		require.Equal(t, 110, exit, said)
	}
	return run
}

// processOf is the k6 that a shell has become, as busybox's does, or has started, as dash does.
func processOf(t *testing.T, shell int) *os.Process {
	t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", shell, shell))
	require.NoError(t, err)
	for _, pid := range append(strings.Fields(string(children)), strconv.Itoa(shell)) {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%s/comm", pid)) //nolint:gosec // of a process that the test started
		require.NoError(t, err)
		if string(name) == "k6\n" {
			number, err := strconv.Atoi(pid)
			require.NoError(t, err)
			process, err := os.FindProcess(number)
			require.NoError(t, err)
			return process
		}
	}
	require.Fail(t, "no k6 runs")
	return nil
}
