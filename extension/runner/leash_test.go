package runner

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func none(chan<- os.Signal, ...os.Signal) {}

func TestALeashInterruptsWhenItsInputEnds(t *testing.T) {
	t.Parallel()
	var leash Leash
	input, holder := io.Pipe()
	exits := make(chan int, 1)
	go leash.hold(input, 50*time.Millisecond, func(code int) { exits <- code })
	stays, window, gone := make(chan os.Signal, 2), make(chan os.Signal, 1), make(chan os.Signal, 1)
	leash.Notify(none)(stays, os.Interrupt)
	leash.Notify(none)(window, os.Kill)
	leash.Notify(none)(gone, os.Interrupt)
	leash.Stop(func(chan<- os.Signal) {})(gone)

	_, err := holder.Write([]byte("the service is down" + strings.Repeat(".", mostReason)))
	require.NoError(t, err)
	require.Empty(t, stays, "what is written does not interrupt")
	require.Empty(t, leash.Reason())
	require.NoError(t, holder.Close())
	require.Equal(t, os.Interrupt, <-stays)
	require.Equal(t, "the service is down"+strings.Repeat(".", mostReason-len("the service is down")), leash.Reason())
	require.Equal(t, 105, <-exits, "a process that does not end in time exits")
	require.Empty(t, stays, "once")
	require.Empty(t, window)
	require.Empty(t, gone)

	late := make(chan os.Signal, 1)
	leash.Notify(none)(late, os.Interrupt)
	require.Equal(t, os.Interrupt, <-late, "a later channel gets it at once")
}

func TestALeashWhoseHolderHasEndedHasAReason(t *testing.T) {
	t.Parallel()
	var leash Leash
	stays := make(chan os.Signal, 1)
	leash.Notify(none)(stays, os.Interrupt)
	go leash.hold(strings.NewReader(""), time.Millisecond, func(int) {})
	<-stays
	require.Equal(t, "the process that started it has ended", leash.Reason())
}

func TestAProcessWithoutALeash(t *testing.T) {
	t.Setenv(LeashVariable, "")
	leash := TakeLeash()
	require.Nil(t, leash)
	require.Empty(t, leash.Reason())
}
