// Package runner watches the process that generates the load: how late its timers fire, how much of the processors it uses,
// and how long the garbage collector stops it. What it finds is the runner's own share in the latencies that it reports. It
// also sets the collector's pace.
package runner

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// every is the time between two timers whose lateness is measured.
	every = 20 * time.Millisecond
	// idleTicks is how many of them the watch goes on for when nothing is under way.
	idleTicks = 10
	// period is over how long one reading of the processor time goes, and how much Take returns at once.
	period = time.Second
)

// Monitor measures this process while something is under way. Its zero value is ready; its methods may be called at once.
type Monitor struct {
	// Late is called with how late each timer fired, and Used about once a second with how many processors were in use, of how
	// many that Go may use. Both are set before the first Hold; nil: nobody asks.
	Late func(late time.Duration)
	Used func(processors float64, of int)

	mu      sync.Mutex
	holders int
	running bool
	lags    []time.Duration // since the last Take, which was at taken
	taken   time.Time
	seen    Usage

	late  *hdrhistogram.Histogram // µs
	first histogram               // the collector's pauses when the watch began
	last  histogram
}

// Usage is what the watch has seen so far. A percentile is 0 where nothing was measured.
type Usage struct {
	LateP50, LateP95, LateP99, LateMax time.Duration // how late timers fired
	PauseP95, PauseMax                 time.Duration // how long the collector stopped the process
	CPU                                time.Duration // used while watching
	Watched                            time.Duration
	PeakCPU                            float64 // processors in use in the busiest second
	Processors                         int     // that Go may use, see PaceProcessors
}

// MeanCPU is how many processors were in use, on average.
func (u Usage) MeanCPU() float64 {
	if u.Watched <= 0 {
		return 0
	}
	return u.CPU.Seconds() / u.Watched.Seconds()
}

// Hold makes the watch go on until the function that is returned is called.
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

// Take returns how late the timers of the last second or more fired; none where the last call is not as long ago.
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

// Usage returns what was seen so far.
func (w *Monitor) Usage() Usage {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.seen
	u.Processors = max(u.Processors, processorsNow.working())
	if w.late == nil {
		return u
	}
	us := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	u.LateP50, u.LateP95 = us(w.late.ValueAtQuantile(50)), us(w.late.ValueAtQuantile(95))
	u.LateP99, u.LateMax = us(w.late.ValueAtQuantile(99)), us(w.late.Max())
	pauses := difference(w.first, w.last)
	u.PauseP95, u.PauseMax = pauses.quantile(0.95), pauses.quantile(1)
	return u
}

// run measures until nothing was under way for a while.
func (w *Monitor) run() {
	cpu, at := cpuTime(), time.Now()
	for idle := 0; idle < idleTicks; {
		due := time.Now().Add(every)
		time.Sleep(every)
		runtime.Gosched() // a timer's goroutine jumps the queue that those of answers wait in
		idle = w.noteLate(time.Since(due), idle)
		if time.Since(at) >= period || idle == idleTicks {
			cpu, at = w.noteUsage(cpu, at)
		}
	}
}

// noteLate notes how late a timer fired, and returns for how many timers nothing was under way.
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

// record also notes the timers that were due while this one was late: of a second in which nothing ran, each of its fifty
// timers counts, or a runner that hangs would look like one late timer. The lock is held.
func (w *Monitor) record(late time.Duration) {
	for ; ; late -= every {
		w.lags = append(w.lags, late)
		if w.Late != nil {
			w.Late(max(late, 0))
		}
		_ = w.late.RecordValue(max(late, 0).Microseconds()) // it fails beyond a minute only
		if late < every {
			return
		}
	}
}

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

// readPauses reads how long the collector stopped the process, each time since it began.
func readPauses() histogram {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(sample)
	return histogramOf(sample[0])
}

// histogram is a copy of one of the runtime's.
type histogram struct {
	counts  []uint64
	buckets []float64 // s; one more than counts
}

func histogramOf(sample metrics.Sample) histogram {
	if sample.Value.Kind() != metrics.KindFloat64Histogram {
		return histogram{}
	}
	h := sample.Value.Float64Histogram()
	return histogram{append([]uint64(nil), h.Counts...), h.Buckets}
}

// difference is what was counted between two readings.
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

// quantile returns the lower bound of the bucket that holds the quantile: an honest understatement.
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
