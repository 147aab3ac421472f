package jsapi

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// planned returns what planRun returns, as JSON.
func planned(t *testing.T, h *harness, options string) string {
	t.Helper()
	value, err := h.VU.Runtime().RunString(`JSON.stringify(verity.planRun(` + options + `))`)
	require.NoError(t, err)
	return value.String()
}

func TestPlanRunOfUsers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	require.JSONEq(t, `{
		"asks": {
			"requests": {
				"auth_signup": { "perMinute": 100, "arithmetic": "100 users within 30s", "ofEach": false },
				"stripe_webhook": { "perMinute": 100, "arithmetic": "100 users within 30s", "ofEach": false },
				"queue_join": { "perMinute": 1500, "arithmetic": "100 users × 60 s / 4 s a cycle", "ofEach": false },
				"queue_leave": { "perMinute": 1500, "arithmetic": "100 users × 60 s / 4 s a cycle", "ofEach": false },
				"tokens_balance": { "perMinute": 50, "arithmetic": "50 users at the end", "ofEach": false }
			},
			"connections": 100, "closedPerMinute": 0
		},
		"seconds": 160, "start": 0,
		"stages": [{ "seconds": 30, "target": 100 }, { "seconds": 120, "target": 100 }, { "seconds": 10, "target": 0 }]
	}`, planned(t, h, `{ users: { users: 100, rampUp: '30s', hold: '2m', rampDown: '10s', thinkSeconds: { min: 1, max: 3 }, auditedUsers: 50 } }`))
}

func TestPlanRunOfPurchases(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var plan struct {
		Events, Seconds, Start float64
		Asks                   struct {
			Requests map[string]struct {
				PerMinute float64
				OfEach    bool
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(planned(t, h, `{ purchases: {
		users: 10, vus: 20, baseRate: 2, spikeRate: 8, rampUp: '10s', spikeHold: '1m', rampDown: '10s', thinkSeconds: { min: 1, max: 1 },
	} }`)), &plan))
	require.Equal(t, 50+480+50+10.0, plan.Events)
	require.Equal(t, 90.0, plan.Seconds)
	require.Equal(t, 2.0, plan.Start)
	require.Equal(t, 480.0, plan.Asks.Requests["stripe_webhook"].PerMinute)
	require.True(t, plan.Asks.Requests["auth_signup"].OfEach)
}

// Verity.preflight accepts the result of planRun for a run without a known length.
func TestPlanRunOfFlags(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	value, err := h.VU.Runtime().RunString(`verity.planRun({ users: { users: 2, iterations: 6, start: undefined, stages: undefined } }).seconds`)
	require.NoError(t, err)
	require.Equal(t, "Infinity", value.String())
}
