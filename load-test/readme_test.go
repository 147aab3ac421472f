package loadtest_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// readmeSnippet returns the first block of code in a language under a heading of the project's README.
func readmeSnippet(t *testing.T, heading, language string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	require.True(t, found, heading)
	_, code, found := strings.Cut(section, "\n```"+language+"\n")
	require.True(t, found)
	code, _, found = strings.Cut(code, "\n```\n")
	require.True(t, found)
	return code
}

// The scenario in the README passes against a Verity, and fails if there is none or the secret is wrong.
func TestTheScenarioOfTheReadme(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "mine.js")
	require.NoError(t, os.WriteFile(script, []byte(readmeSnippet(t, "Write a scenario", "js")), 0o600))

	t.Run("a Verity", func(t *testing.T) {
		t.Parallel()
		r := k6Run(script, startNode(t, conditions{})).run(t)
		r.requirePassed(t)
		require.Contains(t, r.stdout, "█ VERITY mine on http://127.0.0.1:")
		require.Positive(t, r.count("cycles"))
	})
	t.Run("a dead target", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // its port is free afterwards
		require.NoError(t, err)
		require.NoError(t, listener.Close())
		r := k6Run(script, &target{url: "http://" + listener.Addr().String(), secret: secret}).run(t)
		require.Equal(t, exitcodes.ScriptAborted, r.exit)
		r.requireOneError(t, "connection refused")
		require.Contains(t, r.stdout, "✗ run          stopped before the load: ")
	})
	for variable, says := range map[string]string{
		"BASE_URL": "baseUrl of Verity is not set; it must be an http or https URL of scheme, host and port only, such as https://staging.example.com",
		"STRIPE_WEBHOOK_SECRET": "STRIPE_WEBHOOK_SECRET is not set; give it in the environment, or under that name in a k6 secret source " +
			"(--secret-source): no secret sources are configured",
	} {
		t.Run("without "+variable, func(t *testing.T) {
			t.Parallel()
			r := k6Run(script, &target{url: "http://127.0.0.1:1", secret: secret}, variable+"=").run(t)
			require.Equal(t, exitcodes.ScriptException, r.exit)
			r.requireOneError(t, says)
			require.NotContains(t, r.stderr, `\tat `, "a stack of the script")
		})
	}
	t.Run("a wrong secret", func(t *testing.T) {
		t.Parallel()
		r := k6Run(script, startNode(t, conditions{}), "STRIPE_WEBHOOK_SECRET=whsec_wrong").run(t)
		require.Equal(t, exitcodes.ThresholdsHaveFailed, r.exit)
		require.Subset(t, r.crossed(), []string{"error_rate rate<0.001", "http_req_duration{name:queue_join} max>0"})
		require.Contains(t, r.stdout, "✗ error        stripe_webhook HTTPError 500 × ")
		warnings := regexp.MustCompile(`level=warning msg="[^"]*stripe_webhook was answered 500[^"]*\(others of this kind are not logged\)"`).
			FindAllString(r.stderr, -1)
		require.Len(t, warnings, 1, "the first error of its kind is logged: %s", r.stderr)
	})
}

// The smoke run in the README has as many thresholds as the scenarios.
func TestTheSmokeRunOfTheReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	require.NoError(t, err)
	for _, scenario := range scenarios {
		n := 0
		for _, conditions := range inspect(t, scenario).Thresholds {
			n += len(conditions)
		}
		require.Regexp(t, fmt.Sprintf(`(?m)^%s +http://127\.0\.0\.1:\d+ +✓ passed +%d of %d passed$`, strings.TrimSuffix(scenario, ".js"), n, n),
			string(text))
	}
}
