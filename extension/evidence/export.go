package evidence

import (
	"io"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Series returns all series that have OK times, in order.
func (run *Run) Series() []Series {
	found := map[Series]bool{}
	for _, second := range run.Seconds {
		for series, cell := range second.Cells {
			if cell.OK.Count() > 0 {
				found[series] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), compareSeries)
}

// String returns the name of a series, such as request{queue_join}.
func (s Series) String() string {
	if s.Label == "" {
		return string(s.Metric)
	}
	return Labelled(string(s.Metric), s.Label)
}

// notInTags matches the characters that a tag of the log cannot have.
var notInTags = regexp.MustCompile(`[,\s]`)

// WriteLog writes the OK times of these series as an interval log of HdrHistogram: an interval for each second and series, in
// ns, as plotters expect. If there are several series, their names are the tags of the intervals.
func (run *Run) WriteLog(w io.Writer, series ...Series) error {
	log := hdrhistogram.NewHistogramLogWriter(w)
	order := slices.Sorted(maps.Keys(run.Seconds))
	if err := log.OutputLogFormatVersion(); err != nil {
		return err
	}
	if len(order) > 0 {
		if err := log.OutputStartTime(order[0] * 1000); err != nil {
			return err
		}
	}
	if err := log.OutputLegend(); err != nil {
		return err
	}
	interval := newInterval()
	for _, at := range order {
		for _, s := range series {
			cell := run.Seconds[at].Cells[s]
			if cell == nil || cell.OK == nil {
				continue
			}
			interval.Reset()
			fill(interval, at, cell.OK)
			if len(series) > 1 {
				interval.SetTag(notInTags.ReplaceAllString(s.String(), "_"))
			}
			if err := log.OutputIntervalHistogram(interval); err != nil {
				return err
			}
		}
	}
	return nil
}

// newInterval returns a histogram with 3 significant digits, so that its buckets add little to the error of 0.8 % of the times.
func newInterval() *hdrhistogram.Histogram {
	const most = 2 * maxMicros * int64(time.Microsecond)
	return hdrhistogram.New(int64(time.Microsecond), most, 3)
}

func fill(interval *hdrhistogram.Histogram, at int64, times *Histogram) {
	times.Each(func(micros, n int64) {
		_ = interval.RecordValues(micros*int64(time.Microsecond), n) // fails only out of range
	})
	interval.SetStartTimeMs(at * 1000)
	interval.SetEndTimeMs((at + 1) * 1000)
}
