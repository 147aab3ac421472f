package loadtest_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

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

// startRemoteWrite starts a Prometheus that takes what k6 writes, and returns its URL.
func startRemoteWrite(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	require.NoError(t, err, "it is in Debian's package prometheus")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, []byte("global: {}\n"), 0o600))
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

// Each query of the dashboard for k6's remote write has values after short runs of the scenarios, one of which fails.
func TestTheGrafanaDashboardForRemoteWrite(t *testing.T) {
	t.Parallel()
	prometheus := startRemoteWrite(t)
	redisURL := "redis://" + miniredis.RunT(t).Addr()
	server, err := standin.Start(t.Context(), standin.Options{WebhookSecret: secret, RedisURL: redisURL, Session: time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close(suite)) })
	target := &target{url: server.URL(), secret: secret}
	for _, scenario := range scenarios {
		variables := append(append([]string(nil), brief...), "SPIKE_RATE=60", "SPIKE_HOLD=3s", "HOLD=5s", "REDIS_URL="+redisURL,
			"K6_PROMETHEUS_RW_SERVER_URL="+prometheus+"/api/v1/write", "K6_PROMETHEUS_RW_TREND_STATS=med,p(95),p(99)",
			"K6_PROMETHEUS_RW_PUSH_INTERVAL=1s")
		k6Run(scenario, target, variables...).flags("-o", "experimental-prometheus-rw").run(t).requirePassed(t)
	}
	failing := append(append([]string(nil), brief...), "STRIPE_WEBHOOK_SECRET=whsec_NotTheRightOne", "SKIP_PREFLIGHT=1",
		"K6_PROMETHEUS_RW_SERVER_URL="+prometheus+"/api/v1/write", "K6_PROMETHEUS_RW_PUSH_INTERVAL=1s")
	k6Run(tokenPurchaseSpike, target, failing...).flags("-o", "experimental-prometheus-rw").run(t)
	for _, panel := range readGrafana(t, "prometheus.json") {
		for _, query := range panel.Targets {
			require.True(t, hasValues(t, prometheus, query.Expr), "%s: no values of %s", panel.Title, query.Expr)
		}
	}
	require.False(t, hasValues(t, prometheus, "k6_no_such_metric"), "the test can fail")
}

// The dashboard for OpenTelemetry has the panels of the other one. Its queries are not tried: Debian's Prometheus has no OTLP receiver.
func TestTheGrafanaDashboardForOpenTelemetryHasTheSamePanels(t *testing.T) {
	t.Parallel()
	var titles [2][]string
	for i, name := range []string{"prometheus.json", "opentelemetry.json"} {
		for _, panel := range readGrafana(t, name) {
			titles[i] = append(titles[i], panel.Title)
			for _, query := range panel.Targets {
				require.Equal(t, i == 0, strings.Contains(query.Expr, "k6_"), query.Expr)
			}
		}
	}
	require.Equal(t, titles[0], titles[1])
}
