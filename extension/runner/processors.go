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
	// fullUse of the processors calls for more of them, at once.
	fullUse = 0.85
	// fairUse is what fewer processors must be able to carry, for quietFor, before the others are let go.
	fairUse  = 0.75
	quietFor = 3 * time.Second
	// mostSkipped readings in a row may tell nothing.
	mostSkipped = 4
	// heapForTwo takes one processor so long to collect that users would wait for it.
	heapForTwo = 128 << 20
	// restFor is how long a processor rests at a time. Go interrupts what lasts longer, as it does any goroutine.
	restFor = 10 * time.Millisecond
)

// PaceProcessors lets Go use as many processors as the load needs and no more. Users are idle most of the time, and each
// request that becomes due makes Go wake another processor, which looks for work, finds none and goes back to sleep: that took
// a third of the processor time of a request, and more at low rates. It follows the load until the context ends. It does
// nothing, and returns false, where the user has set GOMAXPROCS or there is only one.
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
			busy, elapsed, telling := use.take()
			if had := p.now; telling && p.next(busy, liveHeap(), elapsed) != had {
				processorsNow.set(p.now)
			}
		}
	}()
	return true
}

// setting is how many processors Go may use.
type setting struct {
	mu   sync.Mutex
	now  int          // that work; 0: as many as Go wants
	stop *atomic.Bool // ends the rest of one more; nil: none rests
}

var processorsNow setting //nolint:gochecknoglobals // as GOMAXPROCS is

// set lets n processors work, and one more rest beside them.
func (s *setting) set(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = n
	s.apply()
}

// apply is called with the lock held, as endRest is.
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

// free gives all back to Go.
func (s *setting) free(all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endRest()
	s.now = 0
	runtime.GOMAXPROCS(all)
}

// all does some work with all processors, and gives back those that were let go.
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

// working is how many processors may work.
func (s *setting) working() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now > 0 {
		return s.now
	}
	return runtime.GOMAXPROCS(0)
}

// usage is how many processors are in use, reading by reading.
type usage struct {
	cpu     time.Duration
	at      time.Time
	pauses  uint64
	skipped int
}

// take returns how many processors were in use since the last reading. Collecting garbage takes all that are idle: a reading
// with some of that tells nothing about the load, unless it goes on and on.
func (u *usage) take() (busy float64, elapsed time.Duration, telling bool) {
	cpu, now, pauses := cpuTime(), time.Now(), readPauses().count()
	elapsed = now.Sub(u.at)
	busy = (cpu - u.cpu).Seconds() / elapsed.Seconds()
	collecting := pauses != u.pauses || pauses%2 == 1 // the collector pauses all at its begin and at its end
	telling = !collecting || u.skipped == mostSkipped
	u.cpu, u.at, u.pauses, u.skipped = cpu, now, pauses, u.skipped+1
	if telling {
		u.skipped = 0
	}
	return busy, elapsed, telling
}

// processors decides how many of them there are now.
type processors struct {
	most, now int
	quiet     time.Duration // for how long fewer would have done
}

// next returns how many there are to be, from how many were busy and how much there is to collect.
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
