package jsapi

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/standin"
)

func TestRunnerLagIsEmittedWhileUsersStay(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	h.iterate(constantVUs(2500 * time.Millisecond))
	h.mustExec(`var shards = new verity.QueueShards({ mode: 'isolated', users: 2 });
		verity.stay({ users: 2, signUp: () => client.signUp({ tokens: 1 }) }, ` + joinAndLeave + `)`)
	_, lags := h.sum("runner_lag", nil)
	require.Greater(t, lags, 20, "up to 50 a second, for the two seconds before the last request")
	require.Less(t, lags, 130)
	require.Greater(t, h.root.run.Runner.Usage().Watched, time.Second)
}
