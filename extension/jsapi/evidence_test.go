package jsapi

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/platform"
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
			if err := root.evidence.Close(evidence.End{}); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				root.recordRequest(request, time.Now(), answer, nil)
				root.recordOperation(platform.OpJoin, "")
			}
		})
	}
}
