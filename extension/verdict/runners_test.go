package verdict_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// ofFour is a run of which the evidence of all four runners is there and whole.
func ofFour(run *evidence.Run) *evidence.Run {
	run.Runners = nil
	for i := range 4 {
		run.Runners = append(run.Runners, evidence.Runner{Index: i, Count: 4, Ended: true})
	}
	return run
}

// What a runner would have added may have broken what the rest proves, so that is not proven. What the rest shows to be wrong stays so. Only
// users who were present cannot become fewer by those of one more runner.
func TestNoClaimIsProvenThatAMissingRunnerCouldHaveBroken(t *testing.T) {
	t.Parallel()
	failing := func(change func(at int, s *evidence.Second)) func() *evidence.Run {
		return func() *evidence.Run { return eachSecond(healthy(), change) }
	}
	for name, tc := range map[string]struct {
		claim   evidence.Claim
		healthy func() *evidence.Run
		failing func() *evidence.Run // nil: nothing short of the claim is the service's fault
	}{
		"waiting": {evidence.Claim{Kind: verdict.KindWaiting, Least: 150}, healthy, nil},
		"match": {matchWithin, healthy, failing(func(_ int, s *evidence.Second) {
			s.Cells[matches] = answered(40, 4000, 3000)
		})},
		"latency": {evidence.Claim{Kind: verdict.KindLatency, Operations: []string{"queue_join"}, WithinMs: limitMs}, healthy, failing(func(_ int, s *evidence.Second) {
			s.Cells[joins] = answered(50, 400, limitMs)
		})},
		"errors": {fewErrors, healthy, failing(func(_ int, s *evidence.Second) {
			s.Counts["errors{queue_join}{HTTPError 500}"] = 5
		})},
		"sessions": {sustained, healthy, failing(func(_ int, s *evidence.Second) {
			s.Counts[evidence.Labelled(evidence.CountDropped, "socket_lost")] = 20
		})},
		"tokens": {allRight, healthy, func() *evidence.Run {
			run := healthy()
			run.End.Ledger.Wrong = 3
			return run
		}},
		"purchases": {purchased, spike, func() *evidence.Run {
			return eachSecond(spike(), func(_ int, s *evidence.Second) { s.Cells[events] = answered(40, 400, limitMs) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := judged(ofFour(tc.healthy()), tc.claim)
			require.Equal(t, verdict.Pass, whole.Status, whole.Reason)
			for _, incomplete := range []struct {
				change func(run *evidence.Run)
				reason string
			}{
				{func(run *evidence.Run) { run.Runners = run.Runners[:3] }, "the evidence of 1 of 4 runners is missing (runner 4): merge that of all of them"},
				{func(run *evidence.Run) { run.Runners[1].Ended = false }, "1 of 4 runners did not go on to their end (runner 2): run again"},
			} {
				run := ofFour(tc.healthy())
				incomplete.change(run)
				result := judged(run, tc.claim)
				require.Equal(t, verdict.NotProven, result.Status, result.Text)
				require.Equal(t, incomplete.reason, result.Reason)
				if tc.failing == nil {
					continue
				}
				run = ofFour(tc.failing())
				incomplete.change(run)
				result = judged(run, tc.claim)
				require.Equal(t, verdict.Fail, result.Status, result.Reason)
			}
		})
	}
}

func TestUsersWhoWerePresentDoNotNeedAllRunners(t *testing.T) {
	t.Parallel()
	run := ofFour(healthy())
	run.Runners = run.Runners[:3]
	require.Equal(t, verdict.Pass, judged(run, evidence.Claim{Kind: verdict.KindUsers, Least: 1000}).Status)
}

// The users of a missing runner are not there, which is no error of auth_signup.
func TestTooFewUsersWhereARunnerIsMissing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(run *evidence.Run)
		reason string
	}{
		"one of four":         {func(run *evidence.Run) { run.Runners = run.Runners[:1] }, "the evidence of 3 of 4 runners is missing (runners 2, 3, 4): merge that of all of them"},
		"a merge without one": {func(run *evidence.Run) { run.Runners = run.Runners[:3] }, "the evidence of 1 of 4 runners is missing (runner 4): merge that of all of them"},
		"one was killed":      {func(run *evidence.Run) { run.Runners[1].Ended = false }, "1 of 4 runners did not go on to their end (runner 2): run again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := eachSecond(ofFour(healthy()), func(_ int, s *evidence.Second) {
				s.Levels[evidence.LevelPresent] = min(s.Levels[evidence.LevelPresent], 250)
			})
			tc.change(run)
			claim := evidence.Claim{Kind: verdict.KindUsers, Least: 1000}
			result := judged(run, claim)
			require.Equal(t, verdict.NotProven, result.Status)
			require.Equal(t, verdict.CheckInterrupted, result.Why)
			require.Equal(t, tc.reason, result.Reason)
			require.Contains(t, verdict.Judge(run, []evidence.Claim{claim}).Checks, verdict.Fitness{
				Name: verdict.CheckLevel, Text: "at most 250 of the 1,000 planned users were present, and the judged part begins at 900; " + tc.reason,
			})
		})
	}
	run := eachSecond(ofFour(spike()), func(_ int, s *evidence.Second) { s.Counts[evidence.CountDue] = 1 })
	run.Runners = run.Runners[:3]
	for _, check := range verdict.Judge(run, []evidence.Claim{purchased}).Checks {
		if check.Name == verdict.CheckLevel {
			require.Regexp(t, `^no second had \d+ events due, nine tenths of the planned \d+; the evidence of 1 of 4 runners is missing \(runner 4\): `+
				`merge that of all of them$`, check.Text)
			return
		}
	}
	t.Fatal("the level was not checked")
}

// A runner that began late takes nothing away: what it was to add is in the plan, and until it is there the planned level is not.
func TestARunnerThatBeganLate(t *testing.T) {
	t.Parallel()
	run := ofFour(healthy())
	run.Runners[3].Began = run.Header.Began.Add(time.Minute)
	claim := evidence.Claim{Kind: verdict.KindUsers, Least: 1000}
	require.Equal(t, verdict.Pass, judged(run, claim).Status, "the level was reached")
	eachSecond(run, func(_ int, s *evidence.Second) {
		s.Levels[evidence.LevelPresent] = min(s.Levels[evidence.LevelPresent], 750)
	})
	result := judged(run, claim)
	require.Equal(t, verdict.NotProven, result.Status)
	require.Contains(t, result.Reason, "at most 750 of the 1,000 users were present at once")
}
