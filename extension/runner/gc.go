package runner

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	mostPercent = 2000 // highest GOGC that is set
	goPercent   = 100  // Go's default GOGC
	paceEvery   = 100 * time.Millisecond
)

// pacing is the heap size in bytes up to which nothing is collected. The live heap may always double, as in Go.
type pacing uint64

// fullPacing applies where memory suffices. A collection delays users by a tenth of a second and more, so the reported
// latencies depend on how rarely it happens.
const fullPacing pacing = 420 << 20

// early: collecting begins when 1/early of the garbage that GOGC allows is still to come.
const early = 4

// PaceGC lets the heap grow to 420 MB, or to a quarter of the memory if that is less, before it is collected. A heap that is
// live to half that size or more follows Go's own rule, by which it doubles. It adapts to the live heap until the context ends.
// It does nothing and returns false if GOGC or GOMEMLIMIT is set.
//
// It collects with all processors, and before Go would: Go begins so late that allocating goroutines, which are the users',
// must help to finish in time.
func PaceGC(ctx context.Context) bool {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return false
	}
	pacing := pacingFor(AvailableMemory())
	go func() {
		before := debug.SetGCPercent(mostPercent)
		defer debug.SetGCPercent(before)
		ticker := time.NewTicker(paceEvery)
		defer ticker.Stop()
		set := mostPercent
		for {
			live := liveHeap()
			percent := pacing.percent(live)
			if differs(percent, set) {
				debug.SetGCPercent(percent)
				set = percent
			}
			if percent != goPercent && heap() > pacing.full(live) {
				processorsNow.all(runtime.GC)
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return true
}

// pacingFor returns the pacing for a machine's memory in bytes; 0: unknown.
func pacingFor(memory uint64) pacing {
	if memory == 0 {
		return fullPacing
	}
	return min(fullPacing, pacing(memory/4))
}

// percent returns the GOGC for a live heap.
func (p pacing) percent(live uint64) int {
	if live == 0 {
		return mostPercent
	}
	garbage := max(uint64(p), 2*live) - live
	return int(min(100*garbage/live, mostPercent)) // #nosec G115 -- at most mostPercent
}

// differs reports whether a change of GOGC is large enough to stop the world for a moment, which setting it does.
func differs(a, b int) bool { return a < b-b/10 || a > b+b/10 }

// full returns the heap size above which PaceGC collects; Go would begin later.
func (p pacing) full(live uint64) uint64 {
	goal := live + live*uint64(p.percent(live))/100 // #nosec G115 -- from 1 to mostPercent
	return goal - (goal-min(live, goal))/early
}

// liveHeap returns the bytes that the last collection found live.
func liveHeap() uint64 { return readBytes("/gc/heap/live:bytes") }

// heap returns the bytes that objects occupy now, garbage included.
func heap() uint64 { return readBytes("/memory/classes/heap/objects:bytes") }

func readBytes(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}
