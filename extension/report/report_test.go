package report

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func example() *Report {
	return &Report{
		Name: "queue-dry", Scenario: "queue-concurrency", Profile: "queue-dry", Target: "https://staging.example.com",
		Plan: "1000 users, 50 a VU", Ended: time.Date(2026, 11, 24, 12, 30, 0, 0, time.UTC), Took: 2*time.Minute + 400*time.Millisecond,
		Thresholds: []Threshold{
			{"http_req_duration", "p(95)<100", true, "p(95)=12.30 ms", 4711},
			{"error_rate", "rate<0.001", false, "rate=0.0200", 4700},
			{"active_sessions", "value>0", true, "value=3.00", -1},
		},
		Findings: []Finding{
			{"✗", "error", "queue_join HTTPError 500 × 94, for example: it said <oops> | done\nand more"},
			{"", "cycles", "2,300 finished"},
		},
		Warnings: []string{"the queue depth is unknown"},
		Tables: []Table{{
			Title: "Prometheus", Columns: []string{"reading", "start"}, Rows: [][]string{{"commits", "7"}}, Notes: []string{"read twice"},
		}},
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	require.Equal(t, `# queue-dry: ✗ 1 of 3 thresholds crossed

|  |  |
| --- | --- |
| target | https://staging.example.com |
| scenario | queue-concurrency |
| profile | queue-dry |
| plan | 1000 users, 50 a VU |
| ended | 2026-11-24T12:30:00Z |
| took | 2m0s |

## Thresholds

|  | metric | condition | measured | samples |
| --- | --- | --- | --- | --- |
| ✓ | `+"`http_req_duration` | `p(95)<100`"+` | p(95)=12.30 ms | 4711 |
| ✗ | `+"`error_rate` | `rate<0.001`"+` | rate=0.0200 | 4700 |
| ✓ | `+"`active_sessions` | `value>0`"+` | value=3.00 |  |

## Findings

- ✗ **error** queue_join HTTPError 500 × 94, for example: it said &lt;oops> \| done and more
- **cycles** 2,300 finished

## Warnings

- the queue depth is unknown

## Prometheus

| reading | start |
| --- | --- |
| commits | 7 |

read twice
`, string(example().Markdown()))
	passed := &Report{Name: "x", Thresholds: []Threshold{{Passed: true}}}
	require.True(t, strings.HasPrefix(string(passed.Markdown()), "# x: ✓ passed\n"))
	require.True(t, strings.HasPrefix(string((&Report{Name: "x"}).Markdown()), "# x: ✗ 0 of 0 thresholds crossed\n"), "nothing was judged")
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	text, err := example().JUnit()
	require.NoError(t, err)
	var suites testSuites
	require.NoError(t, xml.Unmarshal(text, &suites))
	require.Equal(t, 3, suites.Tests)
	require.Equal(t, 1, suites.Failures)
	require.Equal(t, "120.400", suites.Time)
	require.Len(t, suites.Suites, 1)
	suite := suites.Suites[0]
	require.Equal(t, "queue-dry", suite.Name)
	require.Equal(t, "2026-11-24T12:27:59", suite.Timestamp, "when it began")
	require.Equal(t, []property{
		{"target", "https://staging.example.com"}, {"scenario", "queue-concurrency"}, {"profile", "queue-dry"},
		{"plan", "1000 users, 50 a VU"},
	}, suite.Properties)
	require.Equal(t, testCase{Class: "queue-concurrency", Name: "http_req_duration p(95)<100", Time: "0"}, suite.Cases[0])
	require.Equal(t, &failure{
		Message: "error_rate: rate<0.001 is not met", Type: "threshold", Text: "rate=0.0200",
	}, suite.Cases[1].Failure)
	require.Contains(t, suite.SystemOut, "it said <oops> | done\nand more\ncycles 2,300 finished\n! the queue depth is unknown\n")

	text, err = (&Report{Name: "x", Scenario: "x"}).JUnit()
	require.NoError(t, err)
	require.Contains(t, string(text), `<failure message="no threshold was judged"`)
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "reports", "today")
	require.NoError(t, Prepare(dir))
	for range 2 {
		paths, err := example().Write(dir)
		require.NoError(t, err)
		require.Equal(t, []string{filepath.Join(dir, "queue-dry.md"), filepath.Join(dir, "queue-dry.xml")}, paths)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing else is left behind")
	markdown, err := os.ReadFile(filepath.Join(dir, "queue-dry.md")) // #nosec G304 -- the test's own
	require.NoError(t, err)
	require.Equal(t, example().Markdown(), markdown)

	require.NoError(t, os.RemoveAll(dir))
	_, err = example().Write(dir)
	require.NoError(t, err, "the folder is made where it is not there")
}

func TestWriteKeepsToItsFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "reports")
	for _, name := range []string{"", ".", "..", "../x", "a/b", `a\b`, "/etc/x", "a\x00b"} {
		r := example()
		r.Name = name
		_, err := r.Write(dir)
		require.EqualError(t, err, fmt.Sprintf("its files would be named after %q, which is no name of a file in %q: give a scenario and a "+
			`profile without / and \`, name, dir))
	}
	require.NoDirExists(t, dir)
}

// Linux has a file that is on a full disk.
func TestAFullDiskIsNamed(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	dir := t.TempDir()
	part := filepath.Join(dir, "queue-dry.md.part")
	require.NoError(t, os.Symlink("/dev/full", part))
	_, err := example().Write(dir)
	require.EqualError(t, err, "writing the report: write "+part+": no space left on device")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries, "half a file is left behind")
}

func TestAFolderThatCannotBeWrittenToIsRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.EqualError(t, Prepare(file), `must be a folder that this process may write to, got "`+file+`": not a directory`)
	require.EqualError(t, Prepare(filepath.Join(file, "below")),
		`must be a folder that this process may write to, got "`+file+`/below": not a directory`)
	require.EqualError(t, Prepare("/proc/version/reports"), `must be a folder that this process may write to, got "/proc/version/reports": not a directory`)
}
