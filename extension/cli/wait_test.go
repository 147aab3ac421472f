package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// newWait returns a wait for the files of a folder that began when the runners of these tests did.
func newWait(dir string, expect int) (*evidenceWait, *bytes.Buffer) {
	said := &bytes.Buffer{}
	return &evidenceWait{
		args: []string{dir}, expect: expect, began: began, every: time.Millisecond, patient: time.Minute, said: said, files: map[string]*watched{},
	}, said
}

// lookTwice looks twice at the same moment: the second look finds a file unchanged and reads it.
func lookTwice(w *evidenceWait, now time.Time) bool {
	w.look(now)
	return w.look(now)
}

func TestTheWaitIsOverWhenAllEvidenceIsWhole(t *testing.T) {
	t.Parallel()
	dir, now := filepath.Join(t.TempDir(), "results"), time.Now()
	w, said := newWait(dir, 0)
	require.False(t, lookTwice(w, now), "the folder is not there yet")
	require.NoError(t, os.Mkdir(dir, 0o700))
	for index := range 3 {
		runnerFile{index: index}.write(t, dir)
		require.False(t, lookTwice(w, now), "the files say that there are four")
	}
	last := runnerFile{index: 3, killed: 10 * time.Second}
	path := last.write(t, dir)
	require.False(t, lookTwice(w, now), "it has no end yet")
	last.killed = 0
	require.NoError(t, os.Remove(path))
	last.write(t, dir)
	require.True(t, lookTwice(w, now))
	require.Equal(t, "the evidence of 1 of 4 runners is whole\nthe evidence of 2 of 4 runners is whole\n"+
		"the evidence of 3 of 4 runners is whole\nthe evidence of 4 of 4 runners is whole\n", said.String())
}

func TestTheWaitGoesByTheNumberThatIsExpected(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	w, _ := newWait(dir, 5)
	for _, f := range four() {
		f.write(t, dir)
	}
	require.False(t, lookTwice(w, now))
}

func TestARunnerWhoseFileDoesNotGrowWasKilled(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Now()
	w, _ := newWait(dir, 0)
	files := four()
	files[2].killed = 10 * time.Second
	for _, f := range files {
		f.write(t, dir)
	}
	require.False(t, lookTwice(w, now))
	require.False(t, w.look(now.Add(59*time.Second)))
	require.True(t, w.look(now.Add(time.Minute)))
}

func TestTheWaitEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runnerFile{index: 0}.write(t, dir)
	w, _ := newWait(dir, 0)
	require.NoError(t, w.until(t.Context(), 50*time.Millisecond), "then what is there is merged")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.EqualError(t, w.until(ctx, time.Hour), "interrupted while waiting for the evidence of the runners")
}

// Evidence older than the wait would give a verdict on another run.
func TestEvidenceOfAnEarlierRunIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, f := range four() {
		f.write(t, dir)
	}
	w, _ := newWait(dir, 0)
	w.began = began.Add(41 * time.Second) // the runners ended a second before
	require.EqualError(t, w.until(t.Context(), 50*time.Millisecond), dir+"/match-dry-runner-1-of-4.evidence.jsonl.gz ends at 2026-11-28T06:00:40Z, "+
		"before this command began to wait, so it is of an earlier run; give each run a folder of its own as REPORT_DIR, or leave out --wait where all runners are done")
	w.began = began.Add(39 * time.Second)
	require.NoError(t, w.until(t.Context(), time.Minute))
}

// The target's clock may be wrong by minutes: only times of the runner's clock are compared with this machine's clock.
func TestTheEndOfEvidenceIsByTheRunnersClock(t *testing.T) {
	t.Parallel()
	run := &evidence.Run{
		Header: evidence.Header{Began: began}, Seconds: map[int64]*evidence.Second{began.Unix() + 4: {}},
		Runners: []evidence.Runner{{ClockOffset: time.Minute}},
	}
	require.Equal(t, began.Add(65*time.Second), lastOf(run).UTC())
	run.End = &evidence.End{At: began.Add(10 * time.Second)}
	require.Equal(t, began.Add(70*time.Second), lastOf(run))
}

func TestMergeWaits(t *testing.T) {
	t.Parallel()
	out, err := runMerge(t, "--wait", "-5s", t.TempDir())
	require.EqualError(t, err, "--wait must be a time such as 45m, 168h0m0s at most, got -5s")
	require.Equal(t, 107, exitCodeOf(t, err))
	require.Empty(t, out)
	none := t.TempDir()
	_, err = runMerge(t, "--wait", "20ms", none)
	require.EqualError(t, err, none+": there is no *.evidence.jsonl.gz in it; give the folder that the runners had as REPORT_DIR")
}
