package loadtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// kubernetesCommands are what the pods of build/kubernetes run, word for word. The tests there make the file from the manifests, and those of
// runners and starter of a TestRun with k6-operator's own code.
type kubernetesCommands struct {
	Job struct {
		Runner, Merge []string
	}
	TestRun struct {
		Runners        [][]string
		Starter, Merge []string
	}
}

func readKubernetesCommands(t *testing.T) (c kubernetesCommands) {
	t.Helper()
	text, err := os.ReadFile("testdata/kubernetes.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &c))
	return c
}

// container is where commands of a pod run without a cluster.
type container struct {
	binaries string // a folder with k6
	home     string // of the image, which is this checkout
	results  string // the volume
}

func newContainer(t *testing.T) container {
	t.Helper()
	c := container{binaries: t.TempDir(), results: t.TempDir()}
	require.NoError(t, os.Symlink(k6Binary(t), filepath.Join(c.binaries, "k6")))
	home, err := filepath.Abs("..")
	require.NoError(t, err)
	c.home = home
	return c
}

// command is one of a pod, with the folders of this container in place of those of the pod.
func (c container) command(ctx context.Context, args []string, replaced ...string) *exec.Cmd {
	replacer := strings.NewReplacer(slices.Concat(replaced, []string{"/home/k6", c.home, "/results/queue-dry", c.results})...)
	args = slices.Clone(args)
	for i := range args {
		args[i] = replacer.Replace(args[i])
	}
	program := args[0]
	if program == "k6" {
		program = filepath.Join(c.binaries, "k6")
	}
	cmd := exec.CommandContext(ctx, program, args[1:]...) //nolint:gosec // the test's own
	cmd.Dir = c.home
	cmd.Env = []string{"PATH=" + c.binaries + ":" + os.Getenv("PATH"), "HOME=" + c.results, "COLUMNS=1000", "REPORT_DIR=" + c.results}
	return cmd
}

// The commands of the Indexed Job and of the merging Job work together, as processes started at the same time, as kubectl apply does.
func TestTheJobsOfKubernetes(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(suite, runLimit)
	defer cancel()
	target, c, commands := startStandin(t, conditions{}), newContainer(t), readKubernetesCommands(t)
	const users, runners = 40, 4
	var merged output
	merging := c.command(ctx, commands.Job.Merge)
	merging.Stdout, merging.Stderr = &merged, &merged
	require.NoError(t, merging.Start())
	startAt := time.Now().UTC().Add(8 * time.Second).Truncate(time.Second)
	var said [runners]output
	var running [runners]*exec.Cmd
	for i := range running {
		running[i] = c.command(ctx, commands.Job.Runner)
		running[i].Env = append(running[i].Env, fmt.Sprintf("JOB_COMPLETION_INDEX=%d", i), "START_AT="+startAt.Format(time.RFC3339),
			"BASE_URL="+target.url, "STRIPE_WEBHOOK_SECRET="+target.secret, fmt.Sprintf("TARGET_VUS=%d", users), "USERS_PER_VU=2", "RAMP_UP=2s", "HOLD=4s", "RAMP_DOWN=1s")
		running[i].Stdout, running[i].Stderr = &said[i], &said[i]
		require.NoError(t, running[i].Start())
	}
	for i, runner := range running {
		_ = runner.Wait() // a slow machine crosses thresholds of latency, which the merge tells
		require.Contains(t, []int{0, 99}, runner.ProcessState.ExitCode(), said[i].String())
	}
	_ = merging.Wait()
	run := requireMerged(t, merging.ProcessState.ExitCode(), merged.String(), filepath.Join(c.results, "merged", "queue-concurrency-merged"+evidence.Extension))
	require.Contains(t, merged.String(), "the evidence of 4 of 4 runners is whole")
	require.Len(t, run.Runners, runners)
	for i, runner := range run.Runners {
		require.Equal(t, i, runner.Index)
		require.True(t, runner.Ended)
		require.WithinRange(t, runner.Began.Add(runner.ClockOffset), startAt, startAt.Add(10*time.Second), "none begins before START_AT")
	}
	bought := int64(0)
	for _, user := range target.state(t).Users {
		bought += user.Bought
	}
	require.Equal(t, users, run.End.Ledger.Users)
	require.Equal(t, bought, run.End.Ledger.Bought)
	require.FileExists(t, filepath.Join(c.results, "merged", "queue-concurrency-merged.html"))
}

// onTime are thresholds of time, which a machine that does other things too may miss. A session whose end comes late counts as dropped.
var onTime = regexp.MustCompile(`^runner \d of \d: (http_req_duration|match_time|queue_join_latency|session_dropped)\b.* (p\(95\)<\d+|rate<0\.001)$`)

// requireMerged returns what was merged. All must have gone well, but for what a busy machine does late.
func requireMerged(t *testing.T, exit int, said, path string) *evidence.Run {
	t.Helper()
	run, err := evidence.ReadFile(path)
	require.NoError(t, err, said)
	require.NotNil(t, run.End, said)
	for _, crossed := range run.End.Crossed {
		require.Regexp(t, onTime, crossed, said)
	}
	for _, second := range run.Seconds {
		for name := range second.Counts {
			require.False(t, strings.HasPrefix(name, evidence.CountDropped) && name != evidence.Labelled(evidence.CountDropped, "late_end"), said)
		}
	}
	if len(run.End.Crossed) > 0 {
		t.Logf("this machine is slow: %s", strings.Join(run.End.Crossed, "; "))
		require.Equal(t, 99, exit, said)
	}
	return run
}
