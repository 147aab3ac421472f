package preflight

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOneOfSeveralRunnersSaysWhatCounts(t *testing.T) {
	t.Parallel()
	check := Plan{Runner: 2, Runners: 4}.severalRunners()
	require.Equal(t, Check{"runners", Passed, "this is runner 2 of 4: what is planned below is its own part, and counts where each runner has an address of its own; " +
		"behind one shared address (a NAT gateway, a proxy, one machine) the service counts what all 4 ask together"}, check)
}

func TestWhatAllRunnersAskTogether(t *testing.T) {
	t.Parallel()
	passed, failed := Check{"queue_join", Passed, "found"}, Check{"queue_join", Failed, "found"}
	quarter := Plan{Runner: 1, Runners: 4, Share: 0.25}
	for name, tc := range map[string]struct {
		plan    Plan
		check   Check
		load    Load
		allowed uint64
		want    Check
	}{
		"the only one":                          {Plan{}, passed, Load{PerMinute: 100}, 120, passed},
		"all keep to the limit":                 {quarter, passed, Load{PerMinute: 30}, 120, Check{"queue_join", Passed, "found; 120 by all 4 runners"}},
		"each keeps to it, all together do not": {quarter, passed, Load{PerMinute: 31}, 120, Check{"queue_join", Warning, "found; 124 by all 4 runners, too many behind one shared address"}},
		"not even this one does":                {quarter, failed, Load{PerMinute: 200}, 120, Check{"queue_join", Failed, "found; 800 by all 4 runners, too many behind one shared address"}},
		"without a limit":                       {quarter, passed, Load{PerMinute: 60_000}, 0, Check{"queue_join", Passed, "found; 240,000 by all 4 runners"}},
		"a part of another size":                {Plan{Runner: 1, Runners: 2, Share: 0.1}, passed, Load{PerMinute: 10}, 0, Check{"queue_join", Passed, "found; 100 by all 2 runners"}},
		"as much of each, whatever its part":    {Plan{Runner: 1, Runners: 3, Share: 0.1}, passed, Load{PerMinute: 10, OfEach: true}, 0, Check{"queue_join", Passed, "found; 30 by all 3 runners"}},
		"shares that are no binary fractions":   {Plan{Runner: 1, Runners: 3, Share: 1. / 3}, passed, Load{PerMinute: 40}, 120, Check{"queue_join", Passed, "found; 120 by all 3 runners"}},
		"a part of a request counts as a whole": {quarter, passed, Load{PerMinute: 30.1}, 120, Check{"queue_join", Warning, "found; 121 by all 4 runners, too many behind one shared address"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, tc.plan.withAll(tc.check, tc.load, tc.allowed))
		})
	}
}
