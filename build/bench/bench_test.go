package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// floorVariable is the variable that makes the test binary the floor, as floorCommand does with the command.
const floorVariable = "BENCH_TEST_AS_FLOOR"

func TestMain(m *testing.M) {
	if os.Getenv(floorVariable) != "" && len(os.Args) == 3 {
		if err := runFloor(context.Background(), os.Args[2]); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	if err := os.Chdir("../.."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func k6Binary(t *testing.T) string {
	t.Helper()
	k6 := os.Getenv("K6_BINARY")
	if k6 == "" {
		k6 = "./k6"
	}
	if _, err := exec.LookPath(k6); err != nil {
		t.Skipf("skipped, not tested: there is no %s; build it with make", k6)
	}
	return k6
}

// `make bench` at a small scale, to test that every part runs and every number is measured; performance is not tested.
func TestBench(t *testing.T) {
	k6 := k6Binary(t)
	t.Setenv(floorVariable, "1")
	var out bytes.Buffer
	brief := load{users: 40, thinkMin: 0.1, thinkMax: 0.3, rampUp: time.Second, hold: 2 * time.Second, rounds: 1}
	base := brief
	base.users = 1
	b := bench{k6: k6, out: &out, loads: []load{brief}, base: base}
	written := filepath.Join(t.TempDir(), "bench.json")
	require.NoError(t, b.run(t.Context(), written))

	text, err := os.ReadFile(written) // #nosec G304 -- the test's own file
	require.NoError(t, err)
	var got results
	require.NoError(t, json.Unmarshal(text, &got))
	require.Len(t, got.Users, len(variants()))
	require.Positive(t, got.Recording.MicrosPerRequest)
	require.Positive(t, got.Recording.BytesPerRequest)
	for _, r := range got.Users {
		m := r.Median
		require.Contains(t, out.String(), r.Variant)
		if _, err := exec.LookPath("nginx"); err != nil && strings.Contains(r.Variant, "TLS") {
			require.Equal(t, errNoNginx.Error(), r.Missing)
			t.Logf("%s: not tested, for there is no nginx (apt-get install nginx)", r.Variant)
			continue
		}
		require.Zero(t, m.Failed, r.Variant)
		for name, n := range map[string]float64{
			"requests": m.RequestsPerSecond, "CPU": m.CPUPerRequest, "server CPU": m.ServerCPU, "memory": m.PeakMB, "live": m.LiveKBPerUser,
			"server p95": m.ServerP95,
		} {
			require.Positive(t, n, "%s: %s", r.Variant, name)
		}
		if r.Variant != variants()[0].name {
			require.GreaterOrEqual(t, m.ReportedP95, m.ServerP95, "%s: the client cannot be faster than the server", r.Variant)
		}
	}
}

// `MINUTES=12 make bench`, in seconds.
func TestBenchOfMinutes(t *testing.T) {
	k6 := k6Binary(t)
	var out bytes.Buffer
	b := bench{k6: k6, out: &out, work: t.TempDir()}
	minutes, err := b.runFlat(t.Context(), flat{users: 40, rampUp: time.Second, every: 2 * time.Second, minutes: 2})
	require.NoError(t, err)
	require.Len(t, minutes, 2)
	for _, m := range minutes {
		require.Positive(t, m.requestsPerSecond)
		require.Positive(t, m.cpuPerRequest)
		require.Greater(t, m.residentMB, m.liveMB)
		require.NotZero(t, m.growth)
	}
	require.Contains(t, out.String(), "40 users, default think times, at full load for")
	require.Regexp(t, `(?m)^ +[0-9]+s .*\n +[0-9]+s `, out.String(), "a row for each reading, at its time")
}

func TestHelpersAreMeasured(t *testing.T) {
	for _, name := range []string{"queueKey, isolated user", "sign", "checkoutCompleted"} {
		work, err := inGo(helper{Name: name, Input: json.RawMessage(`{"city":"Perth"}`)})
		require.NoError(t, err)
		require.NoError(t, work())
	}
	_, err := inGo(helper{Name: "hash"})
	require.EqualError(t, err, `helpers.js measured "hash", which is not known here`)
}

func TestMedianIsOfEachNumber(t *testing.T) {
	readings := []reading{{PeakMB: 3, CPUPerRequest: 1}, {PeakMB: 1, CPUPerRequest: 9}, {PeakMB: 2, CPUPerRequest: 5}}
	require.Equal(t, reading{PeakMB: 2, CPUPerRequest: 5}, median(readings))
	require.Equal(t, reading{PeakMB: 2, CPUPerRequest: 5}, median(readings[:2]))
	require.Zero(t, median(nil))
}

func TestProcReadings(t *testing.T) {
	start := cpuSeconds(os.Getpid())
	for deadline := time.Now().Add(5 * time.Second); cpuSeconds(os.Getpid()) < start+0.05 && time.Now().Before(deadline); {
		_ = strings.Repeat(strconv.Itoa(os.Getpid()), 1000)
	}
	require.Greater(t, cpuSeconds(os.Getpid()), start)
	require.Greater(t, availableMB(), 10.0)
	require.Zero(t, cpuSeconds(-1))
	require.Contains(t, machine(), "cores of")
}
