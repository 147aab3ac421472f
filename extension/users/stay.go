package users

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/run"
)

const (
	// MaxLeaveSeconds is the longest time for the users of a VU to leave one by one: well below scheduleDrainLimit.
	MaxLeaveSeconds = 60
	// EndGuard is how long after the planned end a stay winds up: k6 must see the end first, or it starts another iteration.
	EndGuard = 10 * time.Millisecond
	// drainedAtOnce is how many users of one VU leave at the same time.
	drainedAtOnce = 16
)

// Script is the script's part of one seat. Both functions return at once, and their errors end the iteration. The outcome follows on
// the event loop, as a call of the seat's SignedUp, Stepped or Failed.
type Script interface {
	SignUp(number int) error
	Step(step, cycle int) error
}

// StayOptions are the options of a stay.
type StayOptions struct {
	Seats        int
	ArriveWithin float64 // s
	LeaveWithin  float64 // s
	FirstNumber  int     // of the users
	Steps        int     // of a cycle
	Cycles       int     // of each user; 0: until the stay ends
	Think        ThinkTime
	End          time.Time // by the schedule; zero: not known
}

// Stay is the life of a VU's users in one iteration (docs/architecture.md, Lifetime). Its fields but those under mu are used on the
// event loop only.
type Stay struct {
	StayOptions
	run      *run.Run
	vu       VU
	life     *Lifetime
	register func() Enqueue // a callback of the event loop
	script   func(seat *Seat) Script
	open     int // seats that are not done
	finished chan struct{}

	mu    sync.Mutex
	users []*User
}

// NewStay returns a stay that has not begun.
func NewStay(account *run.Run, vu VU, life *Lifetime, register func() Enqueue, script func(seat *Seat) Script, o StayOptions) *Stay {
	return &Stay{
		StayOptions: o, run: account, vu: vu, life: life, register: register, script: script, finished: make(chan struct{}),
	}
}

// Begin seats the users. It returns false where the iteration has ended; otherwise Await must be called.
func (s *Stay) Begin() bool {
	if !s.life.Begin(nil) {
		return false
	}
	s.life.Staying = true
	s.run.Seat(s.Seats)
	if !s.End.IsZero() {
		s.life.After(time.Until(s.End.Add(EndGuard)), s.register(), false, func() error { s.life.WindUp(); return nil })
	}
	s.open = s.Seats
	for n := range s.Seats {
		s.later(s.arrival(n), func() error {
			seat := &Seat{stay: s, number: s.FirstNumber + n}
			seat.script = s.script(seat)
			return seat.next()
		})
	}
	return true
}

// Await waits for the end of the stay, drains its users, and calls release, after which nothing is emitted.
func (s *Stay) Await(release func()) {
	defer s.run.Runner.Hold()()
	endDuties := s.awaitEnd()
	s.run.Seat(-s.Seats)
	s.drain()
	endDuties()
	s.run.EmitSessions(s.life.Report, s.vu)
	s.run.EmitPeaks(s.life.Report, s.vu)
	release()
	s.life.Done(nil)
}

// awaitEnd waits for the end of the stay. If this stay gets the duties meanwhile, it carries them out until endDuties is called.
func (s *Stay) awaitEnd() (endDuties func()) {
	endDuties = func() {}
	duty := s.run.Duty()
	for {
		select {
		case <-s.finished:
			return endDuties
		case <-s.life.over:
			return endDuties
		case <-duty:
			duty = nil
			endDuties = s.run.DoDuties(s.life.Work, s.vu, s.vu.Log())
		}
	}
}

// arrival returns when a seat's user arrives: at a random moment of the seat's equal share of ArriveWithin.
func (s *Stay) arrival(seat int) time.Duration {
	share := s.ArriveWithin / float64(s.Seats)
	return Seconds(share * (float64(seat) + rand.Float64())) // #nosec G404 -- spreads load, guards nothing
}

// later calls f on the event loop in d, or as soon as the stay winds up.
func (s *Stay) later(d time.Duration, f func() error) { s.life.After(d, s.register(), true, f) }

// Seat is one user's place in a stay. Its methods are called on the event loop.
type Seat struct {
	stay     *Stay
	script   Script
	number   int
	user     *User
	cycle    int
	step     int // of the cycle
	failures int // in a row
}

// next makes the user sign up or take its next step, unless the stay is over. At the end of a constant-vus scenario a cycle that
// has begun is completed; in all other scenarios k6 cuts it.
func (s *Seat) next() error {
	if s.step == 0 && (s.stay.life.isWindingUp() || (s.stay.Cycles > 0 && s.cycle >= s.stay.Cycles)) {
		return s.leave()
	}
	if s.user == nil {
		return s.script.SignUp(s.number)
	}
	return s.script.Step(s.step, s.cycle)
}

// SignedUp gives the seat its user.
func (s *Seat) SignedUp(user *User) error {
	s.stay.run.Enroll(user.Account)
	if !s.stay.life.Ended() {
		user.arrive()
	}
	s.user = user
	s.stay.mu.Lock()
	s.stay.users = append(s.stay.users, user)
	s.stay.mu.Unlock()
	s.stay.later(0, s.next)
	return nil
}

// Stepped ends a step.
func (s *Seat) Stepped() error {
	s.step++
	if s.step == s.stay.Steps {
		s.step, s.failures = 0, 0
		s.cycle++
		s.stay.vu.Emit(s.stay.life.Work, run.Cycles, 1, "", "")
	}
	s.stay.later(s.stay.Think.Next(), s.next)
	return nil
}

// Failure is the failure of signing up or of a step; without an operation, it is the script's own.
type Failure struct {
	report.ErrorKind
	RetryAfter time.Duration // the delay that the service asks for; 0: none
}

// Failed backs off after a failure. A user that lost its session is retired, and makes room for a new one.
func (s *Seat) Failed(f Failure) error {
	s.step = 0
	s.failures++
	goOn := func() error { s.stay.later(backOff(s.failures, f.RetryAfter), s.next); return nil }
	if s.stay.Cycles > 0 {
		goOn = s.leave
	}
	switch {
	case s.user == nil:
		// The errors of a persistent purchase are noted already, and it does not fail.
		if f.Operation != "" && f.Name != platform.StoppedError {
			s.stay.run.KeptAway(f.ErrorKind)
		}
	case f.Name == platform.AuthError:
		user := s.user
		s.user = nil
		s.stay.retire(user, goOn)
		return nil
	default:
		s.cycle++
	}
	return goOn()
}

// leave ends this seat, and the stay with the last one.
func (s *Seat) leave() error {
	s.stay.open--
	if s.stay.open == 0 {
		close(s.stay.finished)
	}
	return nil
}

// retire removes a user that lost its session, and then calls goOn. The stay forgets the user if it need not be drained: there may
// be many when the service refuses each new one.
func (s *Stay) retire(user *User, goOn func() error) {
	callback := s.register()
	user.retire(s.life.Work, func(stillQueued bool) {
		if !stillQueued {
			s.mu.Lock()
			s.users = slices.DeleteFunc(s.users, func(u *User) bool { return u == user })
			s.mu.Unlock()
		}
		callback(goOn)
	})
}

// drain takes the users out of their queues, a few at a time, and closes their connections. If the schedule ended the stay,
// sessions are held to their end first.
func (s *Stay) drain() {
	s.mu.Lock()
	users := slices.Clone(s.users)
	s.mu.Unlock()
	slots := make(chan struct{}, drainedAtOnce)
	step := s.leaveStep(len(users))
	var wg sync.WaitGroup
	for i, user := range users {
		wg.Go(func() {
			pause(s.life.Work, time.Duration(i)*step)
			user.Operations.wait()
			slots <- struct{}{}
			user.drain(s.life)
			<-slots
		})
	}
	wg.Wait()
}

// leaveStep returns the time between two users' leaving. The users of a VU that is ramped down leave one by one until the ramp
// takes the next VU, as they would with a VU each.
func (s *Stay) leaveStep(users int) time.Duration {
	if users == 0 || !s.life.Ended() || s.life.Aborted() {
		return 0
	}
	return Seconds(s.LeaveWithin / float64(users))
}

const (
	firstBackOff      = time.Second
	longestBackOff    = 30 * time.Second
	longestRetryAfter = 5 * time.Minute
)

// backOff returns how long a user waits after a failure: as long as the server asks for, otherwise 1 s, 2 s, 4 s … 30 s; always
// with some spread, so that users who failed together do not return together.
func backOff(failures int, retryAfter time.Duration) time.Duration {
	spread := rand.Float64() // #nosec G404 -- spreads load, guards nothing
	if retryAfter > 0 {
		return min(retryAfter, longestRetryAfter) + time.Duration(spread*float64(time.Second))
	}
	wait := longestBackOff
	if shift := failures - 1; shift < 5 {
		wait = min(firstBackOff<<shift, longestBackOff)
	}
	return time.Duration((0.5 + spread) * float64(wait))
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// ThinkTime is the pause of a user after a step: a random time between the two, in seconds.
type ThinkTime struct{ Least, Most float64 }

// Next returns the next pause.
func (t ThinkTime) Next() time.Duration {
	return Seconds(t.Least + (t.Most-t.Least)*rand.Float64()) // #nosec G404 -- a think time guards nothing
}
