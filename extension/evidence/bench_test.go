package evidence

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// operations are about as many as the series of a run.
var operations = []Series{
	{MetricRequest, "auth_signup"},
	{MetricRequest, "auth_refresh"},
	{MetricRequest, "queue_join"},
	{MetricRequest, "queue_leave"},
	{MetricRequest, "tokens_balance"},
	{MetricRequest, "stripe_webhook"},
	{MetricMatch, ""},
	{MetricSocket, ""},
	{MetricStart, ""},
	{MetricSession, ""},
	{MetricEvent, ""},
	{MetricLag, ""},
}

// latencies spread over some 100 buckets.
func latency(i int) time.Duration { return time.Duration(2000+(i*7919)%30_000) * time.Microsecond }

// record records the n-th sample, at 4,000 a second.
func record(r *Recorder, i int) {
	r.Time(operations[i%len(operations)], start.Add(time.Duration(i)*250*time.Microsecond), latency(i), OK, "")
}

func BenchmarkTime(b *testing.B) {
	r := newRecorder()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		record(r, i)
	}
}

func BenchmarkTimeWithFile(b *testing.B) {
	r := newRecorder()
	if err := r.Describe(Header{}, Runner{}); err != nil {
		b.Fatal(err)
	}
	if err := r.Open(b.TempDir()+"/x"+Extension, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		record(r, i)
	}
	b.StopTimer()
	if err := r.Close(End{}); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkTimeFromManyGoroutines(b *testing.B) {
	r := newRecorder()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			record(r, i)
		}
	})
}

func BenchmarkCount(b *testing.B) {
	r := newRecorder()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Count(CountSent, start.Add(time.Duration(i)*250*time.Microsecond), 1)
	}
}

// BenchmarkTwoHours records 2 hours at 4,000 requests a second, and measures the memory of the recorder and of a Run.
func BenchmarkTwoHours(b *testing.B) {
	for b.Loop() {
		before := heap()
		r := newRecorder()
		for i := range 2 * 3600 * 4000 {
			record(r, i)
		}
		recorded := heap()
		run := r.Run()
		b.ReportMetric(float64(recorded-before)/1e6, "MB-recorder")
		b.ReportMetric(float64(heap()-recorded)/1e6, "MB-run")
		runtime.KeepAlive(run)
		runtime.KeepAlive(r)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far from overflowing
}

// BenchmarkMerge reads and merges 16 runners of 17 minutes at 250 requests a second each.
func BenchmarkMerge(b *testing.B) {
	dir := b.TempDir()
	const runners = 16
	names := make([]string, runners)
	for n := range runners {
		names[n] = dir + "/" + string(rune('a'+n)) + Extension
		r := newRecorder()
		if err := r.Describe(Header{}, segment(n, runners)); err != nil {
			b.Fatal(err)
		}
		for i := range 17 * 60 * 250 {
			record(r, i*16+n)
		}
		file, err := os.Create(names[n])
		if err != nil {
			b.Fatal(err)
		}
		if err := r.Run().Write(file); err != nil {
			b.Fatal(err)
		}
		_ = file.Close()
	}
	for b.Loop() {
		before := heap()
		parts := make([]Part, runners)
		for n, name := range names {
			run, err := ReadFile(name)
			if err != nil {
				b.Fatal(err)
			}
			parts[n] = Part{name, run}
		}
		merged, err := Merge(parts...)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(heap()-before)/1e6, "MB")
		runtime.KeepAlive(parts)
		runtime.KeepAlive(merged)
	}
}
