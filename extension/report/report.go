// Package report holds what a run found, and says it: a Record is filled while the run goes on, and becomes a Report, which is rendered for
// a terminal, as Markdown for people and as JUnit XML for CI systems.
package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/verdict"
)

// Report is what a run found, in words. It holds nothing secret.
type Report struct {
	Name       string // of the files; also of the test suite
	Scenario   string
	Profile    string // "" for none
	Target     string
	Plan       string // one sentence
	Runner     string // which of several runners this is; "" for the only one
	Ending     string // why the run did not end as planned; "" where it did
	Ended      time.Time
	Took       time.Duration
	Thresholds []Threshold
	Findings   []Finding
	Warnings   []string
	Tables     []Table
	// Verdict is what the evidence proves of the claims; nil where there is no evidence.
	Verdict *verdict.Verdict

	counted int      // thresholds, where they are not listed
	crossed []string // of those
}

// Threshold is one condition on a metric.
type Threshold struct {
	Metric, Condition string
	Passed            bool
	Measured          string // the values of the metric that say why, such as p(95)=12.3 ms
	Samples           int64  // out of how many samples; -1 where the metric does not count them
}

// Finding is one line of the summary.
type Finding struct {
	Mark  string // ✓, ✗, ! or nothing
	Title string
	Text  string
}

// Table is a part with rows, such as the readings of Prometheus.
type Table struct {
	Title   string
	Columns []string
	Rows    [][]string
	Notes   []string
	Shown   bool // printed already, so that the summary need not
}

// headline is the result in a few words. A run in which nothing was judged has not passed.
func (r *Report) headline() string {
	crossed, all := r.CrossedThresholds()
	mark := "✓"
	var parts []string
	if r.claims() {
		mark = statusMark(r.Verdict.Status)
		parts = append(parts, r.Verdict.Status.String())
	}
	if r.Ending != "" {
		mark = "✗"
		parts = append(parts, r.Ending)
	}
	switch {
	case all == 0 && !r.claims():
		mark = "✗"
		parts = append(parts, "there were no thresholds, so nothing was judged")
	case len(crossed) > 0:
		mark = "✗"
		parts = append(parts, fmt.Sprintf("%d of %d thresholds crossed", len(crossed), all))
	}
	if len(parts) == 0 {
		return "✓ passed"
	}
	return mark + " " + strings.Join(parts, "; ")
}

// Prepare makes the folder for reports and tries whether a file can be written there.
func Prepare(dir string) error {
	err := os.MkdirAll(dir, 0o755) // #nosec G301 -- for others to read
	if err == nil {
		err = tryWriting(dir)
	}
	if err == nil {
		return nil
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return fmt.Errorf("must be a folder that this process may write to, got %q: %w", dir, err)
}

// tried is about as long as a report: a full disk takes an empty file.
const tried = 16 << 10

func tryWriting(dir string) error {
	f, err := os.CreateTemp(dir, ".verity-report-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, tried))
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// Write writes NAME.md and NAME.xml into the folder, over those of an earlier run, and returns their paths. It makes the folder
// if it is not there. A name that would lead out of it is refused.
func (r *Report) Write(dir string) (paths []string, err error) {
	if r.Name == "" || r.Name == "." || r.Name == ".." || strings.ContainsAny(r.Name, `/\`+"\x00") {
		return nil, fmt.Errorf("its files would be named after %q, which is no name of a file in %q: give a scenario and a profile "+
			`without / and \`, r.Name, dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { // #nosec G301 -- for others to read
		return nil, fmt.Errorf("making the folder of the report: %w", err)
	}
	junit, err := r.JUnit()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { // #nosec G301 -- for others to read
		return nil, fmt.Errorf("writing the report: %w", err)
	}
	for _, file := range []struct {
		extension string
		text      []byte
	}{{".md", r.Markdown()}, {".xml", junit}} {
		path := filepath.Join(dir, r.Name+file.extension)
		if err := replace(path, file.text); err != nil {
			return paths, fmt.Errorf("writing the report: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// replace puts a file in its place whole: a reader meets the old one or the new one.
func replace(path string, text []byte) error {
	temporary := path + ".part"
	if err := os.WriteFile(temporary, text, 0o644); err != nil { // #nosec G306 -- for others to read; it holds no secret
		return errors.Join(err, os.Remove(temporary))
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return nil
}
