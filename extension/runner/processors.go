package runner

import (
	"context"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	processorsEvery = 200 * time.Millisecond
	// fullUse is the share of the processors in use above which their number doubles at once.
	fullUse = 0.85
	// fairUse is the highest use of the fewer processors at which the others are let go, if it lasts for quietFor.
	fairUse  = 0.75
	quietFor = 3 * time.Second
	// mostSkipped is how many readings in a row may be skipped as unusable.
	mostSkipped = 4
	// heapForTwo is the live heap in bytes above which one processor's garbage collection would delay users.
	heapForTwo = 128 << 20
	// restFor is how long a processor rests at a time. Go preempts a goroutine that runs longer.
	restFor = 10 * time.Millisecond
)

// PaceProcessors lets Go use only as many processors as the load needs. Each request that becomes due makes Go wake another
// processor, which looks for work, finds none as most users are idle, and goes back to sleep: that took a third of the
// processor time of a request, and more at low rates. It follows the load until the context ends. It does nothing and returns
// false if GOMAXPROCS is set or there is only one processor.
func PaceProcessors(ctx context.Context) bool {
	most := runtime.GOMAXPROCS(0)
	if os.Getenv("GOMAXPROCS") != "" || most == 1 {
		return false
	}
	go func() {
		defer processorsNow.free(most)
		ticker := time.NewTicker(processorsEvery)
		defer ticker.Stop()
		p, use := processors{most: most, now: most}, usage{}
		use.take()
		processorsNow.set(most)
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			busy, elapsed, usable := use.take()
			if had := p.now; usable && p.next(busy, liveHeap(), elapsed) != had {
				processorsNow.set(p.now)
			}
		}
	}()
	return true
}

// setting controls how many processors Go may use.
type setting struct {
	mu   sync.Mutex
	now  int          // processors that work; 0: not paced
	stop *atomic.Bool // ends the rest of the additional processor; nil: none rests
}

var processorsNow setting //nolint:gochecknoglobals // as GOMAXPROCS is

// set lets n processors work and one more rest; see rest.
func (s *setting) set(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = n
	s.apply()
}

// apply makes Go use s.now processors. The lock is held, as in endRest.
func (s *setting) apply() {
	s.endRest()
	if !rests {
		runtime.GOMAXPROCS(s.now)
		return
	}
	runtime.GOMAXPROCS(s.now + 1)
	s.stop = new(atomic.Bool)
	go rest(s.stop, restFor)
}

func (s *setting) endRest() {
	if s.stop != nil {
		s.stop.Store(true)
		s.stop = nil
	}
}

// free ends the pacing and gives all processors back to Go.
func (s *setting) free(all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endRest()
	s.now = 0
	runtime.GOMAXPROCS(all)
}

// all runs work with all processors, and then returns to the number that was set.
func (s *setting) all(work func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now > 0 {
		defer s.apply()
		s.endRest()
		runtime.SetDefaultGOMAXPROCS()
	}
	work()
}

// working returns how many processors may work.
func (s *setting) working() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now > 0 {
		return s.now
	}
	return runtime.GOMAXPROCS(0)
}

// usage measures how many processors are in use between two readings.
type usage struct {
	cpu     time.Duration // of the process, at the last reading
	at      time.Time     // of the last reading
	pauses  uint64        // of the garbage collector, by then
	skipped int           // unusable readings in a row
}

// take returns how many processors were in use since the last reading. The reading is unusable if garbage was collected, as
// that takes all idle processors; but after mostSkipped unusable ones the next counts.
func (u *usage) take() (busy float64, elapsed time.Duration, usable bool) {
	cpu, now, pauses := cpuTime(), time.Now(), readPauses().count()
	elapsed = now.Sub(u.at)
	busy = (cpu - u.cpu).Seconds() / elapsed.Seconds()
	collecting := pauses != u.pauses || pauses%2 == 1 // a collection pauses twice: when it begins and when it ends
	usable = !collecting || u.skipped == mostSkipped
	u.cpu, u.at, u.pauses, u.skipped = cpu, now, pauses, u.skipped+1
	if usable {
		u.skipped = 0
	}
	return busy, elapsed, usable
}

// processors decides how many processors may work.
type processors struct {
	most, now int
	quiet     time.Duration // for how long fewer would have sufficed
}

// next returns the new number of processors, given how many were busy for elapsed and the live heap in bytes.
func (p *processors) next(busy float64, live uint64, elapsed time.Duration) int {
	needed := p.needed(busy, live)
	switch {
	case busy > fullUse*float64(p.now):
		p.now, p.quiet = min(2*p.now, p.most), 0
	case needed >= p.now:
		p.now, p.quiet = needed, 0
	case p.quiet+elapsed < quietFor:
		p.quiet += elapsed
	default:
		p.now, p.quiet = needed, 0
	}
	return p.now
}

func (p *processors) needed(busy float64, live uint64) int {
	n := max(1, int(math.Ceil(busy/fairUse)))
	if live > heapForTwo {
		n = max(n, 2)
	}
	return min(n, p.most)
}
