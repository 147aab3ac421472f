//go:build !race

package standin

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/queue"
)

// matchTimes measures how long users wait from the decision to join until they are matched.
type matchTimes struct {
	nobody

	mu      sync.Mutex
	waiting map[string]chan time.Time // by user
}

func (m *matchTimes) matched(s session, _ string) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting[s.UserA] <- now
	m.waiting[s.UserB] <- now
}

// The plan's formulas agree with the stand-in's matcher with the service's constants: median and 95th percentile within 15 %,
// for one key that is just full and for several with spare capacity.
//
// It measures real waits of half a second, which the race detector and a busy machine make longer. So it is left out of race
// builds, and has three attempts.
func TestThePlanPredictsTheMatcher(t *testing.T) {
	const think = 1.5 // mean in s; from 0.75 to 2.25
	for _, tc := range []struct{ users, shards int }{{100, 1}, {120, 3}} {
		t.Run(fmt.Sprintf("%d users in %d keys", tc.users, tc.shards), func(t *testing.T) {
			t.Parallel()
			predicted, err := queue.Predict(queue.Load{Users: tc.users, ThinkSeconds: think}, tc.shards)
			require.NoError(t, err)
			var off []string
			for range 3 {
				waits := measureMatches(t, tc.users, tc.shards, think)
				require.Greater(t, len(waits), 200)
				slices.Sort(waits)
				median, p95 := waits[len(waits)/2], waits[len(waits)*95/100]
				if within15(median, predicted.MedianWaitSeconds) && within15(p95, predicted.WaitSeconds) {
					return
				}
				off = append(off, fmt.Sprintf("%.3f and %.3f s", median, p95))
			}
			t.Fatalf("predicted a median of %.3f s and a 95th percentile of %.3f s, measured %v",
				predicted.MedianWaitSeconds, predicted.WaitSeconds, off)
		})
	}
}

func within15(measured, predicted float64) bool {
	return math.Abs(measured-predicted) <= 0.15*predicted
}

// measureMatches lets users join, be matched, think and join again, and returns their waits in s once they are out of step.
func measureMatches(t *testing.T, users, shards int, think float64) (waits []float64) {
	t.Helper()
	const settle, measure = 5 * time.Second, 14 * time.Second
	times := &matchTimes{waiting: make(map[string]chan time.Time)}
	ts := start(t, Options{Tick: contract.Tick, KeepAlive: time.Minute, observer: times})
	joined := make([]testUser, users)
	for i := range joined {
		joined[i] = ts.signUp(1000)
		times.waiting[joined[i].id] = make(chan time.Time, 1)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	begin := time.Now()
	for i, user := range joined {
		body := fmt.Sprintf(`{"preferences":{"shard":%d}}`, i/2%shards)
		wg.Go(func() {
			time.Sleep(time.Duration(rand.Float64() * 2 * think * float64(time.Second))) //nolint:gosec // a think time
			for time.Since(begin) < settle+measure {
				decided := time.Now()
				if reply := user.join(body); reply.status != 201 {
					t.Errorf("join was answered %d: %s", reply.status, reply.body)
					return
				}
				var matched time.Time
				select {
				case matched = <-times.waiting[user.id]:
				case <-time.After(settle + measure - time.Since(begin) + time.Second):
					return // the last user has no partner when the others have gone
				}
				if decided.Sub(begin) > settle && matched.Sub(begin) < settle+measure {
					mu.Lock()
					waits = append(waits, matched.Sub(decided).Seconds())
					mu.Unlock()
				}
				time.Sleep(time.Duration((0.5 + rand.Float64()) * think * float64(time.Second))) //nolint:gosec // a think time
			}
			_ = user.leave()
		})
	}
	wg.Wait()
	return waits
}
