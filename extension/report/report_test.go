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

	"github.com/verity-app/xk6-verity/extension/plain"
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
| target | https\://staging.example.com |
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

- ✗ **error** queue_join HTTPError 500 × 94, for example: it said &lt;oops&gt; \| done and more
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
	for want, r := range map[string]*Report{
		"# x: ✗ there were no thresholds, so nothing was judged\n": {Name: "x"},
		"# x: ✗ stopped by Ctrl-C after 12 s\n":                    {Name: "x", Ending: "stopped by Ctrl-C after 12 s", Thresholds: []Threshold{{Passed: true}}},
		"# x: ✗ stopped by Ctrl-C after 12 s; 1 of 2 thresholds crossed\n": {
			Name: "x", Ending: "stopped by Ctrl-C after 12 s", Thresholds: []Threshold{{Passed: true}, {}},
		},
	} {
		require.True(t, strings.HasPrefix(string(r.Markdown()), want), want)
	}
}

// Findings contain text from the service under test, which must not be active content in the report.
func TestNothingInAReportIsLive(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"[all passed](https://evil.example)": `\[all passed\](https\://evil.example)`,
		"![x](http://evil.example/x.png)":    `!\[x\](http\://evil.example/x.png)`,
		"see https://evil.example":           `see https\://evil.example`,
		"www.evil.example, WWW.evil.example": `www\.evil.example, WWW\.evil.example`,
		"me@evil.example":                    `me\@evil.example`,
		"<img src=x onerror=alert(1)>":       `&lt;img src=x onerror=alert(1)&gt;`,
		"&lt;b&gt;":                          `&amp;lt;b&amp;gt;`,
		"`code`":                             "\\`code\\`",
		"**bold** _thin_ ~~gone~~":           `\*\*bold\*\* \_thin\_ \~\~gone\~\~`,
		`\[not\](escaped)`:                   `\\\[not\\\](escaped)`,
		"queue_join p(95)<100":               `queue_join p(95)&lt;100`,
		"a | b\n| c |":                       `a \| b \| c \|`,
		"\x1b[31mred\u202e":                  `\\x1b\[31mred\\u202e`,
	} {
		r := &Report{Name: "x", Findings: []Finding{{"✗", "error", words}}}
		require.Contains(t, string(r.Markdown()), "\n- ✗ **error** "+want+"\n", words)
	}
	r := &Report{Name: "x", Findings: []Finding{{"✗", "error", "\x1b[31mred\u202e"}}, Warnings: []string{"two\nlines\x00"}}
	text, err := r.JUnit()
	require.NoError(t, err)
	require.Contains(t, string(text), "✗ error \\x1b[31mred\\u202e&#xA;! two lines\\x00")
	require.Equal(t, "`a'b\\|c`", code("a`b|c"))
}

// No character that begins active content is left unescaped, and no text is lost.
func FuzzEscape(f *testing.F) {
	for _, seed := range []string{"[a](b)", "`", "__a__", "a_b", "<a>", "&amp;", "http://a", "www.a", "\\", "a\\[b", "_"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, words string) {
		escaped := escape(words)
		var shown strings.Builder
		for i := 0; i < len(escaped); i++ {
			c := escaped[i]
			require.NotContains(t, "\n\r<>`*[]|~@", string(c))
			if c == '\\' {
				i++
				require.Less(t, i, len(escaped))
				c = escaped[i]
			} else {
				require.False(t, strings.HasPrefix(escaped[i:], "://"))
			}
			shown.WriteByte(c)
		}
		require.Equal(t, plain.Text(words), strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">").Replace(shown.String()))
	})
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	text, err := example().JUnit()
	require.NoError(t, err)
	var suites testSuites
	require.NoError(t, xml.Unmarshal(text, &suites))
	require.Equal(t, 4, suites.Tests)
	require.Equal(t, 1, suites.Failures)
	require.Zero(t, suites.Errors)
	require.Equal(t, "120.400", suites.Time)
	require.Len(t, suites.Suites, 1)
	suite := suites.Suites[0]
	require.Equal(t, "queue-dry", suite.Name)
	require.Equal(t, "2026-11-24T12:27:59", suite.Timestamp, "when it began")
	require.Equal(t, []property{
		{"target", "https://staging.example.com"}, {"scenario", "queue-concurrency"}, {"profile", "queue-dry"},
		{"plan", "1000 users, 50 a VU"},
	}, suite.Properties.Property)
	require.Equal(t, testCase{Class: "queue-concurrency", Name: "the run ends as planned", Time: "120.400"}, suite.Cases[0])
	require.Equal(t, testCase{Class: "queue-concurrency", Name: "http_req_duration p(95)<100", Time: "0", SystemOut: "p(95)=12.30 ms"}, suite.Cases[1])
	require.Equal(t, &problem{
		Message: "error_rate: rate<0.001 is not met", Type: "threshold", Text: "rate=0.0200",
	}, suite.Cases[2].Failure)
	require.Contains(t, suite.SystemOut, "it said <oops> | done and more\ncycles 2,300 finished\n! the queue depth is unknown\n")

	text, err = (&Report{Name: "x", Scenario: "x"}).JUnit()
	require.NoError(t, err)
	require.Contains(t, string(text), `<failure message="no threshold was judged"`)
}

// The attributes are those that the schema of Jenkins' xunit plugin asks for.
func TestJUnitOfARunThatWasStopped(t *testing.T) {
	t.Parallel()
	r := &Report{
		Name: "x", Scenario: "x", Target: "here", Ending: "stopped by Ctrl-C after 12 s", Took: 13 * time.Second,
		Ended: time.Date(2026, 11, 24, 12, 30, 0, 0, time.UTC), Thresholds: []Threshold{{Metric: "m", Condition: "count>0", Passed: true}},
	}
	text, err := r.JUnit()
	require.NoError(t, err)
	require.Equal(t, `<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="2" failures="0" errors="1" time="13.000">
  <testsuite name="x" tests="2" failures="0" errors="1" skipped="0" time="13.000" timestamp="2026-11-24T12:29:47">
    <properties>
      <property name="target" value="here"></property>
      <property name="scenario" value="x"></property>
    </properties>
    <testcase classname="x" name="the run ends as planned" time="13.000">
      <error message="stopped by Ctrl-C after 12 s" type="run"></error>
    </testcase>
    <testcase classname="x" name="m count&gt;0" time="0"></testcase>
    <system-out>✗ run stopped by Ctrl-C after 12 s&#xA;</system-out>
  </testsuite>
</testsuites>
`, string(text))
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "reports", "today")
	require.NoError(t, Prepare(dir))
	for range 2 {
		paths, err := example().Write(dir, nil)
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
	_, err = example().Write(dir, nil)
	require.NoError(t, err, "a folder that is not there is made")
	_, err = example().Write(filepath.Join(dir, "queue-dry.md"), nil)
	require.ErrorContains(t, err, "making the folder of the report: mkdir ")
}

func TestWriteKeepsToItsFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "reports")
	for _, name := range []string{"", ".", "..", "../x", "a/b", `a\b`, "/etc/x", "a\x00b"} {
		r := example()
		r.Name = name
		_, err := r.Write(dir, nil)
		require.EqualError(t, err, fmt.Sprintf("its files would be named after %q, which is no name of a file in %q: give a scenario and a "+
			`profile without / and \`, name, dir))
	}
	require.NoDirExists(t, dir)
}

// On Linux, /dev/full behaves like a file on a full disk.
func TestAFullDiskIsNamed(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	dir := t.TempDir()
	part := filepath.Join(dir, "queue-dry.md.part")
	require.NoError(t, os.Symlink("/dev/full", part))
	_, err := example().Write(dir, nil)
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
