package cli

import (
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/cmd/state"
)

// execute runs a command line of k6 x verity.
func execute(t *testing.T, args ...string) error {
	t.Helper()
	gs := state.NewGlobalState(t.Context())
	gs.Stdout.Writer, gs.Stderr.Writer = io.Discard, io.Discard
	cmd := New(gs, os.DirFS("../.."))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	return cmd.Execute()
}

// Refused input ends with the exit code of a configuration that k6 run refuses; the message names the value given and the values accepted.
func TestInputThatIsRefused(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		`--users must be a whole number, got "abc"`:                                                      {"plan", "--users", "abc"},
		`--hold must be a number, got "1m"`:                                                              {"plan", "--users", "10", "--hold", "1m"},
		`--users must be given: the users of the whole test, 2 or more`:                                  {"plan"},
		`users: 1; set 2 or more, for a match needs two`:                                                 {"plan", "--users", "1"},
		"unknown flag: --bogus; `verity plan --help` lists the flags":                                    {"plan", "--bogus"},
		`flag needs an argument: --users`:                                                                {"plan", "--users"},
		`unknown command "more" for "verity plan"`:                                                       {"plan", "more"},
		`unknown command "nosuch" for "verity"`:                                                          {"nosuch"},
		`--session must be a duration such as 500ms, 45s or 1m30s, got "5"`:                              {"standin", "--session", "5"},
		`--session must be from 1ms to 30m0s, got -1s`:                                                   {"standin", "--session", "-1s"},
		`--throttle must be true or false, got "maybe"`:                                                  {"standin", "--throttle=maybe"},
		`--tick must be above 0; leave it out for the default`:                                           {"standin", "--tick", "0s"},
		`--tick must be from 1ms to 1m0s, got 2m0s; --lose-match must be from 0 to 1, got 2`:             {"standin", "--tick", "2m", "--lose-match", "2"},
		`--addr must be host:port, got "nonsense"`:                                                       {"standin", "--addr", "nonsense"},
		`accepts 1 arg(s), received 0`:                                                                   {"show"},
		`requires at least 1 arg(s), only received 0`:                                                    {"merge"},
		`open no-such-file: no such file or directory`:                                                   {"show", "no-such-file"},
		`INDEX must be which of the 2 runners this is, 0 to 1, got "5"`:                                  {"segment", "5", "2"},
		`--scenario must be queue-concurrency or video-session-sustain or token-purchase-spike, got "x"`: {"preflight", "--scenario", "x"},
	} {
		err := execute(t, args...)
		require.EqualError(t, err, want)
		require.Equal(t, 107, exitCodeOf(t, err), "%q", args)
	}
}
