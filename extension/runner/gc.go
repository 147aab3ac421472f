package runner

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

const (
	mostPercent = 2000
	goPercent   = 100 // Go's own default
	paceEvery   = 100 * time.Millisecond
)

// pacing is the size in bytes that the heap may have before it is collected. What is live may always double.
type pacing uint64

// fullPacing is that of a machine with memory enough. Collecting takes the processors from the users for a tenth of a second
// and more; what matters to the latencies that are reported is that this is seldom.
const fullPacing pacing = 420 << 20

// early is the part of the garbage that is to be left when collecting begins.
const early = 4

// PaceGC lets garbage pile up until the heap has 420 MB, or a quarter of the memory if that is less, before it is collected; a
// heap of half that size and more is left to Go's own rule, by which it doubles. It follows the heap until the context ends. It
// does nothing, and returns false, where the user has set GOGC or GOMEMLIMIT.
//
// It collects with all processors, and before Go itself would: Go begins so late that those who allocate must help to finish in
// time, which are the users.
func PaceGC(ctx context.Context) bool {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return false
	}
	pacing := pacingFor(memoryLimit())
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

// pacingFor so much memory, 0 where that is not known.
func pacingFor(memory uint64) pacing {
	if memory == 0 {
		return fullPacing
	}
	return min(fullPacing, pacing(memory/4))
}

// percent is the GOGC for a live heap.
func (p pacing) percent(live uint64) int {
	if live == 0 {
		return mostPercent
	}
	garbage := max(uint64(p), 2*live) - live
	return int(min(100*garbage/live, mostPercent)) // #nosec G115 -- at most mostPercent
}

// differs reports whether a change of pace is worth stopping the world for a moment.
func differs(a, b int) bool { return a < b-b/10 || a > b+b/10 }

// full is the size of the heap from which on it is collected, some time before Go would begin.
func (p pacing) full(live uint64) uint64 {
	goal := live + live*uint64(p.percent(live))/100 // #nosec G115 -- from 1 to mostPercent
	return goal - (goal-min(live, goal))/early
}

func liveHeap() uint64 { return readBytes("/gc/heap/live:bytes") }

// heap is how much it has now, garbage included.
func heap() uint64 { return readBytes("/memory/classes/heap/objects:bytes") }

func readBytes(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

// memoryLimit is how much memory this process may use: its container's limit or the machine's, whichever is less; 0 where
// neither is known.
func memoryLimit() uint64 {
	limit := parseMeminfo(readFile("/proc/meminfo"))
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		n, err := strconv.ParseUint(strings.TrimSpace(readFile(path)), 10, 64)
		if err == nil && (limit == 0 || n < limit) {
			limit = n
		}
	}
	return limit
}

// parseMeminfo returns MemTotal in bytes.
func parseMeminfo(text string) uint64 {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == "MemTotal:" {
			kb, _ := strconv.ParseUint(fields[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// readFile returns "" for what cannot be read.
func readFile(path string) string {
	text, err := os.ReadFile(path) // #nosec G304 -- one of the kernel's own files
	if err != nil {
		return ""
	}
	return string(text)
}
