package loadtest_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// Requests of users go through k6's own HTTP machinery, so that its options and outputs work as with k6/http.

const oneUser = "testdata/one-user.js"

func TestHTTPDebugShowsRequests(t *testing.T) {
	t.Parallel()
	run := k6Run(oneUser, startNode(t, conditions{})).flags("--http-debug")
	run.debug = true // k6 prints headers, tokens included: the README says so
	r := run.run(t)
	require.Equal(t, exitcodes.ExitCode(0), r.exit)
	for _, line := range []string{
		"POST /auth/signup-anonymous HTTP/1.1", "POST /webhooks/stripe HTTP/1.1", "POST /queue/join HTTP/1.1",
		"DELETE /queue/leave HTTP/1.1", "GET /tokens/balance HTTP/1.1", "HTTP/1.1 201 Created",
	} {
		require.Contains(t, r.stderr, line)
	}
	require.NotContains(t, r.stderr, secret, "the secret is in no header")
}

func TestBlacklistedTargetsGetNoRequest(t *testing.T) {
	t.Parallel()
	t.Run("user", func(t *testing.T) {
		t.Parallel()
		target := startNode(t, conditions{})
		r := k6Run(oneUser, target).flags("--blacklist-ip", "127.0.0.1/32").run(t)
		require.Contains(t, r.stderr, "auth_signup got no answer: ")
		require.Contains(t, r.stderr, "127.0.0.1) is in a blacklisted range (127.0.0.1/32)")
		require.Equal(t, 1, r.count("http_reqs"))
		require.InDelta(t, 1, r.summary.Metrics["http_req_failed"].Value, 0)
		require.Zero(t, target.state(t).allRequests())
	})
	t.Run("scenario", func(t *testing.T) {
		t.Parallel()
		target := startNode(t, conditions{})
		r := spike(target).flags("--blacklist-ip", "127.0.0.1/32").run(t)
		require.Equal(t, exitcodes.ScriptAborted, r.exit)
		r.requireOneError(t, "cannot be reached", "is in a blacklisted range (127.0.0.1/32)")
		require.Empty(t, target.state(t).Answers)
	})
}

func TestLocalIPsAreUsed(t *testing.T) {
	t.Parallel()
	target := startNode(t, conditions{})
	r := k6Run(queueConcurrency, target).simple("4", "3s").flags("--local-ips", "127.0.0.7").run(t)
	r.requirePassed(t)
	s := target.state(t)
	s.requireSettled(t, r)
	require.Equal(t, []string{"127.0.0.7"}, sortedKeys(s.Remotes))
}

// Each user has its own connection, kept from its first request to its last.
func TestEachUserHasOneConnection(t *testing.T) {
	t.Parallel()
	target := startNode(t, conditions{})
	r := k6Run(queueConcurrency, target, "USERS_PER_VU=10").simple("2", "6s").run(t)
	r.requirePassed(t)
	s := target.state(t)
	require.Len(t, s.Users, 20)
	require.Greater(t, s.allRequests(), 100)
	require.Equal(t, 20+20+2, s.Connections, "one for each user, another for its balance after the load, one for /health before and one after")
}

func TestUserAgentIsSent(t *testing.T) {
	t.Parallel()
	run := k6Run(oneUser, startNode(t, conditions{})).flags("--http-debug", "--user-agent", "verity-load-test/1")
	run.debug = true
	r := run.run(t)
	require.Equal(t, exitcodes.ExitCode(0), r.exit)
	require.Equal(t, 5, strings.Count(r.stderr, "User-Agent: verity-load-test/1"), "in each of five requests")
}

// sample is a line of `--out json`.
type sample struct {
	Type   string `json:"type"`
	Metric string `json:"metric"`
	Data   struct {
		Value float64           `json:"value"`
		Tags  map[string]string `json:"tags"`
	} `json:"data"`
}

// samples reads the points of a file of `--out json`.
func samples(t *testing.T, path string) []sample {
	t.Helper()
	file, err := os.Open(path) //nolint:gosec // of this test
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	var list []sample
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var s sample
		require.NoError(t, json.Unmarshal(lines.Bytes(), &s))
		if s.Type == "Point" {
			list = append(list, s)
		}
	}
	require.NoError(t, lines.Err())
	return list
}

func TestRequestsEmitK6sOwnMetricsAndTags(t *testing.T) {
	t.Parallel()
	target := startNode(t, conditions{})
	out := filepath.Join(t.TempDir(), "samples.json")
	r := k6Run(queueConcurrency, target, "BALANCE_CHECK_EVERY=1").simple("3", "4s").flags("--out", "json="+out).run(t)
	r.requirePassed(t)

	text, err := os.ReadFile(out) //nolint:gosec // of this test
	require.NoError(t, err)
	k6Run("", target).requireDiscreet(t, string(text))

	type request struct{ name, method, status string }
	routes := map[request]string{
		{"auth_signup", "POST", "201"}:    routeSignUp,
		{"stripe_webhook", "POST", "200"}: routeWebhook,
		{"queue_join", "POST", "201"}:     routeJoin,
		{"queue_leave", "DELETE", "200"}:  routeLeave,
		{"tokens_balance", "GET", "200"}:  routeBalance,
	}
	seen := map[string]map[string]int{} // by metric and route
	for _, s := range samples(t, out) {
		if !strings.HasPrefix(s.Metric, "http_req") {
			continue
		}
		tags := s.Data.Tags
		route, isKnown := routes[request{tags["name"], tags["method"], tags["status"]}]
		require.True(t, isKnown, "%s: %v", s.Metric, tags)
		require.Equal(t, "true", tags["expected_response"])
		require.Equal(t, "HTTP/1.1", tags["proto"])
		if tags["group"] != "::teardown" { // the balances after the load
			require.Equal(t, "default", tags["scenario"])
		}
		require.Equal(t, tags["name"], tags["url"], "as k6 does for a request that was given a name")
		if seen[s.Metric] == nil {
			seen[s.Metric] = map[string]int{}
		}
		seen[s.Metric][route]++
	}
	want := map[string]int{}
	for _, route := range routes {
		want[route] = target.state(t).requests(route)
		require.Positive(t, want[route])
	}
	for _, metric := range []string{
		"http_reqs", "http_req_duration", "http_req_failed", "http_req_blocked", "http_req_connecting",
		"http_req_tls_handshaking", "http_req_sending", "http_req_waiting", "http_req_receiving",
	} {
		require.Equal(t, want, seen[metric], metric)
	}
}
