package loadtest_test

import (
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// The stand-in prints the variables to set; with these variables the scenarios run.
func TestStandinCommand(t *testing.T) {
	t.Parallel()
	server := k6("x", "verity", "standin", "--addr", "127.0.0.1:0", "--session", "1s").start(t)
	exports := regexp.MustCompile(`(?m)^ *export ([A-Z_]+=\S+)$`)
	require.Eventually(t, func() bool {
		said := server.stdout.String()
		return strings.Contains(said, "BASE_URL=") && strings.Contains(said, "STRIPE_WEBHOOK_SECRET=") && strings.HasSuffix(said, "\n\n")
	}, 15*time.Second, 50*time.Millisecond)
	variables := slices.Clone(brief)
	for _, match := range exports.FindAllStringSubmatch(server.stdout.String(), -1) {
		variables = append(variables, match[1])
	}
	for _, scenario := range scenarios {
		run := k6("run", scenario)
		run.env = variables
		run.run(t).requirePassed(t)
	}
	r, took := server.interrupt(t)
	require.Equal(t, exitcodes.ExitCode(0), r.exit)
	require.Less(t, took, 5*time.Second)
	require.Empty(t, r.stderr)
}

func TestAStandinWhosePortIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nobody dials it
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	r := k6("x", "verity", "standin", "--addr", taken.Addr().String()).run(t)
	require.Equal(t, exitcodes.ScriptException, r.exit)
	r.requireOneError(t, "the stand-in cannot listen: ", "address already in use; --addr 127.0.0.1:0 takes a free port")
}
