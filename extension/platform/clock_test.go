package platform_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/platform"
)

// clockServer answers GET /health with the Date of a clock, and counts how often it was asked.
func clockServer(t *testing.T, now func(ask int64) (time.Time, int)) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var asks atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		date, status := now(asks.Add(1))
		w.Header()["Date"] = nil // none at all
		if !date.IsZero() {
			w.Header().Set("Date", date.UTC().Format(http.TimeFormat))
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"status":"ok","timestamp":"2026-11-24T07:00:00.000Z","uptimeSeconds":12}`))
	}))
	t.Cleanup(server.Close)
	return server, &asks
}

func measure(ctx context.Context, t *testing.T, server *httptest.Server) platform.ClockReading {
	t.Helper()
	first, err := platform.CheckHealth(t.Context(), server.Client(), server.URL)
	require.NoError(t, err)
	return platform.MeasureClock(ctx, server.Client(), server.URL, first)
}

// However the clocks differ, the offset is right to within the error that is told, and the error is less than that of one Date.
func TestMeasureClock(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{0, 300 * time.Millisecond, -700 * time.Millisecond, 90*time.Second + 450*time.Millisecond, -4 * time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			server, asks := clockServer(t, func(int64) (time.Time, int) { return time.Now().Add(ahead), http.StatusOK })
			reading := measure(t.Context(), t, server)
			require.Positive(t, reading.Error)
			require.LessOrEqual(t, (reading.Offset + ahead).Abs(), reading.Error, "this machine less the service: %s", reading.Offset)
			require.Less(t, reading.Error, time.Second/2)
			require.LessOrEqual(t, asks.Load(), int64(13))
			require.Greater(t, asks.Load(), int64(1))
		})
	}
}

// The first answer can be older than the checks of a preflight take. That its second is over says little about when it changed.
func TestAClockOfWhichTheFirstAnswerIsOld(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ahead := now.Truncate(time.Second).Add(1950 * time.Millisecond).Sub(now) // the service's second is nearly over
	server, asks := clockServer(t, func(int64) (time.Time, int) { return time.Now().Add(ahead), http.StatusOK })
	first, err := platform.CheckHealth(t.Context(), server.Client(), server.URL)
	require.NoError(t, err)
	time.Sleep(350 * time.Millisecond)
	reading := platform.MeasureClock(t.Context(), server.Client(), server.URL, first)
	require.Greater(t, asks.Load(), int64(3), "it waits for the next change")
	require.LessOrEqual(t, (reading.Offset + ahead).Abs(), reading.Error)
}

func TestAClockThatCannotBeMeasured(t *testing.T) {
	t.Parallel()
	server, asks := clockServer(t, func(int64) (time.Time, int) { return time.Time{}, http.StatusOK })
	require.Equal(t, platform.ClockReading{}, measure(t.Context(), t, server), "no answer has a Date")
	require.EqualValues(t, 1, asks.Load())
}

// Where the service stops to answer, the Date that is there says it to half a second.
func TestAClockThatIsReadOnce(t *testing.T) {
	t.Parallel()
	server, _ := clockServer(t, func(ask int64) (time.Time, int) {
		if ask == 1 {
			return time.Now().Add(-time.Minute), http.StatusOK
		}
		return time.Now(), http.StatusServiceUnavailable
	})
	reading := measure(t.Context(), t, server)
	require.GreaterOrEqual(t, reading.Error, time.Second/2)
	require.LessOrEqual(t, (reading.Offset - time.Minute).Abs(), reading.Error)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	server, asks := clockServer(t, func(int64) (time.Time, int) { return time.Now(), http.StatusOK })
	require.Positive(t, measure(ctx, t, server).Error)
	require.LessOrEqual(t, asks.Load(), int64(2), "the run was stopped meanwhile")
}

// Behind one address there may be several machines, whose clocks differ.
func TestClocksOfSeveralMachines(t *testing.T) {
	t.Parallel()
	server, _ := clockServer(t, func(ask int64) (time.Time, int) {
		return time.Now().Add(time.Duration(ask%2) * 10 * time.Second), http.StatusOK
	})
	reading := measure(t.Context(), t, server)
	require.Greater(t, reading.Error, 4*time.Second, "the error covers both")
	require.Less(t, reading.Error, 6*time.Second)
	require.InDelta(t, -5, reading.Offset.Seconds(), 1, "in the middle")
}
