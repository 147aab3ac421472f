package evidence

import (
	"sync/atomic"
	"time"
)

// waitedFor is how many seconds Unanswered distinguishes: more than any request may take.
const waitedFor = 4096

// LongUnanswered is how long a request must be without an answer to count in LevelUnanswered.
const LongUnanswered = 10 * time.Second

// Unanswered counts requests that are under way, by the second in which they began. It is safe for concurrent use.
type Unanswered struct {
	start time.Time
	began [waitedFor]atomic.Int64
}

// NewUnanswered returns a counter for requests that begin from now on.
func NewUnanswered() *Unanswered { return &Unanswered{start: time.Now()} }

// Begin counts a request that began at this time, until End is called with the same time.
func (u *Unanswered) Begin(at time.Time) { u.of(at).Add(1) }

// End ends the counting of a request that began at this time.
func (u *Unanswered) End(began time.Time) { u.of(began).Add(-1) }

func (u *Unanswered) of(at time.Time) *atomic.Int64 { return &u.began[u.second(at)%waitedFor] }

func (u *Unanswered) second(at time.Time) int64 { return max(0, int64(at.Sub(u.start)/time.Second)) }

// Long returns how many requests have been under way for LongUnanswered or longer.
func (u *Unanswered) Long(now time.Time) int {
	last := u.second(now)
	all := int64(0)
	for second := max(0, last-waitedFor+1); second <= last-int64(LongUnanswered/time.Second); second++ {
		all += u.began[second%waitedFor].Load()
	}
	return int(all)
}
