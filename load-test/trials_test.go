//go:build trials

package loadtest_test

import (
	"flag"
	"testing"
	"time"

	"github.com/verity-app/xk6-verity/extension/standin"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// trials is how many runs of each kind TestTrials makes. It takes a quarter of a minute for each, and is no part of CI.
var trials = flag.Int("trials", 20, "runs of each kind that TestTrials makes") //nolint:gochecknoglobals // a flag

// How often the verdict of a short run is right, with the plan's own limits, one run after the other:
//
//	go test -tags trials -run TestTrials -timeout 60m -suite-limit 60m -trials 20 -v ./load-test | grep 'of 20'
func TestTrials(t *testing.T) {
	for _, trial := range []struct {
		name  string
		run   func(t *testing.T) judged
		right func(j judged) bool
	}{
		{"a healthy service: PASS", func(t *testing.T) judged { t.Helper(); return tight().run(t, startStandin(t, conditions{})) },
			func(j judged) bool { return j.verdict.Status == verdict.Pass && j.exit == 0 }},
		{"6 % of the joins after 150 ms: FAIL", func(t *testing.T) judged {
			t.Helper()
			return tight().with("TARGET_VUS=250", "HOLD=14s").run(t, slowJoins(t, 6, 150*time.Millisecond))
		},
			func(j judged) bool { return j.verdict.Claims[1].Status == verdict.Fail }},
		{"a match event lost in 10 % of the sessions: FAIL", func(t *testing.T) judged {
			t.Helper()
			return matches().with("MATCH_TIMEOUT=4").run(t, startStandin(t, conditions{defects: standin.Defects{LoseMatch: 0.1}}))
		}, func(j judged) bool { return j.verdict.Status == verdict.Fail }},
		{"healthy, and a starved runner: not FAIL", func(t *testing.T) judged { t.Helper(); return tight().starved(t, startStandin(t, conditions{})) },
			func(j judged) bool { return j.verdict.Status != verdict.Fail }},
	} {
		right := 0
		for range *trials {
			t.Run(trial.name, func(t *testing.T) {
				j := trial.run(t)
				if trial.right(j) {
					right++
					return
				}
				for _, c := range j.verdict.Claims {
					t.Logf("wrong: %s %s; %s", c.Status, c.Text, c.Reason)
				}
			})
		}
		t.Logf("%s: %d of %d", trial.name, right, *trials)
	}
}
