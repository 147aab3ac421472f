package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

const (
	// lookEvery is the interval at which the files of the runners are checked. A runner appends to its file every 5 s.
	lookEvery = 6 * time.Second
	// killedAfter is how long a file without an end may go without growing before its runner counts as killed. It is longer than the work after
	// the load (balances are read for 4 minutes at most), and than a network drive reports a file's old length.
	killedAfter = 5 * time.Minute
	// longestWait bounds --wait.
	longestWait = 7 * 24 * time.Hour
)

// evidenceWait waits until the evidence of all runners of a test is whole.
type evidenceWait struct {
	args    []string
	expect  int       // 0: the number that the files name
	began   time.Time // of the wait; zero: evidence of any time counts
	every   time.Duration
	patient time.Duration // see killedAfter
	said    io.Writer
	files   map[string]*watched
	done    int
}

func newEvidenceWait(args []string, expect int, said io.Writer) *evidenceWait {
	return &evidenceWait{args: args, expect: expect, every: lookEvery, patient: killedAfter, said: said, files: map[string]*watched{}}
}

// watched is the state of one evidence file.
type watched struct {
	size     int64
	modified time.Time
	changed  time.Time // time of the check that found it changed
	isRead   bool      // in its present state
	run      *evidence.Run
}

// until waits for at most limit. Evidence older than the wait is of an earlier run: as its runner may be about to write a new file, it is
// refused only when the limit has passed.
func (w *evidenceWait) until(ctx context.Context, limit time.Duration) error {
	_, _ = fmt.Fprintf(w.said, "waiting for the evidence of the runners, for %s at most\n", limit)
	over := time.NewTimer(limit)
	defer over.Stop()
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	for {
		if w.look(time.Now()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("interrupted while waiting for the evidence of the runners")
		case <-over.C:
			return w.refuseEarlier()
		case <-ticker.C:
		}
	}
}

// look checks the files, and reports whether no runner is left to wait for.
func (w *evidenceWait) look(now time.Time) bool {
	runners := map[int]bool{}
	expected := w.expect
	for _, path := range w.paths() {
		file := w.watch(path, now)
		if file == nil || file.run == nil || w.isEarlier(file.run) {
			continue
		}
		for _, runner := range file.run.Runners {
			expected = max(expected, runner.Count, 1)
			if runner.Ended || now.Sub(file.changed) >= w.patient {
				runners[runner.Index] = true
			}
		}
	}
	if len(runners) != w.done {
		w.done = len(runners)
		_, _ = fmt.Fprintf(w.said, "the evidence of %d of %d runners is whole\n", w.done, expected)
	}
	return expected > 0 && len(runners) >= expected
}

// paths returns the paths of the evidence files that exist so far.
func (w *evidenceWait) paths() (paths []string) {
	for _, arg := range w.args {
		files, err := evidenceFiles(arg)
		if err == nil { // otherwise the file may still appear
			paths = append(paths, files...)
		}
	}
	return paths
}

// watch returns the state of a file, nil if it does not exist. It reads the file once it finds it unchanged since the last check.
func (w *evidenceWait) watch(path string, now time.Time) *watched {
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	file := w.files[path]
	if file == nil || file.size != info.Size() || !file.modified.Equal(info.ModTime()) {
		file = &watched{size: info.Size(), modified: info.ModTime(), changed: now}
		w.files[path] = file
		return file
	}
	if !file.isRead {
		file.isRead = true
		if run, err := evidence.ReadFile(path); err == nil { // the merge reports the error
			file.run = run
		}
	}
	return file
}

// isEarlier reports whether evidence ends before the wait began, by its runner's clock.
func (w *evidenceWait) isEarlier(run *evidence.Run) bool { return lastOf(run).Before(w.began) }

// lastOf returns the time at which evidence ends, by its runner's clock. Its seconds are on the target's clock, and each counts to its end.
func lastOf(run *evidence.Run) time.Time {
	last := run.Header.Began
	if _, second := run.Extent(); time.Unix(second+1, 0).After(last) {
		last = time.Unix(second+1, 0)
	}
	if run.End != nil {
		last = run.End.At
	}
	if len(run.Runners) > 0 {
		last = last.Add(run.Runners[0].ClockOffset)
	}
	return last
}

func (w *evidenceWait) refuseEarlier() error {
	for _, path := range w.paths() {
		if file := w.files[path]; file != nil && file.run != nil && w.isEarlier(file.run) {
			return fmt.Errorf("%s ends at %s, before this command began to wait, so it is of an earlier run; give each run a folder of its own "+
				"as REPORT_DIR, or leave out --wait where all runners are done", path, lastOf(file.run).UTC().Format(time.RFC3339))
		}
	}
	return nil
}
