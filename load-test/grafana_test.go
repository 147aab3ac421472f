package loadtest_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/standin"
)

// grafanaPanel is what the test reads of a dashboard.
type grafanaPanel struct {
	Title   string
	Targets []struct{ Expr string }
}

func readGrafana(t *testing.T, name string) []grafanaPanel {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "build", "grafana", name)) // #nosec G304 -- the project's own
	require.NoError(t, err)
	var dashboard struct{ Panels []grafanaPanel }
	require.NoError(t, json.Unmarshal(text, &dashboard))
	require.NotEmpty(t, dashboard.Panels)
	return dashboard.Panels
}

// startPrometheus starts a Prometheus with a configuration, which also takes what k6 writes, and returns its URL.
func startPrometheus(t *testing.T, configuration string) string {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	require.NoError(t, err, "it is in Debian's package prometheus")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, []byte(configuration), 0o600))
	cmd := exec.CommandContext(suite, program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), // #nosec G204 -- Debian's
		"--web.listen-address="+address, "--web.enable-remote-write-receiver", "--log.level=warn")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	at := "http://" + address
	require.Eventually(t, func() bool {
		response, err := http.Get(at + "/-/ready") //nolint:noctx // the test's own
		return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
	}, 30*time.Second, 100*time.Millisecond)
	return at
}

// hasValues reports whether an expression had a value at some time of the last ten minutes.
func hasValues(t *testing.T, prometheus, expression string) bool {
	t.Helper()
	now := time.Now().UTC()
	response, err := http.PostForm(prometheus+"/api/v1/query_range", url.Values{ //nolint:noctx // the test's own
		"query": {expression}, "step": {"1"},
		"start": {now.Add(-10 * time.Minute).Format(time.RFC3339)}, "end": {now.Add(5 * time.Second).Format(time.RFC3339)},
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	var found struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&found))
	require.Equal(t, "success", found.Status, "%s: %s", expression, found.Error)
	return len(found.Data.Result) > 0
}

// runsForGrafana makes short runs of the scenarios, and one that fails, with an output of k6.
func runsForGrafana(t *testing.T, output string, variables ...string) {
	t.Helper()
	redisURL := "redis://" + miniredis.RunT(t).Addr()
	server, err := standin.Start(t.Context(), standin.Options{WebhookSecret: secret, RedisURL: redisURL, Session: time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close(suite)) })
	target := &target{url: server.URL(), secret: secret}
	for _, scenario := range scenarios {
		all := slices.Concat(brief, []string{"SPIKE_RATE=60", "SPIKE_HOLD=3s", "HOLD=5s", "REDIS_URL=" + redisURL}, variables)
		k6Run(scenario, target, all...).flags("-o", output).run(t).requirePassed(t)
	}
	failing := slices.Concat(brief, []string{"STRIPE_WEBHOOK_SECRET=whsec_NotTheRightOne", "SKIP_PREFLIGHT=1"}, variables)
	require.Equal(t, exitcodes.ThresholdsHaveFailed, k6Run(queueConcurrency, target, failing...).flags("-o", output).run(t).exit)
}

// requireValues requires that each query of a dashboard has values.
func requireValues(t *testing.T, prometheus, dashboard string) {
	t.Helper()
	for _, panel := range readGrafana(t, dashboard) {
		for _, query := range panel.Targets {
			require.True(t, hasValues(t, prometheus, query.Expr), "%s: no values of %s", panel.Title, query.Expr)
		}
	}
	require.False(t, hasValues(t, prometheus, "k6_no_such_metric"), "the test can fail")
}

// Each query of the dashboard for k6's remote write has values after short runs of the scenarios, one of which fails.
func TestTheGrafanaDashboardForRemoteWrite(t *testing.T) {
	t.Parallel()
	prometheus := startPrometheus(t, "global: {}\n")
	runsForGrafana(t, "experimental-prometheus-rw", "K6_PROMETHEUS_RW_SERVER_URL="+prometheus+"/api/v1/write",
		"K6_PROMETHEUS_RW_TREND_STATS=med,p(95),p(99)", "K6_PROMETHEUS_RW_PUSH_INTERVAL=1s")
	requireValues(t, prometheus, "prometheus.json")
}

// Each query of the dashboard for OpenTelemetry has values too. Debian's Prometheus has no OTLP receiver: it scrapes a receiver of the test,
// which names metrics as the specification of OpenTelemetry says.
func TestTheGrafanaDashboardForOpenTelemetry(t *testing.T) {
	t.Parallel()
	receiver := startOTLP(t)
	prometheus := startPrometheus(t, fmt.Sprintf("scrape_configs: [{job_name: k6, scrape_interval: 1s, static_configs: [{targets: ['%s']}]}]\n", receiver))
	runsForGrafana(t, "opentelemetry", "K6_OTEL_EXPORTER_PROTOCOL=http/protobuf", "K6_OTEL_HTTP_EXPORTER_ENDPOINT="+receiver,
		"K6_OTEL_HTTP_EXPORTER_INSECURE=true", "K6_OTEL_EXPORT_INTERVAL=1s")
	requireValues(t, prometheus, "opentelemetry.json")
}

// Both dashboards have the same panels.
func TestTheGrafanaDashboardsHaveTheSamePanels(t *testing.T) {
	t.Parallel()
	var titles [2][]string
	for i, name := range []string{"prometheus.json", "opentelemetry.json"} {
		for _, panel := range readGrafana(t, name) {
			titles[i] = append(titles[i], panel.Title)
		}
	}
	require.Equal(t, titles[0], titles[1])
}
