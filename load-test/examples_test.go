package loadtest_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/standin"
)

// Every example runs, judged by its own thresholds; smoke.js needs no server.
func TestExamples(t *testing.T) {
	t.Parallel()
	server, err := standin.Start(t.Context(), standin.Options{WebhookSecret: secret, Session: time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close(suite)) })
	prometheus := startPrometheusStub(t, "").URL
	scripts, err := filepath.Glob(filepath.Join("..", "examples", "*.js"))
	require.NoError(t, err)
	require.Len(t, scripts, 11)
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			r := k6Run(script, &target{url: server.URL(), secret: secret}, "PROMETHEUS_URL="+prometheus).run(t)
			require.Zero(t, r.exit)
			require.NotEmpty(t, r.summary.Metrics)
		})
	}
}
