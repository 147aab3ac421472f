package run

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/report"
)

const (
	// progressSeconds is the time that a line of progress covers, and the time between two lines if there is no terminal.
	progressSeconds = 10
	// progressEvery is the time between two updates of the line at a terminal.
	progressEvery = time.Second
)

// progress shows the progress of a run: in the line above k6's progress bars or, without a terminal, in lines of the output.
type progress struct {
	errors atomic.Int64 // so far

	isQuiet func() bool // nil: quiet
	bars    *Bars       // nil: no terminal

	stop    context.CancelFunc // nil: not begun
	stopped chan struct{}
}

// ShowProgress makes runs show their progress, unless isQuiet returns true when the load begins: in a line above the bars or, if
// bars is nil, in lines of the output. It is called before any script runs.
func (r *Run) ShowProgress(bars *Bars, isQuiet func() bool) {
	r.progress.bars, r.progress.isQuiet = bars, isQuiet
}

// begin shows the progress of the run until EndProgress is called.
func (p *progress) begin(r *Run) {
	if p.isQuiet == nil || p.isQuiet() {
		return
	}
	every := progressSeconds * time.Second
	if p.bars != nil {
		every = progressEvery
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop, p.stopped = stop, make(chan struct{})
	go func(stopped chan<- struct{}) {
		defer close(stopped)
		repeat(ctx, every, func() { p.show(r) })
		p.bars.set("")
	}(p.stopped)
}

// EndProgress stops showing progress, and returns when no more will be shown.
func (r *Run) EndProgress() {
	r.mu.Lock()
	stop, stopped := r.progress.stop, r.progress.stopped
	r.progress.stop = nil
	r.mu.Unlock()
	if stop != nil {
		stop()
		<-stopped
	}
}

func (p *progress) show(r *Run) {
	line := r.progressLine()
	if p.bars != nil {
		p.bars.set(line)
		return
	}
	if line != "" {
		_ = r.Write(line + "\n") // an error must not fail the run
	}
}

// progressLine returns the line of progress; "" when there is no load.
func (r *Run) progressLine() string {
	recent := recently(r.Evidence.Recent(progressSeconds))
	var parts []string
	switch {
	case r.presence.seated():
		users := r.presence.report()
		parts = append(parts, fmt.Sprintf("%s of %s users present", report.Thousands(r.Users().Present), report.Thousands(users.Planned)))
		if totals := r.Sessions.Totals(); totals.Window > 0 || totals.Planned > 0 {
			parts = append(parts, fmt.Sprintf("%.0f sessions at once", r.Sessions.ActiveSessions()))
		}
	case recent.sent > 0:
		parts = append(parts, fmt.Sprintf("%s of %s events sent", report.Thousands(recent.sent), report.Thousands(max(recent.sent, recent.due))))
	default:
		return ""
	}
	latency := "no answer"
	if n := recent.answered.Count(); n > 0 {
		latency = fmt.Sprintf("p95 %.1f ms", float64(recent.answered.Quantile(0.95))/1000)
	}
	parts = append(parts, fmt.Sprintf("%s in the last %d s", latency, progressSeconds),
		fmt.Sprintf("%s errors so far", report.Thousands(int(r.progress.errors.Load()))))
	return "  VERITY " + strings.Join(parts, ", ")
}

// recent is the evidence of the last seconds that a line of progress shows.
type recent struct {
	answered  evidence.Histogram // times of requests that were answered as asked
	due, sent int                // events
}

func recently(run *evidence.Run) (found recent) {
	for _, second := range run.Seconds {
		found.due += int(second.Counts[evidence.CountDue])
		found.sent += int(second.Counts[evidence.CountSent])
		for series, cell := range second.Cells {
			if series.Metric == evidence.MetricRequest {
				found.answered.Add(cell.OK)
			}
		}
	}
	return found
}
