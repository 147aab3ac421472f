package evidence

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"
)

// intervals reads a log with HdrHistogram's own reader.
func intervals(t *testing.T, log string) []*hdrhistogram.Histogram {
	t.Helper()
	reader := hdrhistogram.NewHistogramLogReader(strings.NewReader(log))
	var all []*hdrhistogram.Histogram
	for {
		h, err := reader.NextIntervalHistogram()
		require.NoError(t, err)
		if h == nil {
			return all
		}
		all = append(all, h)
	}
}

func TestTheLogReadsBackWithHdrHistogramsReader(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	for i := range 1000 {
		r.Time(join, at(float64(i%3)), time.Duration(i+1)*time.Millisecond, OK, "")
	}
	r.Time(join, at(0), 100*time.Hour, OK, "")
	r.Time(join, at(1), time.Second, Failed, "TimeoutError")
	r.Time(match, at(1), time.Second, OK, "")
	run := r.Run()
	require.Equal(t, []Series{match, join}, run.Series())

	var log bytes.Buffer
	require.NoError(t, run.WriteLog(&log, join))
	require.True(t, strings.HasPrefix(log.String(), "#[Histogram log format version 1.3]\n#[StartTime: "), log.String()[:60])
	all := intervals(t, log.String())
	require.Len(t, all, 3)
	for i, h := range all {
		times := run.Seconds[at0+int64(i)].Cells[join].OK
		require.Equal(t, times.Count(), h.TotalCount())
		require.Equal(t, (at0+int64(i))*1000, h.StartTimeMs())
		require.Equal(t, (at0+int64(i)+1)*1000, h.EndTimeMs())
		require.Empty(t, h.Tag())
		for _, q := range []float64{0.5, 0.95, 0.99, 1} {
			require.InEpsilon(t, times.Quantile(q)*1000, h.ValueAtQuantile(100*q), 0.001)
		}
	}
}

func TestSeveralSeriesHaveTags(t *testing.T) {
	t.Parallel()
	r := newRecorder()
	odd := Series{MetricRequest, "a, b"}
	for _, series := range []Series{join, match, odd} {
		r.Time(series, at(0), time.Second, OK, "")
	}
	var log bytes.Buffer
	require.NoError(t, r.Run().WriteLog(&log, r.Run().Series()...))
	var tags []string
	for _, h := range intervals(t, log.String()) {
		require.EqualValues(t, 1, h.TotalCount())
		tags = append(tags, h.Tag())
	}
	require.Equal(t, []string{"match", "request{a__b}", "request{queue_join}"}, tags)
}
