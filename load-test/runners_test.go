//go:build trials

package loadtest_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/standin"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// What several runners give together, measured on this machine; none of it is part of CI:
//
//	go test -tags trials -v -run TestMergedPercentiles ./load-test
//	go test -tags trials -v -run TestRunnersAgreeWithTheService -runner-users 2000 -timeout 20m -suite-limit 20m ./load-test
//	go test -tags trials -v -run TestMergingSixteenRunners ./load-test
//	go test -tags trials -v -run TestFourRunnersJudgeAsOne -trials 20 -timeout 90m -suite-limit 90m ./load-test | grep ' of '

var runnerUsers = flag.Int("runner-users", 500, "users of each runner in TestRunnersAgreeWithTheService") //nolint:gochecknoglobals // a flag

// mergedRun is what several runners gave together.
type mergedRun struct {
	run     *evidence.Run
	verdict verdict.Verdict
	exit    int
	said    string
	dir     string
}

// runTogether runs a script on count runners, which begin at the same time, and merges their evidence.
func runTogether(t *testing.T, count int, script, url string, flags func(i int) []string, variables ...string) mergedRun {
	t.Helper()
	ctx, cancel := context.WithTimeout(suite, 10*time.Minute)
	defer cancel()
	c := newContainer(t)
	startAt := time.Now().UTC().Add(time.Duration(5+count/2) * time.Second).Truncate(time.Second)
	runners, said := make([]*exec.Cmd, count), make([]output, count)
	for i := range runners {
		segment, err := c.command(ctx, []string{"k6", "x", "verity", "segment", strconv.Itoa(i), strconv.Itoa(count)}).Output()
		require.NoError(t, err)
		args := slices.Concat([]string{"k6", "run", "--quiet"}, strings.Fields(string(segment)), flags(i), []string{filepath.Join("load-test", script)})
		runners[i] = c.command(ctx, args)
		runners[i].Env = slices.Concat(runners[i].Env, []string{
			"BASE_URL=" + url, "STRIPE_WEBHOOK_SECRET=" + secret, "START_AT=" + startAt.Format(time.RFC3339), "TRIAL=0",
		}, variables)
		runners[i].Stdout, runners[i].Stderr = &said[i], &said[i]
		require.NoError(t, runners[i].Start())
	}
	for i, runner := range runners {
		_ = runner.Wait() // judged by what is merged
		require.Contains(t, []int{0, 99}, runner.ProcessState.ExitCode(), said[i].String())
	}
	return merge(ctx, t, c, count)
}

func merge(ctx context.Context, t *testing.T, c container, count int) mergedRun {
	t.Helper()
	m := mergedRun{dir: c.results}
	folder := filepath.Join(c.results, "merged")
	merging := c.command(ctx, []string{"k6", "x", "verity", "merge", "--expect", strconv.Itoa(count), "--out", folder, c.results})
	text, _ := merging.CombinedOutput() // its exit code is kept
	m.exit, m.said = merging.ProcessState.ExitCode(), string(text)
	files, err := filepath.Glob(filepath.Join(folder, "*-merged"+evidence.Extension))
	require.NoError(t, err)
	require.Len(t, files, 1, m.said)
	m.run, err = evidence.ReadFile(files[0])
	require.NoError(t, err)
	require.Len(t, m.run.Runners, count, m.said)
	asJSON, _ := c.command(ctx, []string{"k6", "x", "verity", "merge", "--json", c.results}).Output()
	require.NoError(t, json.Unmarshal(asJSON, &m.verdict), m.said)
	return m
}

// standinProcess is a stand-in with processors of its own, and its account when it was stopped.
func standinProcess(t *testing.T, flags ...string) (url string, stop func() standin.Stats) {
	t.Helper()
	c, address := newContainer(t), freePort(t)
	file := filepath.Join(c.results, "account.json")
	cmd := c.command(suite, slices.Concat([]string{"k6", "x", "verity", "standin", "--addr", address, "--webhook-secret", secret, "--account", file}, flags))
	var said output
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	require.Eventually(t, func() bool { return strings.Contains(said.String(), "serves on") }, 30*time.Second, 50*time.Millisecond)
	return "http://" + address, func() (account standin.Stats) {
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		require.NoError(t, cmd.Wait())
		text, err := os.ReadFile(file) //nolint:gosec // the test's own
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &account))
		return account
	}
}

// The percentiles of a merge equal, within 1 %, those of all samples of all runners, which k6 writes to files of its own.
func TestMergedPercentiles(t *testing.T) {
	for _, count := range []int{1, 2, 4, 16} {
		url, stop := standinProcess(t, "--latency", "3ms")
		raw := t.TempDir()
		path := func(i int) string { return filepath.Join(raw, fmt.Sprintf("%d.csv", i)) }
		m := runTogether(t, count, queueConcurrency, url, func(i int) []string { return []string{"--out", "csv=" + path(i)} },
			"TARGET_VUS=320", "USERS_PER_VU=10", "RAMP_UP=3s", "HOLD=15s", "RAMP_DOWN=2s", "THINK_TIME_MIN=0.3", "THINK_TIME_MAX=0.9", "K6_CSV_SAVE_INTERVAL=1s")
		account := stop()
		for _, operation := range []string{"queue_join", "queue_leave"} {
			var samples []float64
			for i := range count {
				samples = append(samples, readSamples(t, path(i), operation)...)
			}
			slices.Sort(samples)
			pool := pooled(m.run, operation)
			require.EqualValues(t, len(samples), pool.Count(), "every sample of k6 is in the evidence")
			for _, q := range []float64{0.5, 0.95, 0.99} {
				want := samples[int(math.Round(q*float64(len(samples))))-1] // the nearest rank, as HdrHistogram counts
				got := float64(pool.Quantile(q)) / 1000
				t.Logf("%2d runners, %s: p%g of %d samples %.3f ms, merged %.3f ms, %+.2f %%", count, operation, 100*q, len(samples), want, got, 100*(got/want-1))
				require.InEpsilon(t, want, got, 0.01)
			}
		}
		require.Equal(t, 320, account.Users)
	}
}

// readSamples reads the times of an operation that was answered as asked, in ms.
func readSamples(t *testing.T, path, operation string) (samples []float64) {
	t.Helper()
	file, err := os.Open(path) //nolint:gosec // the test's own
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	reader := csv.NewReader(file)
	header, err := reader.Read()
	require.NoError(t, err)
	column := func(name string) int { return slices.Index(header, name) }
	for {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return samples
		}
		require.NoError(t, err)
		if row[column("metric_name")] == "http_req_duration" && row[column("name")] == operation && row[column("expected_response")] == "true" {
			value, err := strconv.ParseFloat(row[column("metric_value")], 64)
			require.NoError(t, err)
			samples = append(samples, value)
		}
	}
}

// pooled returns the times of all successful requests of an operation.
func pooled(run *evidence.Run, operation string) *evidence.Histogram {
	var all []*evidence.Histogram
	for _, second := range run.Seconds {
		if cell := second.Cells[evidence.Series{Metric: evidence.MetricRequest, Label: operation}]; cell != nil {
			all = append(all, cell.OK)
		}
	}
	return evidence.Sum(all...)
}

// The records of four runners with sockets, taken together, agree with the service's own account.
func TestRunnersAgreeWithTheService(t *testing.T) {
	const count = 4
	users := count * *runnerUsers
	url, stop := standinProcess(t)
	m := runTogether(t, count, videoSessionSustain, url, func(int) []string { return nil },
		fmt.Sprintf("SESSION_VUS=%d", users), "RAMP_UP=60s", "HOLD=75s", "RAMP_DOWN=10s")
	account := stop()
	t.Logf("exit code %d: %s", m.exit, m.said)
	require.Equal(t, users, account.Users)
	requireAgreement(t, m.run, account, users, max(1, float64(account.Peak)/100))
}

// TestMergingSixteenRunners measures the time and the memory of merging 16 runners of 17 minutes at 250 requests a second, with levels and
// sessions.
func TestMergingSixteenRunners(t *testing.T) {
	const count, seconds, rate = 16, 17 * 60, 250
	c := newContainer(t)
	began := time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC)
	size := int64(0)
	for i := range count {
		size += writeSynthetic(t, c.results, i, count, seconds, rate, began)
	}
	start := time.Now()
	merging := c.command(suite, []string{"k6", "x", "verity", "merge", "--out", filepath.Join(c.results, "merged"), c.results})
	text, err := merging.CombinedOutput()
	took := time.Since(start)
	require.NoError(t, err, string(text))
	usage, isUnix := merging.ProcessState.SysUsage().(*syscall.Rusage)
	require.True(t, isUnix)
	t.Logf("%d runners, %.1f MB of evidence, %d requests: %.1f s (%.1f s of processor time) and %d MB at most", count, float64(size)/1e6, count*seconds*rate,
		took.Seconds(), (merging.ProcessState.UserTime() + merging.ProcessState.SystemTime()).Seconds(), usage.Maxrss/1024)
	require.Contains(t, string(text), "4,080,000")
	require.Less(t, took, 10*time.Second)
	require.Less(t, usage.Maxrss/1024, int64(500))
}

// writeSynthetic writes the evidence of one runner, and returns its size.
func writeSynthetic(t *testing.T, dir string, index, count, seconds, rate int, began time.Time) int64 {
	t.Helper()
	r := evidence.New(func() time.Time { return began })
	require.NoError(t, r.Describe(
		evidence.Header{Scenario: "video-session-sustain", Plan: "a plan", PlannedUsers: count * 625, Target: "http://127.0.0.1:1", Claims: []evidence.Claim{
			{Kind: verdict.KindLatency, Operations: []string{"queue_join"}, WithinMs: 100}, {Kind: verdict.KindUsers, Least: float64(count * 625)},
		}},
		evidence.Runner{Index: index, Count: count, Segment: fmt.Sprintf("%d/%d:%d/%d", index, count, index+1, count), Began: began, ClockError: 50 * time.Millisecond}))
	operations := []string{"queue_join", "queue_leave", "tokens_balance", "auth_refresh", "stripe_webhook"}
	n := uint64(index) //nolint:gosec // it is small
	for second := range seconds {
		at := began.Add(time.Duration(second) * time.Second)
		for k := range rate {
			n = n*6364136223846793005 + 1442695040888963407
			took := time.Duration(2+n>>40%90) * time.Millisecond
			r.Time(evidence.Series{Metric: evidence.MetricRequest, Label: operations[k%len(operations)]}, at, took, evidence.OK, "")
			r.Count(evidence.Labelled(evidence.CountOperations, operations[k%len(operations)]), at, 1)
			if k%10 == 0 {
				r.Time(evidence.Series{Metric: evidence.MetricMatch}, at, 10*took, evidence.OK, "")
				r.Time(evidence.Series{Metric: evidence.MetricSession}, at, 45*time.Second+took, evidence.OK, "")
			}
			if k%5 == 0 {
				r.Time(evidence.Series{Metric: evidence.MetricLag}, at, took/50, evidence.OK, "")
			}
		}
		for _, level := range []string{evidence.LevelPresent, evidence.LevelWaiting, evidence.LevelInside, evidence.LevelPlanned, evidence.LevelCPU} {
			r.Level(level, at, 625)
		}
	}
	require.NoError(t, r.Close(evidence.End{At: began.Add(time.Duration(seconds) * time.Second), Thresholds: 17, UptimeBefore: -1, UptimeAfter: -1}))
	file, err := os.Create(filepath.Join(dir, fmt.Sprintf("x-runner-%d-of-%d%s", index+1, count, evidence.Extension))) //nolint:gosec // the test's own
	require.NoError(t, err)
	require.NoError(t, r.Run().Write(file))
	info, err := file.Stat()
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return info.Size()
}

// The verdict on four runners of 500 users is the same as on one runner of 2,000, for a healthy service and for one with a defect.
func TestFourRunnersJudgeAsOne(t *testing.T) {
	load := joins().with("TARGET_VUS=2000", "RAMP_UP=5s", "HOLD=15s", "RAMP_DOWN=2s", "THINK_TIME_MIN=3", "THINK_TIME_MAX=5")
	load = load.claiming(claimUsers(2000), claimLatency("queue_join", "queue_leave"), claimErrors, claimTokens)
	for name, service := range map[string]struct {
		target func(t *testing.T) *target
		want   verdict.Status
	}{
		"a healthy service":      {func(t *testing.T) *target { t.Helper(); return startStandin(t, conditions{}) }, verdict.Pass},
		"10 % of joins are slow": {func(t *testing.T) *target { t.Helper(); return slowJoins(t, 10, (slack+300)*time.Millisecond) }, verdict.Fail},
	} {
		equal, right := 0, 0
		for range *trials {
			t.Run(name, func(t *testing.T) {
				variables := []string{"PROFILES_FILE=" + load.write(t), "PROFILE=small"}
				flags := func(int) []string { return []string{"--no-thresholds"} }
				one := runTogether(t, 1, load.script, service.target(t).url, flags, variables...)
				four := runTogether(t, 4, load.script, service.target(t).url, flags, variables...)
				if statuses(one) == statuses(four) && one.exit == four.exit {
					equal++
				} else {
					t.Logf("one: %s\nfour: %s", one.said, four.said)
				}
				if one.verdict.Status == service.want && four.verdict.Status == service.want {
					right++
				}
			})
		}
		t.Logf("%s: equal in %d of %d, and %s in %d", name, equal, *trials, service.want, right)
	}
}

// statuses are those of a run and of its claims.
func statuses(m mergedRun) string {
	all := []string{m.verdict.Status.String()}
	for _, claim := range m.verdict.Claims {
		all = append(all, claim.Claim.Kind+" "+claim.Status.String())
	}
	return strings.Join(all, ", ")
}
