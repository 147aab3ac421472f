package report

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

// Users that match without holding their sessions, as in queue-concurrency, count no starts.
func TestTheSessionsOfAllRunners(t *testing.T) {
	t.Parallel()
	for want, counts := range map[string]map[string]int64{
		"90 at once at the peak": {},
		"90 at once at the peak; 2,180 started, 2 dropped (of users: a session has two)": {
			evidence.CountStarted: 1090, evidence.Labelled(evidence.CountDropped, "socket_lost"): 1,
		},
	} {
		run := &evidence.Run{Seconds: map[int64]*evidence.Second{
			1: {Levels: map[string]float64{evidence.LevelInside: 180}, Counts: counts}, 2: {Levels: map[string]float64{evidence.LevelInside: 40}, Counts: counts},
		}}
		require.Equal(t, []Finding{{Title: "sessions", Text: want}}, loads(run))
	}
}
