// Package runner measures the process that generates the load: how late its timers fire, how many processors it uses, and how
// long the garbage collector stops it. This is the runner's own share in the latencies that it reports. The package also sets
// the collector's pace and the number of processors.
package runner

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// every is the interval of the timers whose lateness is measured.
	every = 20 * time.Millisecond
	// idleTicks is the number of timers after the last release before measuring stops.
	idleTicks = 10
	// period is the shortest interval between two readings of the processor time, and between two results of Take.
	period = time.Second
)

// Monitor measures this process while it is held. Its zero value is ready; its methods are safe for concurrent use.
type Monitor struct {
	// Late is called with how late each timer fired, Used about once a second with the number of processors in use, of those
	// that Go may use. Either may be nil. Set them before the first Hold.
	Late func(late time.Duration)
	Used func(processors float64, of int)

	mu      sync.Mutex
	holders int // calls of Hold not yet released
	running bool
	lags    []time.Duration // how late timers fired since taken
	taken   time.Time       // when Take last returned lags
	seen    Usage

	late  *hdrhistogram.Histogram // µs
	first histogram               // the collector's pauses when measuring began
	last  histogram               // and at the last reading
}

// Usage is what was measured so far. A percentile is 0 if nothing was measured.
type Usage struct {
	LateP95, LateP99, LateMax time.Duration // how late timers fired
	PauseP95, PauseMax        time.Duration // how long the collector stopped the process
	CPU                       time.Duration // processor time used while measuring
	Watched                   time.Duration // time spent measuring
	PeakCPU                   float64       // processors in use in the busiest second
	Processors                int           // that Go may use, see PaceProcessors
}

// MeanCPU returns how many processors were in use, on average.
func (u Usage) MeanCPU() float64 {
	if u.Watched <= 0 {
		return 0
	}
	return u.CPU.Seconds() / u.Watched.Seconds()
}

// Hold measures until release is called.
func (w *Monitor) Hold() (release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holders++
	if !w.running {
		w.running, w.taken = true, time.Now()
		if w.late == nil {
			w.late = hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 2)
			w.first = readPauses()
			w.seen.Processors = processorsNow.working()
		}
		go w.run()
	}
	return w.release
}

func (w *Monitor) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holders--
}

// Take returns how late timers fired since the last Take; nil if that was less than a second ago.
func (w *Monitor) Take() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if now.Sub(w.taken) < period {
		return nil
	}
	lags := w.lags
	w.lags, w.taken = nil, now
	return lags
}

// Usage returns what was measured so far.
func (w *Monitor) Usage() Usage {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.seen
	u.Processors = max(u.Processors, processorsNow.working())
	if w.late == nil {
		return u
	}
	us := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	u.LateP95, u.LateP99, u.LateMax = us(w.late.ValueAtQuantile(95)), us(w.late.ValueAtQuantile(99)), us(w.late.Max())
	pauses := difference(w.first, w.last)
	u.PauseP95, u.PauseMax = pauses.quantile(0.95), pauses.quantile(1)
	return u
}

// run measures until idleTicks timers after the last release.
func (w *Monitor) run() {
	cpu, at := cpuTime(), time.Now()
	for idle := 0; idle < idleTicks; {
		due := time.Now().Add(every)
		time.Sleep(every)
		runtime.Gosched() // a timer's goroutine runs before those that wait for answers; measure as they are delayed
		idle = w.noteLate(time.Since(due), idle)
		if time.Since(at) >= period || idle == idleTicks {
			cpu, at = w.noteUsage(cpu, at)
		}
	}
}

// noteLate records how late a timer fired, if the monitor is held, and returns the number of timers since it no longer is.
func (w *Monitor) noteLate(late time.Duration, idle int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.holders > 0 {
		w.record(late)
		return 0
	}
	if idle+1 == idleTicks {
		w.running = false
	}
	return idle + 1
}

// record records a timer, and the timers that were due while this one was late: a runner that hangs for a second counts as
// fifty late timers, not as one. The lock is held.
func (w *Monitor) record(late time.Duration) {
	for ; ; late -= every {
		w.lags = append(w.lags, late)
		if w.Late != nil {
			w.Late(max(late, 0))
		}
		_ = w.late.RecordValue(max(late, 0).Microseconds()) // fails only beyond a minute
		if late < every {
			return
		}
	}
}

// noteUsage adds the processor time used since the last reading, and returns the new reading.
func (w *Monitor) noteUsage(cpu time.Duration, since time.Time) (time.Duration, time.Time) {
	now, used, pauses := time.Now(), cpuTime(), readPauses()
	inUse, of := (used-cpu).Seconds()/now.Sub(since).Seconds(), processorsNow.working()
	if w.Used != nil {
		w.Used(inUse, of)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = pauses
	w.seen.Processors = max(w.seen.Processors, of)
	w.seen.CPU += used - cpu
	w.seen.Watched += now.Sub(since)
	w.seen.PeakCPU = max(w.seen.PeakCPU, inUse)
	return used, now
}

// readPauses returns the durations of the collector's pauses since the process began.
func readPauses() histogram {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(sample)
	return histogramOf(sample[0])
}

// histogram is a copy of a histogram of runtime/metrics.
type histogram struct {
	counts  []uint64
	buckets []float64 // bounds in seconds; one more than counts
}

func histogramOf(sample metrics.Sample) histogram {
	if sample.Value.Kind() != metrics.KindFloat64Histogram {
		return histogram{}
	}
	h := sample.Value.Float64Histogram()
	return histogram{append([]uint64(nil), h.Counts...), h.Buckets}
}

// difference returns what was counted between two readings.
func difference(before, after histogram) histogram {
	if len(before.counts) != len(after.counts) {
		return histogram{}
	}
	counts := make([]uint64, len(after.counts))
	for i := range counts {
		counts[i] = after.counts[i] - before.counts[i]
	}
	return histogram{counts, after.buckets}
}

func (h histogram) count() (total uint64) {
	for _, n := range h.counts {
		total += n
	}
	return total
}

// quantile returns the lower bound of the bucket that holds the quantile, so it never overstates.
func (h histogram) quantile(q float64) time.Duration {
	total := h.count()
	if total == 0 {
		return 0
	}
	rank, seen := q*float64(total), uint64(0)
	for i, n := range h.counts {
		if seen += n; n > 0 && float64(seen) >= rank {
			return time.Duration(max(h.buckets[i], 0) * float64(time.Second))
		}
	}
	return 0
}
