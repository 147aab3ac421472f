// Package report holds and renders the findings of a run: a Record is filled during the run and becomes a Report, which is rendered for a
// terminal, as Markdown, as an HTML page with charts, and as JUnit XML for CI systems.
package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// Report holds the findings of a run, in words. It holds no secret.
type Report struct {
	Name       string // name of the files and of the test suite
	Scenario   string
	Profile    string // "" for none
	Target     string
	Plan       string // one sentence
	Runner     string // which of several runners this is; "" for the only one
	Ending     string // why the run did not end as planned; "" if it did
	Ended      time.Time
	Took       time.Duration
	Thresholds []Threshold
	Findings   []Finding
	Warnings   []string
	Tables     []Table
	Checks     []Finding // of the preflight
	Latencies  []Latency
	Refused    bool // the run ended before its load, so that nothing was judged
	// Verdict is what the evidence proves of the claims; nil without evidence.
	Verdict *verdict.Verdict

	counted int      // number of thresholds, if they are not listed
	crossed []string // the crossed ones among them
}

// Threshold is one condition on a metric.
type Threshold struct {
	Metric, Condition string
	Passed            bool
	Measured          string // the value of the metric that decided, such as p(95)=12.3 ms
	Samples           int64  // the number of samples; -1 if the metric does not count them
}

// Finding is one line of the summary.
type Finding struct {
	Mark  string // ✓, ✗, ! or nothing
	Title string
	Text  string
}

// Table is a table of the report, such as the readings of Prometheus.
type Table struct {
	Title   string
	Columns []string
	Rows    [][]string
	Notes   []string
	Shown   bool // printed already; the summary leaves it out
}

// headline returns the result in a few words. A run in which nothing was judged has not passed.
func (r *Report) headline() string {
	if r.Refused {
		return "✗ " + r.Ending
	}
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

// Prepare creates the folder for reports and checks that a file can be written there.
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

// tried is about the size of a report: an empty file could be written even to a full disk.
const tried = 16 << 10

func tryWriting(dir string) error {
	f, err := os.CreateTemp(dir, ".verity-report-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, tried))
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// Remove removes the files of an earlier run of this name from a folder, so that they are not mistaken for files of a run that is refused.
func Remove(dir, name string) error {
	if err := checkName(dir, name); err != nil {
		return err
	}
	var errs []error
	for _, extension := range []string{".md", ".xml", ".html", evidence.Extension} {
		path := filepath.Join(dir, name+extension)
		if found, err := os.Lstat(path); err != nil || !found.Mode().IsRegular() {
			continue // missing, or not a file of a run
		}
		if err := os.Remove(path); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func checkName(dir, name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\`+"\x00") {
		return fmt.Errorf("its files would be named after %q, which is no name of a file in %q: give a scenario and a profile "+
			`without / and \`, name, dir)
	}
	return nil
}

// Write writes NAME.md, NAME.xml and, if there is evidence, NAME.html into the folder, replacing those of an earlier run, and returns their
// paths. It creates the folder if necessary. A name that leads out of the folder is refused.
func (r *Report) Write(dir string, run *evidence.Run) (paths []string, err error) {
	if err := checkName(dir, r.Name); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { // #nosec G301 -- for others to read
		return nil, fmt.Errorf("making the folder of the report: %w", err)
	}
	junit, err := r.JUnit()
	if err != nil {
		return nil, err
	}
	type file struct {
		extension string
		text      []byte
	}
	files := []file{{".md", r.Markdown()}, {".xml", junit}}
	if run != nil && r.Verdict != nil {
		page, err := html(run, *r.Verdict, r)
		if err != nil {
			return nil, err
		}
		files = append(files, file{".html", page})
	}
	for _, file := range files {
		path := filepath.Join(dir, r.Name+file.extension)
		if err := replace(path, file.text); err != nil {
			return paths, fmt.Errorf("writing the report: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// replace writes a file atomically: a concurrent reader gets the old file or the complete new one.
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

// AppendTo appends the Markdown to a file, such as the job summary of a CI system.
func (r *Report) AppendTo(path string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) // #nosec G302 G304 -- the user's CI names it and reads it
	if err != nil {
		return err
	}
	_, err = file.Write(append(r.Markdown(), '\n'))
	return errors.Join(err, file.Close())
}
