package run

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/snapshot"
)

// readings is the state of the readings of Prometheus between the start and the end of a run.
type readings struct {
	mu      sync.Mutex
	begun   bool
	ended   bool
	mark    snapshot.Mark
	failure string // of the start
}

// BeginReadings reads Prometheus before the load, on the first of several runners. A failure is a warning; the run goes on.
func (r *Run) BeginReadings(ctx context.Context, prometheus *snapshot.Reader, isFirst bool, log Logger) {
	if !isFirst {
		r.Record.SetReadings(report.ReadingsElsewhere)
		return
	}
	mark, problems, err := prometheus.Begin(ctx)
	r.readings.begin(mark, err)
	r.Record.SetReadings(report.ReadingsBegun)
	if err != nil && !errors.Is(err, snapshot.ErrStopped) {
		log.Warnf("Prometheus could not be read, the run goes on: %s", err)
	}
	if len(problems) > 0 {
		log.Warnf("Prometheus cannot evaluate everything, the run goes on: %s", strings.Join(problems, "; "))
	}
}

// EndReadings reads Prometheus after the load, once, if BeginReadings read it: for a table of the report, and for the evidence.
func (r *Run) EndReadings(ctx context.Context, prometheus *snapshot.Reader, url string, log Logger) {
	mark, failure, ok := r.readings.end()
	if !ok {
		return
	}
	r.Record.SetReadings(report.ReadingsEnded)
	if failure == "" {
		log.Info("waiting for Prometheus to scrape what the run did, mostly a few seconds, 2 minutes at most")
	}
	found, err := prometheus.End(ctx, mark)
	if err != nil {
		r.Record.Warn("no readings of Prometheus: " + err.Error())
		if failure == "" { // otherwise it was logged at the start
			log.Warnf("Prometheus could not be read: %s", err)
		}
		return
	}
	if failure != "" {
		r.Record.Warn("Prometheus could not be read at the start: " + failure)
	}
	r.recordReadings(found)
	r.Record.AddTable(report.PrometheusTable(url, found))
}

func (p *readings) begin(mark snapshot.Mark, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun, p.mark = true, mark
	if err != nil {
		p.failure = err.Error()
	}
}

// end returns the arguments of begin, once.
func (p *readings) end() (mark snapshot.Mark, failure string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.begun || p.ended {
		return snapshot.Mark{}, "", false
	}
	p.ended = true
	return p.mark, p.failure, true
}

// recordReadings records the readings of Prometheus since the beginning of the load: the values of a gauge, the increase per second
// of a counter.
func (r *Run) recordReadings(readings snapshot.Report) {
	r.mu.Lock()
	began := r.state.loadBegan
	r.mu.Unlock()
	if began.IsZero() {
		return
	}
	for _, reading := range readings.Readings {
		name := evidence.Labelled(evidence.LevelServer, reading.Name)
		if reading.Kind == snapshot.Counter {
			name = evidence.Labelled(evidence.LevelServer, reading.Name, "per second")
		}
		for _, point := range reading.Course {
			if at := readings.Began.Add(point.After); !at.Before(began) {
				r.Evidence.Level(name, at, point.Value)
			}
		}
	}
}
