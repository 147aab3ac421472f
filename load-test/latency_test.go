package loadtest_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/standin"
)

// stopwatch is a server that delays each request with an access token at random, and times what the client waits for: from the
// request's arrival to the answer, by route. What comes without a token, such as a preflight, passes undelayed.
type stopwatch struct {
	behind http.Handler

	mu   sync.Mutex
	took map[string][]time.Duration
}

func (s *stopwatch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" {
		s.behind.ServeHTTP(w, r)
		return
	}
	began := time.Now()
	time.Sleep(10*time.Millisecond + time.Duration(rand.IntN(70_000))*time.Microsecond) // #nosec G404 -- spreads latencies, guards nothing
	s.behind.ServeHTTP(w, r)
	took := time.Since(began)
	s.mu.Lock()
	defer s.mu.Unlock()
	route := r.Method + " " + r.URL.Path
	s.took[route] = append(s.took[route], took)
}

// p95 is the nearest rank.
func (s *stopwatch) p95(route string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	sorted := slices.Sorted(slices.Values(s.took[route]))
	return sorted[(len(sorted)*95+99)/100-1]
}

// The 95th percentiles that a run reports, in k6's summary and in its evidence, equal those measured by the server within 10 ms. The
// test runs alone in this package, but other packages may keep the machine busy: one undisturbed run of five is enough. A report
// with a systematic error has no such run.
func TestReportedLatencyIsTheServers(t *testing.T) { //nolint:paralleltest // see above
	const most, attempts = 10 * time.Millisecond, 5
	for attempt := 1; ; attempt++ {
		worst := reportedAgainstMeasured(t)
		if worst <= most {
			return
		}
		t.Logf("attempt %d: reported %s more than measured", attempt, worst)
		require.Less(t, attempt, attempts, "reported p95 is more than %s above the server's own in every attempt", most)
	}
}

// reportedAgainstMeasured returns by how much a run's p95 are above the server's at most. They are never below.
func reportedAgainstMeasured(t *testing.T) (worst time.Duration) {
	t.Helper()
	server, err := standin.Start(t.Context(), standin.Options{WebhookSecret: secret})
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Close(context.WithoutCancel(t.Context()))) }()
	watch := &stopwatch{behind: server, took: map[string][]time.Duration{}}
	front := httptest.NewServer(watch)
	defer front.Close()

	dir := t.TempDir()
	r := k6Run(queueConcurrency, &target{url: front.URL, secret: secret}, "REPORT_DIR="+dir).simple("50", "10s").run(t)
	require.Zero(t, r.summary.Metrics["http_req_failed"].Value)
	run, err := evidence.ReadFile(filepath.Join(dir, "queue-concurrency"+evidence.Extension))
	require.NoError(t, err)
	for operation, route := range map[string]string{"queue_join": routeJoin, "queue_leave": routeLeave} {
		measured := watch.p95(route)
		require.Greater(t, measured, 60*time.Millisecond, "the delays spread from 10 to 80 ms")
		metric := r.summary.Metrics["http_req_duration{name:"+operation+"}"]
		require.Greater(t, len(watch.took[route]), 100)
		require.EqualValues(t, len(watch.took[route]), metric.Count)
		recorded := &evidence.Histogram{}
		for _, second := range run.Seconds {
			if cell := second.Cells[evidence.Series{Metric: evidence.MetricRequest, Label: operation}]; cell != nil {
				recorded.Add(cell.OK)
			}
		}
		require.EqualValues(t, len(watch.took[route]), recorded.Count())
		for name, reported := range map[string]time.Duration{
			"k6's summary": time.Duration(metric.P95 * float64(time.Millisecond)),
			"the evidence": time.Duration(recorded.Quantile(0.95)) * time.Microsecond,
		} {
			t.Logf("%s, %s: reported %s, measured %s", operation, name, reported, measured)
			require.Greater(t, reported, measured-2*time.Millisecond, "%s: the client cannot be faster than the server", name)
			worst = max(worst, reported-measured)
		}
	}
	return worst
}
