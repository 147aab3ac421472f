package evidence

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// The records of a file, see docs/evidence.md. The first is the header, the last is the end.
const (
	recordHeader = "header"
	recordSecond = "second"
	recordEnd    = "end"
)

type headerRecord struct {
	Record string `json:"record"`
	Header
	Runners []Runner `json:"runners"`
}

// secondRecord is an addition to a second. Its levels replace earlier ones.
type secondRecord struct {
	Record string             `json:"record"`
	At     int64              `json:"at"`
	Cells  []cellRecord       `json:"cells,omitempty"`
	Levels map[string]float64 `json:"levels,omitempty"`
	Counts map[string]int64   `json:"counts,omitempty"`
}

type cellRecord struct {
	Metric      Metric           `json:"metric"`
	Label       string           `json:"label,omitempty"`
	OK          *Histogram       `json:"ok,omitempty"`
	Over        int64            `json:"over,omitempty"`
	Failed      map[string]int64 `json:"failed,omitempty"`
	FailedAfter *Histogram       `json:"failedAfter,omitempty"`
	Cut         *Histogram       `json:"cut,omitempty"`
	CutOver     int64            `json:"cutOver,omitempty"`
}

type endRecord struct {
	Record string `json:"record"`
	End
}

func newHeaderRecord(header Header, runners []Runner) headerRecord {
	return headerRecord{recordHeader, header, runners}
}

func newSecondRecord(at int64, s *Second) secondRecord {
	record := secondRecord{Record: recordSecond, At: at, Levels: s.Levels, Counts: s.Counts}
	for _, series := range slices.SortedFunc(maps.Keys(s.Cells), compareSeries) {
		c := s.Cells[series]
		record.Cells = append(record.Cells, cellRecord{series.Metric, series.Label, c.OK, c.Over, c.Failed, c.FailedAfter, c.Cut, c.CutOver})
	}
	return record
}

func compareSeries(a, b Series) int {
	return cmp.Or(cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Label, b.Label))
}

// newEncoder returns an encoder that does not escape < > &.
func newEncoder(w io.Writer) *json.Encoder {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder
}

// writeLines writes the records of a run.
func (run *Run) writeLines(w io.Writer) error {
	lines := newEncoder(w)
	if err := lines.Encode(newHeaderRecord(run.Header, run.Runners)); err != nil {
		return err
	}
	for _, at := range slices.Sorted(maps.Keys(run.Seconds)) {
		if err := lines.Encode(newSecondRecord(at, run.Seconds[at])); err != nil {
			return err
		}
	}
	if run.End == nil {
		return nil
	}
	return lines.Encode(endRecord{recordEnd, *run.End})
}

type runnerRecord struct {
	Index              int       `json:"index"`
	Count              int       `json:"count"`
	Segment            string    `json:"segment,omitempty"`
	ID                 string    `json:"id"`
	ClockOffsetSeconds float64   `json:"clockOffsetSeconds"`
	ClockErrorSeconds  float64   `json:"clockErrorSeconds,omitempty"`
	Began              time.Time `json:"began"`
	Ended              bool      `json:"ended,omitempty"`
}

// MarshalJSON returns the runner with ClockOffset and ClockError in seconds.
func (r Runner) MarshalJSON() ([]byte, error) {
	return json.Marshal(runnerRecord{
		r.Index, r.Count, r.Segment, r.ID, r.ClockOffset.Seconds(), r.ClockError.Seconds(), r.Began, r.Ended,
	})
}

// UnmarshalJSON parses the form of MarshalJSON.
func (r *Runner) UnmarshalJSON(text []byte) error {
	var record runnerRecord
	if err := unmarshalStrictly(text, &record); err != nil {
		return err
	}
	offset, err := durationOf("clockOffsetSeconds", record.ClockOffsetSeconds)
	if err != nil {
		return err
	}
	uncertainty, err := durationOf("clockErrorSeconds", record.ClockErrorSeconds)
	if err == nil && uncertainty < 0 {
		err = fmt.Errorf("clockErrorSeconds is %g; it is not less than 0", record.ClockErrorSeconds)
	}
	*r = Runner{record.Index, record.Count, record.Segment, record.ID, offset, uncertainty, record.Began, record.Ended}
	return err
}

type waitingRecord struct {
	What           string  `json:"what"`
	Users          int     `json:"users"`
	LongestSeconds float64 `json:"longestSeconds"`
}

// MarshalJSON returns Waiting with Longest in seconds.
func (w Waiting) MarshalJSON() ([]byte, error) {
	return json.Marshal(waitingRecord{w.What, w.Users, w.Longest.Seconds()})
}

// UnmarshalJSON parses the form of MarshalJSON.
func (w *Waiting) UnmarshalJSON(text []byte) error {
	var record waitingRecord
	if err := unmarshalStrictly(text, &record); err != nil {
		return err
	}
	waited, err := durationOf("longestSeconds", record.LongestSeconds)
	*w = Waiting{record.What, record.Users, waited}
	return err
}

// durationOf converts seconds to a duration, to the nearest nanosecond. It refuses more than 1e9 seconds, 30 years.
func durationOf(name string, seconds float64) (time.Duration, error) {
	if math.Abs(seconds) > 1e9 {
		return 0, fmt.Errorf("%s is %g; it is between -1e9 and 1e9", name, seconds)
	}
	return time.Duration(math.Round(seconds * float64(time.Second))), nil
}

// MarshalJSON returns pairs of the highest time of a bucket in µs and its count, in order.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	text := []byte{'['}
	h.Each(func(micros, n int64) {
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(append(text, '['), micros, 10)
		text = strconv.AppendInt(append(text, ','), n, 10)
		text = append(text, ']')
	})
	return append(text, ']'), nil
}

// mostCounted is the highest count of a record, so that the sum over the most records of a file stays within 64 bits.
const mostCounted = 10_000_000_000

// UnmarshalJSON parses the form of MarshalJSON.
func (h *Histogram) UnmarshalJSON(text []byte) error {
	*h = Histogram{}
	previous := -1
	inner, isList := bytes.CutPrefix(text, []byte("["))
	rest, isClosed := bytes.CutSuffix(inner, []byte("]"))
	for len(rest) > 0 || !isList || !isClosed {
		micros, n, after, isPair := nextPair(rest)
		rest = after
		index := int(bucketOf(micros))
		switch {
		case !isPair || !isList || !isClosed:
			return fmt.Errorf("%.40q where times and counts belong, such as [[1203,2],[1211,1]]", text)
		case micros > highestOf(bucketCount-1):
			return fmt.Errorf("a time of %d µs; a time is at most 24 hours", micros)
		case n < 1 || n > mostCounted:
			return fmt.Errorf("%d times of %d µs; there are 1 to %d", n, micros, mostCounted)
		case index <= previous:
			return fmt.Errorf("times out of order: one of %d µs after one of %d µs", micros, highestOf(uint16(previous))) // #nosec G115 -- an index
		}
		h.packed = appendBucket(h.packed, index-max(previous, 0), n)
		h.count += n
		previous = index
	}
	return nil
}

// nextPair parses a pair, such as [1203,2], and the comma after it.
func nextPair(text []byte) (micros, n int64, rest []byte, isPair bool) {
	if len(text) == 0 || text[0] != '[' {
		return 0, 0, nil, false
	}
	micros, rest = digits(text[1:])
	if len(rest) == 0 || rest[0] != ',' {
		return 0, 0, nil, false
	}
	n, rest = digits(rest[1:])
	if len(rest) == 0 || rest[0] != ']' {
		return 0, 0, nil, false
	}
	rest = rest[1:]
	if len(rest) > 1 && rest[0] == ',' {
		rest = rest[1:]
	}
	return micros, n, rest, true
}

// digits parses a whole number of at most 15 digits. The rest is nil if there is no number, and begins with a digit if the
// number is longer.
func digits(text []byte) (int64, []byte) {
	n, i := int64(0), 0
	for ; i < len(text) && i < 15 && '0' <= text[i] && text[i] <= '9'; i++ {
		n = 10*n + int64(text[i]-'0')
	}
	if i == 0 {
		return 0, nil
	}
	return n, text[i:]
}
