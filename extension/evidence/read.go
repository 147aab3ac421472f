package evidence

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"time"
)

// Limits of a file, so that reading one cannot use all memory. A run of 24 hours stays below each.
const (
	mostBytes   = 1 << 30 // uncompressed
	longestLine = 8 << 20
	mostEntries = 8_000_000 // cells, levels and counts
)

// ReadFile reads the evidence in a file. Its errors begin with the path.
func ReadFile(path string) (*Run, error) {
	file, err := os.Open(path) // #nosec G304 -- the user names it
	if err != nil {
		return nil, err // it names the path
	}
	defer func() { _ = file.Close() }()
	run, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return run, nil
}

// read reads the evidence of a run. If it ends in the middle of a record, as that of a killed runner may, all complete records
// are used and Truncated is true.
func read(from io.Reader) (*Run, error) {
	gz, err := gzip.NewReader(from)
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("no evidence: the file is empty; the runner ended before its load began")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errNoRecord
	case err != nil:
		return nil, fmt.Errorf("no evidence: it does not begin as a gzip file does (%w); give a file that ends in %s", err, Extension)
	}
	return readText(gz)
}

// readText reads the decompressed records.
func readText(text io.Reader) (*Run, error) {
	limited := &io.LimitedReader{R: text, N: mostBytes + 1}
	r := reader{run: Run{Seconds: map[int64]*Second{}}}
	err := r.readLines(bufio.NewReaderSize(limited, 1<<16))
	switch {
	case limited.N == 0:
		return nil, fmt.Errorf("more than %d bytes, uncompressed; no run has as many", mostBytes)
	case err != nil:
		return nil, err
	case r.records == 0:
		return nil, errNoRecord
	}
	if len(r.run.Runners) == 1 {
		r.run.Runners[0].Ended = r.run.End != nil
	}
	return &r.run, nil
}

var errNoRecord = errors.New("no evidence: there is no whole record")

// reader builds a run from its records.
type reader struct {
	run     Run
	records int
	entries int
	names   map[string]bool
}

// readLines reads all lines, up to the end or to where the file is cut.
func (r *reader) readLines(lines *bufio.Reader) error {
	for {
		line, err := readLine(lines)
		if err != nil {
			return r.ending(line, err)
		}
		if err := r.add(line); err != nil {
			return fmt.Errorf("record %d: %w", r.records+1, err)
		}
		r.records++
	}
}

var errLongLine = fmt.Errorf("longer than %d bytes", longestLine)

// readLine returns the next line without its line feed. With an error it returns the part that could be read.
func readLine(lines *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := lines.ReadSlice('\n')
		if len(line)+len(part) > longestLine {
			return nil, errLongLine
		}
		if err == nil && line == nil {
			return part[:len(part)-1], nil // valid until the next read
		}
		line = append(line, part...)
		if err == nil {
			return line[:len(line)-1], nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// ending returns the error for the end of the records, or marks the run as truncated. A machine that lost its power may leave
// zeros after the last member.
func (r *reader) ending(rest []byte, err error) error {
	isCut := errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrHeader) && len(rest) == 0
	switch {
	case errors.Is(err, io.EOF) && len(rest) == 0:
		return nil
	case errors.Is(err, io.EOF), isCut:
		r.run.Truncated = true
		return nil
	case errors.Is(err, errLongLine):
		return fmt.Errorf("record %d: %w", r.records+1, err)
	}
	return fmt.Errorf("damaged after record %d: %w", r.records, err)
}

func (r *reader) add(line []byte) error {
	kind := struct {
		Record  string `json:"record"`
		Version int    `json:"version"`
	}{}
	// The recorder writes this field first, so that long lines need not be parsed twice.
	if bytes.HasPrefix(line, []byte(`{"record":"second"`)) {
		kind.Record = recordSecond
	} else if err := json.Unmarshal(line, &kind); err != nil {
		return r.notEvidence(err)
	}
	switch {
	case r.records == 0 && kind.Record != recordHeader:
		return fmt.Errorf("no evidence: the first record is %.20q and not a header", kind.Record)
	case r.records == 0 && kind.Version != Version:
		return fmt.Errorf("evidence of version %d; this k6 reads version %d: read it with the k6 that wrote it", kind.Version, Version)
	case r.records == 0:
		return r.addHeader(line)
	case r.run.End != nil:
		return fmt.Errorf("%.20q after the end", kind.Record)
	}
	switch kind.Record {
	case recordSecond:
		return r.addSecond(line)
	case recordEnd:
		return r.addEnd(line)
	case recordHeader:
		return errors.New("a second header: the file is several in one; give each of them on its own")
	}
	return fmt.Errorf("record %.20q is not known; there are header, second and end", kind.Record)
}

// notEvidence returns the error for a line that cannot be parsed.
func (r *reader) notEvidence(err error) error {
	if r.records == 0 {
		return fmt.Errorf("no evidence: %w", err)
	}
	return err
}

func unmarshalStrictly(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if rest := bytes.TrimSpace(text[decoder.InputOffset():]); len(rest) > 0 {
		return fmt.Errorf("%.20q after the record", rest)
	}
	return nil
}

func (r *reader) addHeader(line []byte) error {
	var record headerRecord
	if err := unmarshalStrictly(line, &record); err != nil {
		return err
	}
	if len(record.Runners) == 0 {
		return errors.New("a header without runners")
	}
	if record.PlannedUsers < 0 || record.PlannedRate < 0 {
		return fmt.Errorf("%d planned users, %g events a second; neither is less than 0", record.PlannedUsers, record.PlannedRate)
	}
	for _, stage := range record.Stages {
		if stage.Seconds < 0 || stage.Seconds > longest.Seconds() || stage.Target < 0 {
			return fmt.Errorf("a stage of %g s to %g; it lasts 0 to %g s, and neither is less than 0", stage.Seconds, stage.Target, longest.Seconds())
		}
	}
	for metric, limit := range record.Limits {
		if limit < 1 || limit > maxMicros {
			return fmt.Errorf("the limit of %.40s is %d µs; it is 1 to %d", metric, limit, maxMicros)
		}
	}
	for _, runner := range record.Runners {
		if runner.Index < 0 || runner.Count < 0 || runner.Index >= max(runner.Count, 1) {
			return fmt.Errorf("runner %d of %d", runner.Index, runner.Count)
		}
	}
	r.run.Header, r.run.Runners = record.Header, record.Runners
	r.names = map[string]bool{}
	return nil
}

func (r *reader) addEnd(line []byte) error {
	var record endRecord
	if err := unmarshalStrictly(line, &record); err != nil {
		return err
	}
	if record.Thresholds < len(record.Crossed) {
		return fmt.Errorf("%d of %d thresholds crossed", len(record.Crossed), record.Thresholds)
	}
	r.run.End = &record.End
	return nil
}

func (r *reader) addSecond(line []byte) error {
	var record secondRecord
	if err := unmarshalStrictly(line, &record); err != nil {
		return err
	}
	if err := r.check(&record); err != nil {
		return fmt.Errorf("second %d: %w", record.At, err)
	}
	second := r.run.Seconds[record.At]
	if second == nil {
		second = newSecond()
		r.run.Seconds[record.At] = second
	}
	for _, c := range record.Cells {
		second.cell(Series{c.Metric, c.Label}).add(&Cell{c.OK, c.Over, c.Failed, c.FailedAfter, c.Cut, c.CutOver})
	}
	maps.Copy(second.Levels, record.Levels)
	for name, n := range record.Counts {
		second.Counts[name] += n
	}
	return nil
}

// check refuses records that no recorder writes.
func (r *reader) check(record *secondRecord) error {
	if record.Record != recordSecond {
		return fmt.Errorf("record %.20q", record.Record)
	}
	began := r.run.Header.Began.Unix()
	const most = int64(longest / time.Second)
	if record.At < began-most || record.At > began+most {
		return fmt.Errorf("more than 31 days from when the run began, %s", r.run.Header.Began.Format(time.RFC3339))
	}
	r.entries += 1 + len(record.Cells) + len(record.Levels)
	if r.entries > mostEntries {
		return fmt.Errorf("more than %d cells, levels and counts; no run has as many", mostEntries)
	}
	for i := range record.Cells {
		c := &record.Cells[i]
		if c.Metric == "" {
			return errors.New("a series without a metric")
		}
		if c.Over < 0 || c.Over > c.OK.Count() || c.CutOver < 0 || c.CutOver > c.Cut.Count() {
			return fmt.Errorf("%s: %d of %d, and %d of %d cut, above the limit", c.Metric, c.Over, c.OK.Count(), c.CutOver, c.Cut.Count())
		}
		if err := r.checkCounts(c.Failed); err != nil {
			return fmt.Errorf("%s: %w", c.Metric, err)
		}
		if failed := Total(c.Failed); c.FailedAfter.Count() > failed {
			return fmt.Errorf("%s: %d times of %d failures", c.Metric, c.FailedAfter.Count(), failed)
		}
		r.names[string(c.Metric)+" "+c.Label] = true
	}
	for name := range record.Levels {
		r.names[name] = true
	}
	if err := r.checkCounts(record.Counts); err != nil {
		return err
	}
	if len(r.names) > 3*mostNames {
		return fmt.Errorf("more than %d names; no run has as many", 3*mostNames)
	}
	return nil
}

func (r *reader) checkCounts(counts map[string]int64) error {
	r.entries += len(counts)
	for name, n := range counts {
		if n < 1 || n > mostCounted {
			return fmt.Errorf("%.40q is %d; it is 1 to %d", name, n, mostCounted)
		}
		r.names[name] = true
	}
	return nil
}
