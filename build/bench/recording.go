package main

import (
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/platform"
)

// recording is the cost of recording a run's evidence with its file.
type recording struct {
	MicrosPerRequest float64 `json:"microsecondsPerRequest"`
	BytesPerSecond   float64 `json:"liveBytesPerSecondOfARun"`
	BytesPerRequest  float64 `json:"liveBytesPerRequest"`
}

// recordedRate is the rate of recorded requests a second, about that of 3,000 users.
const recordedRate = 2500

// measureRecording records ten minutes of requests at recordedRate, without waiting for the time to pass.
func measureRecording(folder string) (recording, error) {
	const seconds = 600
	began := time.Now()
	now := began
	r := evidence.New(func() time.Time { return now })
	if err := r.Describe(evidence.Header{}, evidence.Runner{}); err != nil {
		return recording{}, err
	}
	if err := r.Open(filepath.Join(folder, "bench"+evidence.Extension), nil); err != nil {
		return recording{}, err
	}
	operations := []string{platform.OpJoin, platform.OpLeave, platform.OpBalance, platform.OpWebhook}
	before := heapBytes()
	start := time.Now()
	requests := seconds * recordedRate
	for i := range requests {
		now = began.Add(time.Duration(i) * time.Second / recordedRate)
		took := time.Duration(300+i*7919%5000) * time.Microsecond
		r.Time(evidence.Series{Metric: evidence.MetricRequest, Label: operations[i%len(operations)]}, now, took, evidence.OK, "")
	}
	elapsed := time.Since(start)
	live := heapBytes() - before
	runtime.KeepAlive(r)
	return recording{
		MicrosPerRequest: float64(elapsed.Microseconds()) / float64(requests),
		BytesPerSecond:   live / float64(seconds), BytesPerRequest: live / float64(requests),
	}, r.Close(evidence.End{})
}

func heapBytes() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func writeRecording(out io.Writer, r recording) {
	_, _ = fmt.Fprintf(out, "evidence at %d requests/s: %.2f CPU µs a request; %.0f bytes live a second of the run, %.2f a request\n",
		recordedRate, r.MicrosPerRequest, r.BytesPerSecond, r.BytesPerRequest)
}
