package jsapi

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext"
	"go.k6.io/k6/v2/errext/exitcodes"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/standin"
)

const small = `requests: { auth_signup: { perMinute: 5, arithmetic: '5 users' }, queue_join: { perMinute: 600, arithmetic: '10 a second' } },
	connections: 5`

func TestPreflightPrintsItsTableOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	h.mustExec(`client.preflight({ ` + small + ` })`)
	require.Regexp(t, `(?s)^\n    Preflight\n\n +check +found\n      ✓  target +a healthy Verity, up for 0s\n.*✓  auth_signup .*5 a minute planned \(5 users\)\n`,
		h.out.String())
	require.NotContains(t, h.out.String(), "webhook secret", "of what is not planned nothing is asked")
	tables := h.report().Tables
	require.Len(t, tables, 1, "the report has it")
	require.NotContains(t, h.summary(), "Preflight", "the summary need not")
	require.Empty(t, h.report().Warnings)
	require.Empty(t, h.drainSamples(), "a look is no load")
	require.Empty(t, server.Users())
}

func TestPreflightRefuses(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{Throttle: true})
	_, err := h.exec(`client.preflight({ ` + small + ` })`)
	require.EqualError(t, err, "the preflight stops this run, whose result would be meaningless: queue_join: 120 a minute allowed, "+
		"600 planned (10 a second). SKIP_PREFLIGHT=1 runs it all the same")
	var coded errext.HasExitCode
	require.ErrorAs(t, err, &coded)
	require.Equal(t, exitcodes.ScriptException, coded.ExitCode())
	require.Contains(t, h.out.String(), "✗  queue_join")
}

func TestPreflightOverridden(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{Throttle: true})
	h.mustExec(`client.preflight({ ` + small + `, override: true })`)
	require.Contains(t, h.out.String(), "      SKIP_PREFLIGHT=1: the run goes on all the same\n")
	require.Equal(t, []string{"preflight, queue_join: 120 a minute allowed, 600 planned (10 a second)"}, h.report().Warnings)
}

func TestPreflightAsJSON(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{Throttle: true})
	_, err := h.exec(`client.preflight({ ` + small + `, json: true })`)
	require.Error(t, err)
	var found struct {
		Passed bool
		Checks []struct{ Check, Verdict, Found string }
	}
	require.NoError(t, json.Unmarshal(h.out.Bytes(), &found))
	require.False(t, found.Passed)
	require.Contains(t, found.Checks, struct{ Check, Verdict, Found string }{
		"queue_join", "failed", "120 a minute allowed, 600 planned (10 a second)",
	})
}

func TestPreflightOfNoVerityAborts(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	_, err := h.exec(`new verity.Verity({ baseUrl: 'http://127.0.0.1:1' }).preflight({})`)
	var interrupt *errext.InterruptError
	require.ErrorAs(t, err, &interrupt)
	require.Contains(t, interrupt.Reason, "http://127.0.0.1:1 cannot be reached")
	require.Empty(t, h.out.String())
}

func TestPreflightNeedsASignerForWebhooks(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	_, err := h.exec(`new verity.Verity({ baseUrl }).preflight({ requests: { stripe_webhook: { perMinute: 1 } } })`)
	require.ErrorContains(t, err, "tokens cannot be bought: give Verity a signer")
}

func TestPreflightRefusesWhatIsNoPlan(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		`{ users: 5 }`: `TypeError: unknown option "users" of preflight; it takes closedPerMinute, connections, json, override, requests, trial`,
		`{ requests: { queue_jion: {} } }`: `TypeError: unknown option "queue_jion" of requests of preflight; it takes auth_refresh, ` +
			`auth_signup, queue_join, queue_leave, stripe_webhook, tokens_balance`,
		`{ requests: { queue_join: { perMinute: -1 } } }`: `TypeError: perMinute of queue_join of preflight must be a number from 0 to 1e+12, got -1`,
		`{ requests: { queue_join: 5 } }`:                 `TypeError: queue_join of preflight takes an object, got 5`,
		`{ connections: 1.5 }`:                            `TypeError: connections of preflight must be a whole number from 0 to 2147483647, got 1.5`,
		`{ override: 1 }`:                                 `TypeError: override of preflight must be true or false, got 1`,
	} {
		h := newHarness(t).run()
		_, err := h.VU.Runtime().RunString(`new verity.Verity({ baseUrl: 'http://127.0.0.1:1' }).preflight(` + script + `)`)
		require.Error(t, err)
		require.Equal(t, want, firstLine(err.Error()))
	}
}

func TestRunnerShare(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, err := h.VU.Runtime().RunString(`verity.runnerShare()`)
	require.ErrorContains(t, err, "runnerShare cannot be called in the init context")
	h.run()
	require.InDelta(t, 1, h.mustExec(`verity.runnerShare()`).ToFloat(), 0)
	segment, err := lib.NewExecutionSegmentFromString("1/4:1/2")
	require.NoError(t, err)
	other := newHarness(t).run()
	other.state.Options.ExecutionSegment = segment
	require.InDelta(t, 0.25, other.mustExec(`verity.runnerShare()`).ToFloat(), 0)
}
