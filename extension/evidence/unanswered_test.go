package evidence

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRequestsThatAreLongUnansweredAreCounted(t *testing.T) {
	t.Parallel()
	u := NewUnanswered()
	after := func(seconds float64) time.Time { return u.start.Add(time.Duration(seconds * float64(time.Second))) }
	require.Zero(t, u.Long(after(0)))
	u.Begin(after(0.5))
	u.Begin(after(0.7))
	u.Begin(after(3))
	require.Zero(t, u.Long(after(9.9)))
	require.Equal(t, 2, u.Long(after(10.9)))
	u.End(after(0.7))
	require.Equal(t, 1, u.Long(after(12.9)))
	require.Equal(t, 2, u.Long(after(13)))
	u.End(after(0.5))
	u.End(after(3))
	require.Zero(t, u.Long(after(100)))

	u.Begin(after(5000))
	require.Zero(t, u.Long(after(5009)), "the seconds go round")
	require.Equal(t, 1, u.Long(after(5010)))
	require.Equal(t, 1, u.Long(after(5000+waitedFor-1)))
}

func BenchmarkUnanswered(b *testing.B) {
	u := NewUnanswered()
	now := time.Now()
	for b.Loop() {
		u.Begin(now)
		u.End(now)
	}
}
