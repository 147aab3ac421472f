package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlagsOfK6ThatACampaignRefuses(t *testing.T) {
	t.Parallel()
	require.NoError(t, checkK6Flags(strings.Fields("--out csv=x.csv --tag env=staging --insecure-skip-tls-verify -q --no-usage-report --dns ttl=1m")))
	for given, want := range map[string]string{
		"--vus 3":                         "--vus cannot stand after --: the profile of a step says how many users there are, and for how long; other numbers go into a plan file, see --plan",
		"-u3":                             "-u3 cannot stand after --: the profile of a step says how many users there are, and for how long; other numbers go into a plan file, see --plan",
		"--duration=3s":                   "--duration cannot stand after --: the profile of a step says how many users there are, and for how long; other numbers go into a plan file, see --plan",
		"-e STRIPE_WEBHOOK_SECRET=whsec_": "-e cannot stand after --: what stands in a command is seen by everybody on this machine; set variables in the environment, or in a plan file, see --plan",
		"--execution-segment 0:1/2":       "--execution-segment cannot stand after --: the campaign gives them to each runner itself; see --runners",
		"--paused":                        "--paused cannot stand after --: each step would wait for somebody to resume it; the campaign asks before a step",
		"--linger":                        "--linger cannot stand after --: no step would end",
		"load-test/queue-concurrency.js":  `after -- stand flags of k6 run only, got "load-test/queue-concurrency.js": the plan says which script a step runs`,
	} {
		require.EqualError(t, checkK6Flags(strings.Fields(given)), want)
	}
}

func TestFlagsOfK6AreShownWithoutSecrets(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"--tag env=staging --tag=a=b -v":                       "--tag env=staging --tag=a=b -v",
		"--out influxdb=http://me:secret@host/k6 --quiet":      "--out … --quiet",
		"--out=influxdb=http://me:secret@host/k6":              "--out=…",
		"-o csv=x -ojson=y":                                    "-o … -o…",
		"--secret-source=file=secrets.env --dns ttl=1m":        "--secret-source=… --dns ttl=1m",
		"--unknown secret --user-agent me":                     "--unknown … --user-agent me",
		"--insecure-skip-tls-verify --summary-mode disabled x": "--insecure-skip-tls-verify --summary-mode disabled x",
	} {
		require.Equal(t, want, strings.Join(shownFlags(strings.Fields(given)), " "), given)
	}
}

func TestTheValueOfAFlag(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"--a 1 --b 2": "2", "--b=3": "3", "--bb=3 --a": "", "--b": ""} {
		value, isGiven := FlagValue(strings.Fields(given), "b")
		require.Equal(t, want, value)
		require.Equal(t, want != "", isGiven)
	}
}
