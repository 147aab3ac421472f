package runner

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

const (
	// mostHeadroom is how much garbage may pile up before it is collected. Go's own rule, as much as there is live memory,
	// collects small heaps all the time and lets large ones double.
	mostHeadroom  = 160 << 20
	leastHeadroom = 32 << 20
	// share of the memory that this process may use which headroom may be.
	headroomShare = 8

	mostPercent = 800
	goPercent   = 100 // Go's own default
	largeHeap   = 3   // times the headroom: from there on collecting that often would cost too much

	paceEvery = time.Second
)

// PaceGC lets garbage pile up to a fixed amount, 160 MB or an eighth of the memory if that is less, before it is collected:
// small heaps are collected seldom and large ones do not double. A heap of three times that amount is left to Go's own rule.
// It follows the heap until the context ends. It does nothing, and returns false, where the user has set GOGC or GOMEMLIMIT.
func PaceGC(ctx context.Context) bool {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return false
	}
	headroom := headroomFor(memoryLimit())
	go func() {
		before := debug.SetGCPercent(mostPercent)
		defer debug.SetGCPercent(before)
		ticker := time.NewTicker(paceEvery)
		defer ticker.Stop()
		set := mostPercent
		for {
			if percent := percentFor(liveHeap(), headroom); differs(percent, set) {
				debug.SetGCPercent(percent)
				set = percent
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

// percentFor is the GOGC that leaves so much headroom above the live heap.
func percentFor(live, headroom uint64) int {
	switch {
	case live == 0:
		return mostPercent
	case live > largeHeap*headroom:
		return goPercent
	default:
		return int(min(100*headroom/live, mostPercent)) // #nosec G115 -- at most mostPercent
	}
}

// differs tells whether a change of pace is worth stopping the world for a moment.
func differs(a, b int) bool { return a < b-b/10 || a > b+b/10 }

func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

func headroomFor(memory uint64) uint64 {
	if memory == 0 {
		return mostHeadroom
	}
	return min(max(memory/headroomShare, leastHeadroom), mostHeadroom)
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
