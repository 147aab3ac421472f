package loadtest_test

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// brief makes any of the scenarios a matter of seconds, with the variables of all.
var brief = []string{ //nolint:gochecknoglobals // constant
	"TARGET_VUS=5", "SESSION_VUS=6", "SESSION_HOLD_SECONDS=1", "SEED_USER_COUNT=5", "BASE_RATE=1", "SPIKE_RATE=10",
	"RAMP_UP=1s", "HOLD=2s", "SPIKE_HOLD=1s", "RAMP_DOWN=1s", "ALLOW_UNKNOWN_VARIABLES=1",
}

// Every run of these tests is searched for the secret and for tokens (process.wait); here are the places beyond that.

func TestAWrongSecretIsNotLetOut(t *testing.T) {
	t.Parallel()
	target := startNode(t, conditions{})
	run := spike(target, "STRIPE_WEBHOOK_SECRET=whsec_NotTheRightOne", "SKIP_PREFLIGHT=1")
	run.secrets = append(run.secrets, "whsec_NotTheRightOne")
	r := run.run(t)
	r.requireCrossed(t, "error_rate rate<0.001", "http_req_failed rate<0.001")
	require.Contains(t, r.stdout, "stripe_webhook HTTPError 500")
	target.state(t).requireSettled(t, r)
}

func TestVerboseLogsHoldNoSecret(t *testing.T) {
	t.Parallel()
	r := k6Run(queueConcurrency, startNode(t, conditions{})).simple("3", "3s").flags("--verbose", "--log-format", "json").run(t)
	require.Equal(t, exitcodes.ExitCode(0), r.exit)
	require.Contains(t, r.stderr, `"level":"debug"`)
}

// Setup data must hold no token: k6 passes it to handleSummary and shows it in its REST API.
func TestSetupDataHoldsNoToken(t *testing.T) {
	t.Parallel()
	target := startNode(t, conditions{})
	run := spike(target)
	run.args[1] = filepath.Join("testdata", "whole-summary.js")
	r := run.run(t)
	require.Contains(t, r.stdout, `"setup_data":{"userIds":["c`)
	require.Len(t, target.state(t).Users, 10)
}

// Archives do not contain the secret from the environment: k6 archives only `-e` values, as the README says.
func TestArchivesHoldNoSecret(t *testing.T) {
	t.Parallel()
	for _, scenario := range scenarios {
		t.Run(scenario, func(t *testing.T) {
			target := startNode(t, conditions{sockets: scenario == videoSessionSustain})
			path := filepath.Join(t.TempDir(), "archive.tar")
			run := k6Run(scenario, target)
			run.args = []string{"archive", "--archive-out", path, scenario}
			for _, variable := range brief {
				run.args = append(run.args, "-e", variable)
			}
			r := run.run(t)
			require.Equal(t, exitcodes.ExitCode(0), r.exit)

			file, err := os.Open(path) //nolint:gosec // of this test
			require.NoError(t, err)
			files := 0
			for archive := tar.NewReader(file); ; files++ {
				_, err := archive.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
				text, err := io.ReadAll(archive)
				require.NoError(t, err)
				run.requireDiscreet(t, string(text))
			}
			require.NoError(t, file.Close())
			require.Greater(t, files, 3, "the scenario, what it imports, and its metadata")

			r = k6Run(path, target).run(t) // with the options and the `-e` of the archive
			r.requirePassed(t)
			target.state(t).requireSettled(t, r)
		})
	}
}

func TestTheSecretMayComeFromASecretSource(t *testing.T) {
	t.Parallel()
	for _, scenario := range scenarios {
		t.Run(scenario, func(t *testing.T) {
			target := startNode(t, conditions{sockets: scenario == videoSessionSustain})
			r := k6Run(scenario, target, append(slices.Clone(brief), "STRIPE_WEBHOOK_SECRET=")...).flags("--secret-source=mock=STRIPE_WEBHOOK_SECRET=" + secret).run(t)
			r.requirePassed(t)
			s := target.state(t)
			s.requireSettled(t, r)
			require.Positive(t, s.requests(routeWebhook))
		})
	}
	r := k6Run(queueConcurrency, &target{url: "http://127.0.0.1:1"}, "STRIPE_WEBHOOK_SECRET=").
		flags("--secret-source=mock=OTHER=x").run(t)
	require.Equal(t, exitcodes.ScriptException, r.exit)
	r.requireOneError(t, "STRIPE_WEBHOOK_SECRET is not set")
}
