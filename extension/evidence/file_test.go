package evidence

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sample records some of everything. It is the example of docs/evidence.md.
func sample(t *testing.T, path string) *Recorder {
	t.Helper()
	r := newRecorder()
	require.NoError(t, r.Describe(Header{
		Scenario: "queue-concurrency", Profile: "match-dry", Target: "https://staging.example.com",
		Plan: "500 users arrive within 1m0s and stay for 5m0s", PlannedUsers: 500, PlannedRate: 2.5,
		Stages: []Stage{{60, 500}, {300, 500}, {60, 0}}, Start: 1, Variables: map[string]string{"PROFILE": "match-dry"},
		Tool: "v0.9.0", K6: "v2.2.0", NoClaims: "fewer users than the profile has", Overridden: []string{"file descriptors"},
		Claims: []Claim{{
			Kind: "latency", Least: 1, Operations: []string{"queue_join"}, Quantile: 0.95, WithinMs: 100, Below: 0.001,
			ForSeconds: 300, SendWithinMs: 1000, Sent: 0.95,
		}},
	}, Runner{Index: 0, Count: 2, Segment: "0:1/2", ID: "TFCQ2ZLVO5TYB3LDQXNFZ6BMJI", ClockOffset: 12 * time.Millisecond}))
	require.NoError(t, r.Open(path, func(err error) { t.Error(err) }))
	for i := range 40 {
		r.Time(join, at(float64(i%2)), time.Duration(3+i)*time.Millisecond, OK, "")
	}
	r.Time(join, at(0), 180*time.Millisecond, OK, "")
	r.Time(join, at(1), 2*time.Millisecond, Failed, "HTTPError 500")
	r.Time(match, at(1), 4*time.Second, Cut, "")
	r.Level(LevelPresent, at(0), 498)
	r.Level(LevelPresent, at(1), 500)
	r.Count(Labelled(CountOperations, "queue_join"), at(1), 21)
	r.Run()                                                     // packs, so that the next samples are a separate record
	r.Time(join, at(0), 95*time.Millisecond, OK, "")            // late
	r.Time(join, at(0), 30*time.Second, Failed, "TimeoutError") // later still
	require.NoError(t, r.Close(End{
		At: at(3), Thresholds: 17, Crossed: []string{"http_req_failed: rate<0.001"}, UptimeBefore: 7200.5, UptimeAfter: 7203.5,
		Interrupted: "stopped by Ctrl-C",
		Ledger:      &Ledger{Users: 10, Unread: 1, Unknown: 1, Wrong: 1, Bought: 20, Spent: 8, Lost: 1, Left: 12, Examples: []string{"user 7"}},
		Findings:    []Finding{{"!", "still waiting", "1 user for a match, 4.0 s at the longest"}},
		Facts:       map[string]int64{"matched_unheard": 1},
		Waiting:     []Waiting{{"a match", 1, 4 * time.Second}},
		Conditions:  []Condition{{"http_req_failed", "rate<0.001", false, "rate=0.02", 44}},
		Checks:      []Finding{{"✓", "clock", "0.0 s from the service's"}},
		Warnings:    []string{"the queue depth is unknown"},
		Tables:      []Table{{"Prometheus", []string{"reading", "start"}, [][]string{{"commits", "7"}}, []string{"read twice"}}},
	}))
	return r
}

func TestARecordersFileIsReadBackAsItsRun(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x"+Extension)
	r := sample(t, path)
	run, err := ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, r.Run(), run)
	require.EqualValues(t, 22, run.Seconds[at0].Cells[join].OK.Count())
	require.Equal(t, map[string]int64{"TimeoutError": 1}, run.Seconds[at0].Cells[join].Failed)

	var rewritten bytes.Buffer
	require.NoError(t, run.Write(&rewritten))
	again, err := read(&rewritten)
	require.NoError(t, err)
	require.Equal(t, run, again)
}

func TestAMergedRunIsReadBackAsItIs(t *testing.T) {
	t.Parallel()
	a, b := described(t, Header{}, segment(0, 2)), described(t, Header{}, segment(1, 2))
	require.NoError(t, a.Close(End{}))
	merged, err := Merge(Part{"a", a.Run()}, Part{"b", b.Run()})
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, merged.Write(&text))
	again, err := read(&text)
	require.NoError(t, err)
	require.Equal(t, merged, again)
	require.True(t, again.Runners[0].Ended)
	require.False(t, again.Runners[1].Ended)
}

func TestSamplesBeforeFileAndDescriptionAreWritten(t *testing.T) {
	t.Parallel()
	for _, isFileFirst := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "x"+Extension)
		r := newRecorder()
		r.Time(join, at(0), time.Millisecond, OK, "")
		if isFileFirst {
			require.NoError(t, r.Open(path, nil))
			r.Run() // packs the samples so far
		}
		require.NoError(t, r.Describe(Header{}, Runner{ClockOffset: 5 * time.Second}))
		if !isFileFirst {
			require.NoError(t, r.Open(path, nil))
		}
		early, err := ReadFile(path)
		require.NoError(t, err, "it is on the disk at once")
		require.EqualValues(t, 1, early.Seconds[at0-5].Cells[join].OK.Count())
		require.Nil(t, early.End)
		require.False(t, early.Runners[0].Ended)
		require.NoError(t, r.Close(End{}))
		run, err := ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, r.Run(), run)
	}
}

func needJq(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("jq is not on PATH: that it reads evidence is not tested")
	}
}

func TestARunningTestCanBeReadWithZcatAndJq(t *testing.T) {
	t.Parallel()
	needJq(t)
	path := filepath.Join(t.TempDir(), "x"+Extension)
	file, err := os.Create(path) //nolint:gosec // the test's own file
	require.NoError(t, err)
	r := described(t, Header{}, Runner{})
	require.NoError(t, r.open(file, func(err error) { t.Error(err) }, 5*time.Millisecond))
	defer func() { require.NoError(t, r.Close(End{})) }()
	for i := range 3 {
		r.Time(join, at(float64(i)), time.Millisecond, OK, "")
		require.Eventually(t, func() bool {
			out, err := exec.CommandContext(t.Context(), "sh", "-c", `zcat "$1" | jq -c 'select(.record == "second") | [.at, .cells[0].ok]'`, "sh", path).Output() //nolint:gosec // the test's own file
			return err == nil && strings.Count(string(out), "[[1003,1]]]\n") == i+1
		}, 10*time.Second, 10*time.Millisecond)
	}
}

// flaky is a disk that is sometimes full: it then writes half of the data and returns an error.
type flaky struct {
	mu     sync.Mutex
	isFull bool
	text   []byte
	synced error
	closed int
}

func (d *flaky) WriteAt(text []byte, offset int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := len(text), error(nil)
	if d.isFull {
		n, err = n/2, syscall.ENOSPC
	}
	d.text = append(d.text[:offset], text[:n]...)
	return n, err
}

func (d *flaky) Sync() error  { return d.synced }
func (d *flaky) Close() error { d.closed++; return nil }

func (d *flaky) set(isFull bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.isFull = isFull
}

// write does what a recorder does every 5 s.
func (r *Recorder) write() {
	r.cold.Lock()
	defer r.cold.Unlock()
	r.fold()
	r.file.flush()
}

func TestAFullDiskIsReportedOnceAndWrittenToLater(t *testing.T) {
	t.Parallel()
	disk := &flaky{}
	var reported []error
	r := described(t, Header{}, Runner{})
	require.NoError(t, r.open(disk, func(err error) { reported = append(reported, err) }, time.Hour))
	for i := range 10 {
		disk.set(2 <= i && i < 7)
		r.Time(join, at(float64(i)), time.Millisecond, OK, "")
		r.write()
	}
	require.NoError(t, r.Close(End{}))
	require.Len(t, reported, 1)
	require.EqualError(t, reported[0], "evidence: no space left on device")
	run, err := read(bytes.NewReader(disk.text))
	require.NoError(t, err)
	require.Equal(t, r.Run(), run)
	require.Len(t, run.Seconds, 10)
	require.Equal(t, 1, disk.closed)
}

func TestAFileThatStaysUnwritableIsReportedAtTheEndAndTheRunIsKept(t *testing.T) {
	t.Parallel()
	disk := &flaky{synced: errors.New("input/output error")}
	reports := 0
	r := described(t, Header{}, Runner{})
	require.NoError(t, r.open(disk, func(error) { reports++ }, time.Hour))
	r.Time(join, at(0), time.Millisecond, OK, "")
	require.EqualError(t, r.Close(End{}), "evidence: the file ends early, for it could not be written: input/output error")
	require.Equal(t, 1, reports)
	require.EqualValues(t, 1, r.Run().Seconds[at0].Cells[join].OK.Count())
	require.NotNil(t, r.Run().End)
}

func TestAFileIsGivenUpBeforeItUsesAllMemory(t *testing.T) {
	t.Parallel()
	r := described(t, Header{}, Runner{})
	require.NoError(t, r.open(&flaky{isFull: true}, nil, time.Hour))
	r.file.unwritten.Write(make([]byte, mostUnwritten))
	r.write()
	require.True(t, r.file.isGivenUp)
	require.Zero(t, r.file.unwritten.Cap())
	r.Time(join, at(0), time.Millisecond, OK, "")
	r.write()
	require.EqualError(t, r.Close(End{}), "evidence: the file ends early, for it could not be written: no space left on device")
	require.Len(t, r.Run().Seconds, 1)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRecorder()
	missing := filepath.Join(dir, "missing", "x")
	require.EqualError(t, r.Open(missing, nil), "evidence: open "+missing+": no such file or directory")
	require.NoError(t, r.Open(filepath.Join(dir, "x"), nil), "after a path that cannot be, another may be given")
	require.EqualError(t, r.Open(filepath.Join(dir, "y"), nil), "evidence: the recorder has had a file, or is closed")
	require.EqualError(t, r.Close(End{}), "evidence: the file is empty, for the run was never described")
	require.EqualError(t, newClosed(t).Open(filepath.Join(dir, "z"), nil), "evidence: the recorder has had a file, or is closed")
}

func newClosed(t *testing.T) *Recorder {
	t.Helper()
	r := newRecorder()
	require.NoError(t, r.Close(End{}))
	return r
}

// recordTo is the variable that makes the test binary record to the file that it names.
const recordTo = "EVIDENCE_TEST_RECORDS_TO"

// recordUntilKilled records a request each millisecond until it is killed, or for a minute.
func recordUntilKilled(path string) {
	r := New(nil)
	file, err := os.Create(path) //nolint:gosec // the test's own file
	if err != nil || r.Describe(Header{}, Runner{}) != nil || r.open(file, nil, 20*time.Millisecond) != nil {
		os.Exit(1)
	}
	for range 60_000 {
		r.Time(join, time.Now(), time.Millisecond, OK, "")
		time.Sleep(time.Millisecond)
	}
	os.Exit(1)
}

func TestTheFileOfAKilledRunnerCanBeRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x"+Extension)
	runner := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this binary
	runner.Env = append(os.Environ(), recordTo+"="+path)
	require.NoError(t, runner.Start())
	requests := func() int64 {
		run, err := ReadFile(path)
		if err != nil {
			return 0
		}
		n := int64(0)
		for _, second := range run.Seconds {
			n += second.Cells[join].OK.Count()
		}
		return n
	}
	require.Eventually(t, func() bool { return requests() > 100 }, 30*time.Second, 20*time.Millisecond)
	written := requests()
	require.NoError(t, runner.Process.Kill())
	require.EqualError(t, runner.Wait(), "signal: killed")
	require.GreaterOrEqual(t, requests(), written)
	run, err := ReadFile(path)
	require.NoError(t, err)
	require.Nil(t, run.End)
	require.False(t, run.Runners[0].Ended)
}

func TestAnOlderFileOfTheSameNameIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x"+Extension)
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("old"), 10_000), 0o600))
	r := sample(t, path)
	run, err := ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, r.Run(), run)
}
