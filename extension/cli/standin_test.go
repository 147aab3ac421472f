package cli

import (
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/standin"
)

func TestStandinFlags(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want standin.Options
	}{
		{nil, standin.Options{}},
		{[]string{"--ping-interval", "1s", "--ping-timeout", "2s"}, standin.Options{PingInterval: time.Second, PingTimeout: 2 * time.Second}},
		{[]string{"--lose-match", "0.1"}, standin.Options{Defects: standin.Defects{LoseMatch: 0.1}}},
		{[]string{"--lose-start", "0.1"}, standin.Options{Defects: standin.Defects{LoseStart: 0.1}}},
		{[]string{"--cross-pairs", "0.1"}, standin.Options{Defects: standin.Defects{CrossPairs: 0.1}}},
		{[]string{"--token-error", "1"}, standin.Options{Defects: standin.Defects{TokenError: 1}}},
		{[]string{"--end-early", "3s"}, standin.Options{Defects: standin.Defects{EndEarly: 3 * time.Second}}},
		{[]string{"--drop-sockets-after", "4s"}, standin.Options{Defects: standin.Defects{DropSocketsAfter: 4 * time.Second}}},
		{[]string{"--mute-after", "5s"}, standin.Options{Defects: standin.Defects{MuteAfter: 5 * time.Second}}},
	} {
		var got standin.Options
		cmd := &cobra.Command{}
		addStandinFlags(cmd, &got)
		addDefectFlags(cmd, &got.Defects)
		require.NoError(t, cmd.ParseFlags(tc.args))
		if tc.want.PingInterval == 0 {
			tc.want.PingInterval, tc.want.PingTimeout = 25*time.Second, 20*time.Second
		}
		require.Equal(t, tc.want, got, "%q", tc.args)
	}
}

func TestStandinFlagsThatMustBeAboveZero(t *testing.T) {
	t.Parallel()
	for flag, value := range map[string]string{
		"tick": "0s", "pairs-per-tick": "0", "session": "0s", "token-ttl": "0", "keep-alive": "0ms", "ping-interval": "0s", "ping-timeout": "0s",
	} {
		cmd := newStandinCommand(nil)
		require.NoError(t, cmd.ParseFlags([]string{"--" + flag, value}))
		require.EqualError(t, requireAboveZero(cmd.Flags()), "--"+flag+" must be above 0; leave it out for the default")
	}
	cmd := newStandinCommand(nil)
	require.NoError(t, cmd.ParseFlags([]string{"--lone-key", "0s", "--latency", "0s", "--mute-after", "0s"}))
	require.NoError(t, requireAboveZero(cmd.Flags()))
}
