package run

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/snapshot"
)

// BenchmarkRecordingOfARequest measures the recording of a request; the request itself takes 160 to 300 µs of processor time
// (build/bench/README.md). The second line is the same with a recorder that is closed.
func BenchmarkRecordingOfARequest(b *testing.B) {
	request := &platform.Request{Operation: platform.OpJoin, Expected: []int{http.StatusCreated}}
	answer := &platform.Answer{Status: http.StatusCreated, Duration: 2 * time.Millisecond}
	for _, closed := range []bool{false, true} {
		name := "recorded"
		root := New(io.Discard)
		if closed {
			name = "closed"
			if err := root.Evidence.Close(evidence.End{}); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				began := time.Now()
				root.Requesting(began)
				root.Requested(b.Context(), silent{}, request, began, answer, nil)
				root.CountOperation(b.Context(), silent{}, platform.OpJoin, "")
			}
		})
	}
}

// The readings of Prometheus since the beginning of the load are evidence.
func TestReadingsOfPrometheusAreEvidence(t *testing.T) {
	t.Parallel()
	root := New(io.Discard)
	began := time.Now().Add(10 * time.Second) // after the recorder was made
	readings := snapshot.Report{Began: began.Add(-5 * time.Second), Readings: []snapshot.Reading{
		{
			Query:  snapshot.Query{Name: "clients", Kind: snapshot.Gauge},
			Course: []snapshot.Point{{After: 4 * time.Second, Value: 1}, {After: 5 * time.Second, Value: 7}, {After: 8 * time.Second, Value: 9}},
		},
		{Query: snapshot.Query{Name: "commits", Kind: snapshot.Counter}, Course: []snapshot.Point{{After: 6 * time.Second, Value: 3.5}}},
		{Query: snapshot.Query{Name: "unknown", Kind: snapshot.Gauge}},
	}}
	root.recordReadings(readings) // before any load: nothing
	root.state.loadBegan = began
	root.recordReadings(readings)
	levels := map[string]map[int64]float64{}
	for at, second := range root.Evidence.Run().Seconds {
		for name, value := range second.Levels {
			if levels[name] == nil {
				levels[name] = map[int64]float64{}
			}
			levels[name][at-began.Unix()] = value
		}
	}
	require.Equal(t, map[string]map[int64]float64{"server{clients}": {0: 7, 3: 9}, "server{commits}{per second}": {1: 3.5}}, levels)
}
