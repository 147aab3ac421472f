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
	// lookEvery is how often the files of the runners are looked at. A runner appends to its own every 5 s.
	lookEvery = 6 * time.Second
	// killedAfter is for how long a file that has no end does not grow before its runner counts as killed. It is longer than what comes
	// after the load takes (balances are read for 4 minutes at most), and than a network drive keeps a file's old length.
	killedAfter = 5 * time.Minute
	// longestWait bounds --wait.
	longestWait = 7 * 24 * time.Hour
)

// evidenceWait waits until the evidence of all runners of a test is whole.
type evidenceWait struct {
	args    []string
	expect  int // 0: as many as the files say
	began   time.Time
	every   time.Duration
	patient time.Duration // see killedAfter
	said    io.Writer
	files   map[string]*watched
	done    int
}

// watched is what is known of a file.
type watched struct {
	size     int64
	modified time.Time
	changed  time.Time // when a look found it changed
	isRead   bool      // as it is now
	run      *evidence.Run
}

// until waits for so long at most. Evidence that is older than the wait is of an earlier run: its runner may be about to write a new one,
// so it is refused only when the time is over.
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

// look reads what has changed, and reports whether no runner is left to wait for.
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

// paths are those of the files that there are so far.
func (w *evidenceWait) paths() (paths []string) {
	for _, arg := range w.args {
		files, err := evidenceFiles(arg)
		if err == nil { // otherwise it may come yet
			paths = append(paths, files...)
		}
	}
	return paths
}

// watch reads a file that has not changed since the last look; nil where it is not there.
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
		if run, err := evidence.ReadFile(path); err == nil { // an error is told when all are merged
			file.run = run
		}
	}
	return file
}

// isEarlier reports whether evidence ends before the wait began, by the clocks of the runners.
func (w *evidenceWait) isEarlier(run *evidence.Run) bool { return lastOf(run).Before(w.began) }

// lastOf is when evidence ends, by the clock of its runner. Seconds are those of the target's clock, and stand for all of their length.
func lastOf(run *evidence.Run) time.Time {
	last := run.Header.Began
	for at := range run.Seconds {
		if end := time.Unix(at+1, 0); end.After(last) {
			last = end
		}
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
