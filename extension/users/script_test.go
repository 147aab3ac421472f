package users

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/run"
	"github.com/verity-app/xk6-verity/extension/sessions"
)

// vu is a VU whose service signs everybody up, and which counts the cycles that were emitted.
type vu struct {
	signedUp atomic.Int64
	closed   atomic.Int64
	cycles   atomic.Int64
}

func (v *vu) Emit(_ context.Context, metric run.Metric, _ float64, _, _ string) {
	if metric == run.Cycles {
		v.cycles.Add(1)
	}
}

func (*vu) Prepare(run.Metric, float64, string, string) func(context.Context) {
	return func(context.Context) {}
}
func (*vu) EmitOperation(context.Context, string, string)         {}
func (*vu) EmitEach(context.Context, run.Metric, []time.Duration) {}
func (*vu) Log() run.Logger                                       { return nil }
func (v *vu) Connect(string, time.Duration) Connection            { return v }
func (*vu) SocketOptions() sessions.Options                       { return sessions.Options{} }
func (v *vu) Close()                                              { v.closed.Add(1) }

func (v *vu) Do(context.Context, platform.Request) (*platform.Answer, error) {
	return &platform.Answer{
		Status: http.StatusCreated, Cookies: map[string]string{"refresh_token": "x"},
		Body: fmt.Appendf(nil, `{"user":{"id":"c%d","tokenBalance":0},"accessToken":"x"}`, v.signedUp.Add(1)),
	}, nil
}

// script is the script of one seat, which fails where fails says so.
type script struct {
	*Seat
	service *Service
	vu      *vu
	life    *Lifetime
	steps   *[]string
	fails   func(step, cycle int) *Failure
}

func (s *script) SignUp(number int) error {
	*s.steps = append(*s.steps, fmt.Sprintf("sign up %d", number))
	user, err := s.service.SignUp(s.life.Work, s.vu, s.life, 0)
	if err != nil {
		return err
	}
	return s.SignedUp(user)
}

func (s *script) Step(step, cycle int) error {
	*s.steps = append(*s.steps, fmt.Sprintf("%d.%d", cycle, step))
	if failure := s.fails(step, cycle); failure != nil {
		return s.Failed(*failure)
	}
	return s.Stepped()
}

// stayed runs a stay on a loop of its own until it is over, and returns what its script was called for.
func stayed(t *testing.T, o StayOptions, fails func(step, cycle int) *Failure) (steps []string, v *vu, account *run.Run) {
	t.Helper()
	v, account = &vu{}, run.New(io.Discard)
	service := &Service{Service: platform.NewService("http://verity.test", nil), Run: account}
	iteration, end := context.WithCancel(t.Context())
	defer end()
	life := NewLifetime(iteration, true, neverAborted)
	loop, over := make(chan func() error, 100), make(chan struct{})
	register := func() Enqueue { return func(f func() error) { loop <- f } }
	stay := NewStay(account, v, life, register, func(seat *Seat) Script { return &script{seat, service, v, life, &steps, fails} }, o)
	require.True(t, stay.Begin())
	go stay.Await(func() { close(over) })
	for deadline := time.After(30 * time.Second); ; {
		select {
		case f := <-loop:
			require.NoError(t, f())
		case <-over:
			return steps, v, account
		case <-deadline:
			t.Fatal("the stay does not end")
		}
	}
}

func never(int, int) *Failure { return nil }

func TestAUserRepeatsTheStepsOfItsCycle(t *testing.T) {
	t.Parallel()
	steps, v, account := stayed(t, StayOptions{Seats: 1, FirstNumber: 7, Steps: 2, Cycles: 2}, never)
	require.Equal(t, []string{"sign up 7", "0.0", "0.1", "1.0", "1.1"}, steps)
	require.EqualValues(t, 2, v.cycles.Load())
	require.EqualValues(t, 1, v.closed.Load())
	require.Equal(t, run.Users{}, account.Users())
	for _, f := range account.Report(run.Summary{}).Findings {
		if f.Title == "users" {
			require.Equal(t, "1 of 1 planned were present at most", f.Text)
		}
	}
}

func TestAStayWindsUpAtItsEnd(t *testing.T) {
	t.Parallel()
	o := StayOptions{Seats: 3, Steps: 1, Think: ThinkTime{0.01, 0.02}, End: time.Now().Add(300 * time.Millisecond)}
	steps, v, _ := stayed(t, o, never)
	require.Greater(t, v.cycles.Load(), int64(3))
	require.EqualValues(t, len(steps)-3, v.cycles.Load(), "no cycle is cut")
	require.EqualValues(t, 3, v.closed.Load())
	require.False(t, time.Now().Before(o.End), "the schedule ends it")
}

func TestAFailedCycleEndsTheStayOfAUserWithCountedCycles(t *testing.T) {
	t.Parallel()
	steps, v, _ := stayed(t, StayOptions{Seats: 1, Steps: 2, Cycles: 3}, func(step, _ int) *Failure {
		if step == 1 {
			return &Failure{ErrorKind: report.ErrorKind{Operation: platform.OpJoin, Name: platform.HTTPError, Status: 500}}
		}
		return nil
	})
	require.Equal(t, []string{"sign up 0", "0.0", "0.1"}, steps)
	require.Zero(t, v.cycles.Load())
}

func TestAUserWhoseSessionIsLostIsReplaced(t *testing.T) {
	t.Parallel()
	o := StayOptions{Seats: 1, Steps: 1, Think: ThinkTime{0.2, 0.2}, End: time.Now().Add(2 * time.Second)}
	lost := false
	steps, v, _ := stayed(t, o, func(int, int) *Failure {
		if lost {
			return nil
		}
		lost = true
		return &Failure{ErrorKind: report.ErrorKind{Operation: platform.OpRefresh, Name: platform.AuthError, Status: 401}}
	})
	require.Equal(t, []string{"sign up 0", "0.0", "sign up 0", "0.0"}, steps[:4])
	require.Len(t, slices.DeleteFunc(slices.Clone(steps), func(s string) bool { return s != "sign up 0" }), 2)
	require.EqualValues(t, 2, v.closed.Load(), "both close their connection, the first when it is replaced")
}
