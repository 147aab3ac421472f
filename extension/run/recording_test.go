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

// What is recorded for a request, beside which the request itself takes 160 to 300 µs of processor time (build/bench/README.md). The
// second line is the same where the recorder takes nothing any more.
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

// What Prometheus had at both ends of a run is evidence: the value of a gauge, and by how much a counter grew. A reading without both is none.
func TestReadingsOfPrometheusAreEvidence(t *testing.T) {
	t.Parallel()
	root, seven, nine := New(io.Discard), 7.0, 9.0
	readings := []snapshot.Reading{
		{Query: snapshot.Query{Name: "clients", Kind: snapshot.Gauge}, Start: &seven, End: &nine},
		{Query: snapshot.Query{Name: "commits", Kind: snapshot.Counter}, Increase: &nine},
		{Query: snapshot.Query{Name: "unknown", Kind: snapshot.Gauge}, End: &nine},
	}
	root.recordReadings(readings) // before any load: nothing
	began := time.Now()
	root.state.loadBegan = began
	time.Sleep(1100 * time.Millisecond)
	root.recordReadings(readings)
	levels := map[string][]float64{}
	run := root.Evidence.Run()
	for at := began.Unix(); at <= time.Now().Unix(); at++ {
		if second := run.Seconds[at]; second != nil {
			for name, value := range second.Levels {
				levels[name] = append(levels[name], value)
			}
		}
	}
	require.Equal(t, map[string][]float64{"server{clients}": {7, 9}, "server{commits}": {0, 9}}, levels)
}
