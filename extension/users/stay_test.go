package users

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestUsersArriveSpread(t *testing.T) {
	t.Parallel()
	s := &Stay{StayOptions: StayOptions{Seats: 10, ArriveWithin: 5}}
	for seat := range 10 {
		for range 50 {
			arrival := s.arrival(seat)
			require.GreaterOrEqual(t, arrival, time.Duration(seat)*500*time.Millisecond)
			require.LessOrEqual(t, arrival, time.Duration(seat+1)*500*time.Millisecond)
		}
	}
}

func TestBackOff(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		failures        int
		retryAfter      time.Duration
		atLeast, atMost time.Duration
	}{
		{1, 0, 500 * time.Millisecond, 1500 * time.Millisecond},
		{2, 0, time.Second, 3 * time.Second},
		{5, 0, 8 * time.Second, 24 * time.Second},
		{6, 0, 15 * time.Second, 45 * time.Second},
		{1000, 0, 15 * time.Second, 45 * time.Second},
		{1, 60 * time.Second, 60 * time.Second, 61 * time.Second},
		{1, time.Hour, 5 * time.Minute, 5*time.Minute + time.Second},
	} {
		for range 100 {
			wait := backOff(tc.failures, tc.retryAfter)
			require.GreaterOrEqual(t, wait, tc.atLeast)
			require.LessOrEqual(t, wait, tc.atMost)
		}
	}
}

// connected() runs on the event loop, where waiting for a server that hangs would hold up all users.
func TestConnectedDoesNotWaitForAConnectThatIsUnderWay(t *testing.T) {
	t.Parallel()
	user := &User{}
	user.connecting.Lock()
	defer user.connecting.Unlock()
	answered := make(chan bool, 1)
	go func() { answered <- user.Connected() }()
	select {
	case connected := <-answered:
		require.False(t, connected)
	case <-time.After(10 * time.Second):
		t.Fatal("it waits")
	}
}
