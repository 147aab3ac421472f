package jsapi

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/lib/netext"

	"github.com/verity-app/xk6-verity/extension/httpconn"
	"github.com/verity-app/xk6-verity/extension/k6"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/run"
)

// prometheusStub answers every expression with 1000 times the number of requests so far.
func prometheusStub(t *testing.T, token string) (server *httptest.Server, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	begun := time.Now()
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if token != "" && r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		now := float64(time.Now().UnixMilli()) / 1000
		point := func(at, value float64) []any { return []any{at, strconv.FormatFloat(value, 'f', -1, 64)} }
		metric := map[string]string{}
		kind, result := "vector", any([]any{map[string]any{"metric": metric, "value": point(now, 1000*float64(asked.Load()))}})
		switch query := r.PostFormValue("query"); {
		case query == "time()":
			kind, result = "scalar", point(now, now)
		case strings.HasPrefix(query, "timestamp("):
			result = []any{map[string]any{"metric": metric, "value": point(now, now+60)}}
		case strings.HasPrefix(query, "missing"):
			result = []any{}
			if r.URL.Path == "/api/v1/query_range" {
				kind = "matrix"
			}
		case strings.Contains(query, "[") && !strings.Contains(query, "("):
			kind, result = "matrix", []any{map[string]any{"metric": metric, "values": []any{
				point(float64(begun.Add(-time.Minute).Unix()), 100), point(now+60, 1334),
			}}}
		case r.URL.Path == "/api/v1/query_range":
			kind, result = "matrix", []any{map[string]any{"metric": metric, "values": []any{point(now, 9.5e6)}}}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": kind, "result": result}})
	}))
	t.Cleanup(server.Close)
	return server, asked
}

func TestSnapshotReadsPromQLOnce(t *testing.T) {
	t.Parallel()
	server, asked := prometheusStub(t, "abc")
	h := newHarness(t).run()
	got := h.mustExec(fmt.Sprintf(`verity.snapshot({ url: %q, bearerToken: 'abc', queries: { a: 'up', b: 'missing' } })
		.then((values) => JSON.stringify(values))`, server.URL)).String()
	require.Regexp(t, `^\{"a":[23]000,"b":null\}$`, got)
	require.EqualValues(t, 3, asked.Load())
	require.Empty(t, h.drainSamples(), "reading Prometheus is no load")

	got = h.mustExec(fmt.Sprintf(`verity.snapshot({ url: %q }).catch((error) => error.message)`, server.URL)).String()
	require.Equal(t, "snapshot: "+server.URL+" wants a bearer token (PROMETHEUS_BEARER_TOKEN): it answered 401 Unauthorized", got)
	require.NotContains(t, got, "abc")
}

func TestPrometheusWatchAddsATable(t *testing.T) {
	t.Parallel()
	server, _ := prometheusStub(t, "")
	h := newHarness(t).run()
	h.mustExec(fmt.Sprintf(`var watch = new verity.PrometheusWatch({ url: %q, queries: {
			redis_clients: null, redis_memory_bytes: null, redis_evicted_keys: null, postgres_connections: null, postgres_commits: null,
			postgres_rollbacks: null, postgres_blocks_read: null, postgres_deadlocks: '', redis_commands: 'redis_commands_processed_total',
			sales: { expr: 'sales', kind: 'counter' }, temperature: 'celsius', ghosts: 'missing',
		} }); watch.start()`, server.URL))
	require.Empty(t, h.log.AllEntries())
	h.mustExec(`watch.end().then(() => watch.end())`)
	tables := h.report().Tables
	require.Len(t, tables, 1)
	require.Equal(t, []string{"reading", "start", "end", "peak", "increase", "per second", "remark"}, tables[0].Columns)
	require.Contains(t, tables[0].Title, "Prometheus at "+server.URL+", over the ")
	rows := map[string][]string{}
	for _, row := range tables[0].Rows {
		require.Len(t, row, 7)
		rows[row[0]] = row
	}
	require.Len(t, rows, 4)
	require.Equal(t, "1,234", rows["redis_commands"][4])
	require.Equal(t, "1,234", rows["sales"][4])
	require.Equal(t, "9,500,000", rows["temperature"][3])
	require.Equal(t, []string{"ghosts", "", "", "", "", "", "no such series"}, rows["ghosts"])
	require.Empty(t, h.report().Warnings)
	require.Empty(t, h.drainSamples())
	require.NotContains(t, h.summary(), "no readings")
	require.Contains(t, h.summary(), "redis_commands")
}

func (h *harness) summary() string {
	return h.root.run.Summarize(h.root.ended(run.Summary{Scenario: "test", Target: "here"}))
}

func (h *harness) report() *report.Report {
	return h.root.run.Report(h.root.ended(run.Summary{Scenario: "test", Target: "here"}))
}

func TestAPrometheusThatFailsCostsAWarning(t *testing.T) {
	t.Parallel()
	server, _ := prometheusStub(t, "right")
	h := newHarness(t).run()
	h.mustExec(fmt.Sprintf(`var watch = new verity.PrometheusWatch({ url: %q, bearerToken: 'wrong-token' }); watch.start()`, server.URL))
	h.mustExec(`watch.end()`)
	says := server.URL + " refuses the bearer token (PROMETHEUS_BEARER_TOKEN): it answered 401 Unauthorized"
	require.Len(t, h.log.AllEntries(), 1, "logged once")
	require.Equal(t, "Prometheus could not be read, the run goes on: "+says, h.log.LastEntry().Message)
	require.Equal(t, []string{"no readings of Prometheus: " + says}, h.report().Warnings)
	require.Empty(t, h.report().Tables)
	require.NotContains(t, h.summary(), "wrong-token")
}

func TestAWatchThatIsNotEndedSaysSo(t *testing.T) {
	t.Parallel()
	server, asked := prometheusStub(t, "")
	script := fmt.Sprintf(`var watch = new verity.PrometheusWatch({ url: %q });`, server.URL)
	h := newHarness(t).run()
	require.NotContains(t, h.summary(), "Prometheus")
	h.mustExec(script)
	require.Contains(t, h.summary(), "! Prometheus   no readings: setup() was skipped, or ended before it could take them\n")
	h.mustExec(`watch.end()`)
	require.Zero(t, asked.Load())
	h.mustExec(`watch.start()`)
	require.Contains(t, h.summary(), "! Prometheus   no readings: teardown() did not run, as with --no-teardown\n")
}

func TestOnlyTheFirstRunnerReadsPrometheus(t *testing.T) {
	t.Parallel()
	server, asked := prometheusStub(t, "")
	h := newHarness(t).run()
	segment, err := lib.NewExecutionSegmentFromString("1/2:1")
	require.NoError(t, err)
	h.state.Options.ExecutionSegment = segment
	h.mustExec(fmt.Sprintf(`var watch = new verity.PrometheusWatch({ url: %q }); watch.start().then(() => watch.end())`, server.URL))
	require.Zero(t, asked.Load())
	require.Empty(t, h.report().Tables)
	require.Contains(t, h.summary(), "Prometheus   is read by the runner of the first execution segment only")
}

func TestPrometheusWatchIsNotForScenarios(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.iterate(constantVUs(time.Minute))
	for _, call := range []string{"start", "end"} {
		_, err := h.exec(`new verity.PrometheusWatch({ url: 'http://h' }).` + call + `()`)
		require.ErrorContains(t, err, call+" of PrometheusWatch can be called in ")
	}
}

// k6's own dialer counts data_sent and data_received; reading Prometheus has its options and is not counted.
func TestTheTransportHasK6sOptionsAndIsNotCounted(t *testing.T) {
	t.Parallel()
	server, _ := prometheusStub(t, "")
	h := newHarness(t).run()
	dialer := netext.NewDialer(net.Dialer{}, nil)
	dialer.Blacklist = []*lib.IPNet{}
	h.state.Dialer = dialer
	h.state.TLSConfig = &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}} //nolint:gosec // as k6's insecureSkipTLSVerify
	h.mustExec(fmt.Sprintf(`verity.snapshot({ url: %q, queries: { a: 'up' } })`, server.URL))
	require.Zero(t, dialer.BytesRead+dialer.BytesWritten)
	transport := h.mustState().QuietTransport()
	require.True(t, transport.TLSClientConfig.InsecureSkipVerify)
	require.Empty(t, transport.TLSClientConfig.NextProtos)
	require.Equal(t, []string{"h2"}, h.state.TLSConfig.NextProtos)

	blocked, err := lib.ParseCIDR("127.0.0.0/8")
	require.NoError(t, err)
	dialer.Blacklist = []*lib.IPNet{blocked}
	got := h.mustExec(fmt.Sprintf(`verity.snapshot({ url: %q, queries: { a: 'up' } }).catch((error) => error.message)`, server.URL)).String()
	require.Contains(t, got, "blacklisted")
}

func (h *harness) mustState() *k6.VU {
	h.t.Helper()
	state, err := k6.NewVU(h.state, &k6.Metrics{}, h.root.process, httpconn.HTTP1)
	require.NoError(h.t, err)
	return state
}
