package loadtest_test

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/snapshot/promtest"
	"github.com/verity-app/xk6-verity/extension/standin"
)

const prometheusToken = "pt_KeepThisToYourself"

// prometheusStub is as much of a Prometheus as an example needs: each expression is 3, but for one.
type prometheusStub struct {
	*httptest.Server

	requests atomic.Int64
}

func startPrometheusStub(t *testing.T, token string) *prometheusStub {
	t.Helper()
	stub := newPrometheusStub(token)
	stub.Start()
	t.Cleanup(stub.Close)
	return stub
}

func newPrometheusStub(token string) *prometheusStub {
	stub := &prometheusStub{}
	stub.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stub.requests.Add(1)
		if token != "" && r.Header.Get("Authorization") != "Bearer "+token {
			http.Error(w, "not with "+r.Header.Get("Authorization"), http.StatusUnauthorized)
			return
		}
		now := float64(time.Now().UnixMilli()) / 1000
		kind, result := "vector", []any{map[string]any{"metric": map[string]string{}, "value": []any{now, "3"}}}
		switch query := r.PostFormValue("query"); {
		case query == "time()":
			kind, result = "scalar", []any{now, strconv.FormatFloat(now, 'f', 3, 64)}
		case r.URL.Path == "/api/v1/query_range" || (strings.Contains(query, "[") && !strings.Contains(query, "(")):
			kind, result = "matrix", []any{}
		case query == "no_such_series" || strings.HasPrefix(query, "timestamp("):
			result = []any{}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": kind, "result": result}})
	}))
	return stub
}

// row returns the cells of a reading in the table.
func row(t *testing.T, r result, reading string) []string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^ {6}` + reading + ` .*$`).FindString(r.stdout)
	require.NotEmpty(t, line, "no row of %s", reading)
	return strings.Fields(strings.ReplaceAll(line, ",", ""))
}

// The table of a run has the commands that the service's own Redis counted, read from a real Prometheus.
func TestTheTableOfARun(t *testing.T) {
	t.Parallel()
	lab := promtest.Start(t, promtest.Options{})
	client := redis.NewClient(&redis.Options{Addr: lab.Redis, DisableIdentity: true, Protocol: 2})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	server, err := standin.Start(t.Context(), standin.Options{WebhookSecret: secret, RedisURL: "redis://" + lab.Redis})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close(suite)) })

	before := commands(t, client)
	r := k6Run(queueConcurrency, &target{url: server.URL(), secret: secret}, "PROMETHEUS_URL="+lab.URL, "USERS_PER_VU=20",
		`PROMETHEUS_QUERIES={"postgres_connections":null,"joins":"sum(rate(no_such_total[1m]))","cpu":{"expr":"redis_cpu_user_seconds_total","kind":"counter"}}`,
	).simple("5", "5s").run(t)
	after := commands(t, client)
	r.requirePassed(t)

	cells := row(t, r, "redis_commands")
	require.Len(t, cells, 3)
	increase, err := strconv.ParseFloat(cells[1], 64)
	require.NoError(t, err)
	require.Greater(t, after-before, 1000.0, "the run must be seen among the scrapes")
	require.InDelta(t, after-before, increase, 0.05*(after-before))
	require.Contains(t, r.stdout, "\n    Prometheus at "+lab.URL+", over the ")
	require.Contains(t, r.stdout, "no series of postgres_exporter: this Prometheus scrapes none, so there is nothing of it in the table")
	require.Equal(t, []string{"joins", "no", "such", "series"}, row(t, r, "joins"))
	require.Len(t, row(t, r, "redis_clients"), 4)
	require.Len(t, row(t, r, "cpu"), 3)
	require.NotContains(t, r.stdout, "postgres_connections")
	require.Contains(t, r.stdout, "counters are counted between scrapes")
	total := 0
	for _, answers := range standinState(t, server).Answers {
		for _, n := range answers {
			total += n
		}
	}
	require.LessOrEqual(t, r.count("http_reqs"), total, "k6 counts no requests but those to the service")
}

// commands returns how many commands a Redis has carried out.
func commands(t *testing.T, client *redis.Client) float64 {
	t.Helper()
	info, err := client.Info(t.Context(), "stats").Result()
	require.NoError(t, err)
	match := regexp.MustCompile(`total_commands_processed:(\d+)`).FindStringSubmatch(info)
	require.NotNil(t, match)
	n, err := strconv.ParseFloat(match[1], 64)
	require.NoError(t, err)
	return n
}

// A Prometheus that is down or refuses the token, or a server that is not a Prometheus, leads to a warning with the reason; the run is not
// affected.
func TestAPrometheusThatFailsCostsAWarning(t *testing.T) {
	t.Parallel()
	refusing := startPrometheusStub(t, "another")
	down := unusedURL(t)
	for _, tc := range []struct{ url, says string }{
		{down, down + " cannot be reached: dial tcp "},
		{refusing.URL, refusing.URL + " refuses the bearer token (PROMETHEUS_BEARER_TOKEN): it answered 401 Unauthorized"},
	} {
		for _, scenario := range scenarios {
			variables := append(slices.Clone(brief), "PROMETHEUS_URL="+tc.url, "PROMETHEUS_BEARER_TOKEN="+prometheusToken)
			run := k6Run(scenario, startStandin(t, conditions{session: time.Second}), variables...)
			run.secrets = append(run.secrets, prometheusToken)
			r := run.run(t)
			require.Empty(t, slices.DeleteFunc(r.crossed(), r.isLatency))
			require.Equal(t, len(r.crossed()) == 0, r.exit == 0, "the exit code is that of the thresholds")
			require.Contains(t, r.stdout, "! warning      no readings of Prometheus: "+tc.says)
			require.Equal(t, 1, strings.Count(r.stderr, "Prometheus could not be read, the run goes on: "+tc.says))
		}
	}
}

// The token may come from a secret source; TLS and its verification follow k6's options.
func TestPrometheusOverTLSWithATokenFromASecretSource(t *testing.T) {
	t.Parallel()
	stub := newPrometheusStub(prometheusToken)
	stub.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail, as they should
	stub.StartTLS()
	t.Cleanup(stub.Close)
	run := k6Run(queueConcurrency, startStandin(t, conditions{}), "PROMETHEUS_URL="+stub.URL).simple("3", "2s").
		flags("--secret-source=mock=PROMETHEUS_BEARER_TOKEN=" + prometheusToken)
	run.secrets = append(run.secrets, prometheusToken)
	r := run.flags("--insecure-skip-tls-verify").run(t)
	r.requirePassed(t)
	require.Contains(t, r.stdout, "Prometheus at "+stub.URL)

	r = run.run(t)
	require.Empty(t, slices.DeleteFunc(r.crossed(), r.isLatency))
	require.Contains(t, r.stdout, "no readings of Prometheus: "+stub.URL+" cannot be reached: tls: failed to verify certificate")
}

// The queries that README.md shows are well-formed.
func TestTheDocumentedQueries(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	match := regexp.MustCompile(`(?s)export PROMETHEUS_QUERIES='(.*?)'`).FindSubmatch(readme)
	require.NotNil(t, match)
	stub := startPrometheusStub(t, "")
	r := k6Run(queueConcurrency, startStandin(t, conditions{}), "PROMETHEUS_URL="+stub.URL, "PROMETHEUS_QUERIES="+string(match[1])).
		simple("3", "2s").run(t)
	r.requirePassed(t)
	require.Equal(t, []string{"cpu", "3", "3", "3"}, row(t, r, "cpu"))
	require.Equal(t, []string{"logins", "no", "such", "series"}, row(t, r, "logins"))
	require.NotContains(t, r.stdout, "postgres_deadlocks")
}

func TestARunWithoutTeardownSaysThatThereAreNoReadings(t *testing.T) {
	t.Parallel()
	stub := startPrometheusStub(t, "")
	r := k6Run(queueConcurrency, startStandin(t, conditions{}), "PROMETHEUS_URL="+stub.URL).simple("3", "2s").flags("--no-teardown").run(t)
	r.requirePassed(t)
	require.Contains(t, r.stdout, "! Prometheus   no readings: teardown() did not run, as with --no-teardown")
	r = k6Run(queueConcurrency, startStandin(t, conditions{}), "PROMETHEUS_URL="+stub.URL).simple("3", "2s").flags("--no-setup").run(t)
	r.requirePassed(t)
	require.Contains(t, r.stdout, "! Prometheus   no readings: setup() was skipped, or ended before it could take them")
}

// Ctrl-C ends the load, not the readings.
func TestReadingsAfterAnInterrupt(t *testing.T) {
	t.Parallel()
	stub := startPrometheusStub(t, "")
	for _, scenario := range scenarios {
		server := startStandin(t, conditions{session: time.Second})
		variables := append(slices.Clone(brief), "PROMETHEUS_URL="+stub.URL, "HOLD=60s", "SPIKE_HOLD=60s")
		run := k6Run(scenario, server, variables...).start(t)
		require.Eventually(t, func() bool { return len(server.state(t).Users) >= 5 }, 20*time.Second, 50*time.Millisecond)
		time.Sleep(time.Second)
		r, _ := run.interrupt(t)
		require.Equal(t, exitcodes.ExternalAbort, r.exit)
		require.Contains(t, r.stdout, "Prometheus at "+stub.URL+", over the ", scenario)
	}
}

func TestOnlyTheFirstRunnerReadsPrometheus(t *testing.T) {
	t.Parallel()
	server := startStandin(t, conditions{})
	for segment, reads := range map[string]bool{"0:1/2": true, "1/2:1": false} {
		stub := startPrometheusStub(t, "")
		r := k6Run(queueConcurrency, server, "PROMETHEUS_URL="+stub.URL, "TARGET_VUS=6", "RAMP_UP=1s", "HOLD=2s", "RAMP_DOWN=0s").
			flags("--execution-segment", segment, "--execution-segment-sequence", "0,1/2,1").run(t)
		r.requirePassed(t)
		require.Equal(t, reads, stub.requests.Load() > 0)
		require.Equal(t, reads, strings.Contains(r.stdout, "Prometheus at "+stub.URL))
		require.Equal(t, !reads, strings.Contains(r.stdout, "Prometheus   is read by the runner of the first execution segment only"))
	}
}
