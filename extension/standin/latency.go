package standin

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencies records how long a route took to answer, from the request's header to the last byte written to the kernel.
type latencies struct {
	mu   sync.Mutex
	took *hdrhistogram.Histogram // µs
}

func newLatencies() *latencies {
	return &latencies{took: hdrhistogram.New(1, int64(time.Hour/time.Microsecond), 2)}
}

func (l *latencies) record(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.took.RecordValue(took.Microseconds()) // fails only beyond an hour
}

func (l *latencies) addTo(sum *hdrhistogram.Histogram) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum.Merge(l.took)
}

// Latency is how long answers took, as measured by the service, in ms and within 1 %.
type Latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	Max float64 `json:"max"`
}

func latencyOf(took *hdrhistogram.Histogram) Latency {
	ms := func(us int64) float64 { return float64(us) / 1000 }
	return Latency{P50: ms(took.ValueAtQuantile(50)), P95: ms(took.ValueAtQuantile(95)), Max: ms(took.Max())}
}
