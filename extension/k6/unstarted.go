package k6

import (
	"sync"
	"sync/atomic"

	"github.com/sirupsen/logrus"
	"go.k6.io/k6/v2/lib"
)

// neverStarted is what k6 v2.2.0 logs where a ramp cannot start a VU, after it has waited for two seconds. It goes on without the
// VU, ends the scenario's other VUs, and calls the run a success.
const neverStarted = "Cannot get a VU from the buffer"

// Unstarted counts the VUs that a ramp could not start, and makes the run a failure. A VU whose users are still leaving is not free
// yet: a ramp that goes down and up again may want it back too soon.
type Unstarted struct {
	once  sync.Once
	count atomic.Int64
	run   atomic.Pointer[lib.TestStatus]
}

var _ logrus.Hook = (*Unstarted)(nil)

// Watch begins with the first VU that runs something.
func (u *Unstarted) Watch(state *lib.State) {
	u.once.Do(func() {
		u.run.Store(state.TestStatus)
		if logger, ok := state.Logger.(*logrus.Logger); ok {
			logger.AddHook(u)
		}
	})
}

// Levels are those of k6's message.
func (u *Unstarted) Levels() []logrus.Level { return []logrus.Level{logrus.ErrorLevel} }

// Fire looks at a message.
func (u *Unstarted) Fire(entry *logrus.Entry) error {
	if entry.Message == neverStarted {
		u.count.Add(1)
		if run := u.run.Load(); run != nil {
			run.MarkFailed()
		}
	}
	return nil
}

// Count is how many there were.
func (u *Unstarted) Count() int { return int(u.count.Load()) }
