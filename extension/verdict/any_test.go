package verdict_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// anyRun returns random evidence: any part may be absent, and the parts need not fit together.
func anyRun(r *rand.Rand) *evidence.Run {
	run := ended(r.IntN(80))
	run.Header.PlannedUsers = r.IntN(3) * 50
	run.Header.PlannedRate = float64(r.IntN(2) * 40)
	series := []evidence.Series{joins, matches, lag, sends, events}
	names := []string{
		evidence.CountDue, evidence.CountThrottled, "operations{queue_join}", "errors{queue_join}{HTTPError 500}", "errors{queue_join}{TimeoutError}",
		evidence.CountStarted, "sessions_dropped{lost}", "errors", "errors{",
	}
	eachSecond(run, func(at int, s *evidence.Second) {
		for _, one := range series {
			switch r.IntN(4) {
			case 0:
				s.Cells[one] = answered(r.IntN(60), r.ExpFloat64()*80, limitMs)
			case 1:
				s.Cells[one] = cut(1+r.IntN(5), r.IntN(5000), limitMs)
			case 2:
				s.Cells[one] = failed(answered(r.IntN(60), 20, limitMs), "TimeoutError", int64(r.IntN(3)))
			}
		}
		for _, name := range names {
			if r.IntN(3) == 0 {
				s.Counts[name] = int64(r.IntN(50))
			}
		}
		for _, name := range []string{evidence.LevelPresent, evidence.LevelWaiting, evidence.LevelInside, evidence.LevelCPU, evidence.LevelCPULimit} {
			if r.IntN(3) > 0 {
				s.Levels[name] = float64(r.IntN(100))
			}
		}
		if r.IntN(10) == 0 {
			delete(run.Seconds, int64(at))
		}
	})
	if r.IntN(4) == 0 {
		run.End = nil
	}
	return run
}

func TestAnyEvidenceIsJudged(t *testing.T) {
	t.Parallel()
	claims := []evidence.Claim{
		{Kind: verdict.KindUsers, Least: 50}, {Kind: verdict.KindWaiting, Least: 50}, joinsWithin[0], matchWithin, fewErrors, allRight, sustained, purchased,
		{Kind: "speed"},
	}
	for seed := range uint64(300) {
		found := verdict.Judge(anyRun(rand.New(rand.NewPCG(seed, 15))), claims) // #nosec G404 -- the same numbers each time
		require.Len(t, found.Claims, len(claims))
		for _, result := range found.Claims {
			require.NotEqual(t, verdict.NoClaim, result.Status)
			require.Equal(t, result.Status == verdict.Pass, result.Reason == "", result.Reason)
			require.Equal(t, result.Status == verdict.NotProven, result.Why != "", result.Why)
			require.LessOrEqual(t, result.Status, found.Status)
		}
		_, err := json.Marshal(found)
		require.NoError(t, err)
	}
}
