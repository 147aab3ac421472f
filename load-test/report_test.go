package loadtest_test

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// suites is what a CI system reads of a JUnit report.
type suites struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Suites   []struct {
		Name  string `xml:"name,attr"`
		Cases []struct {
			Name    string    `xml:"name,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct {
				Message string `xml:"message,attr"`
			} `xml:"error"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func readReport(t *testing.T, dir, name string) (markdown string, junit suites) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name+".md")) // #nosec G304 -- the test's own
	require.NoError(t, err)
	inXML, err := os.ReadFile(filepath.Join(dir, name+".xml")) // #nosec G304 -- likewise
	require.NoError(t, err)
	require.NoError(t, xml.Unmarshal(inXML, &junit))
	return string(text), junit
}

// With REPORT_DIR set a run writes its results as Markdown and as JUnit, and keeps k6's own summary.
func TestReports(t *testing.T) {
	t.Parallel()
	target := startNode(t, whole)
	dir := filepath.Join(t.TempDir(), "reports", "of-today")
	for _, scenario := range scenarios {
		run := k6Run(scenario, target, append(brief, "REPORT_DIR="+dir)...)
		r := run.run(t)
		r.requirePassed(t)
		require.Contains(t, r.stdout, "█ TOTAL RESULTS")
		name := scenario[:len(scenario)-len(".js")]
		markdown, junit := readReport(t, dir, name)
		require.Contains(t, r.stdout, "report       written to "+filepath.Join(dir, name+".md"))
		require.Contains(t, markdown, "# "+name+": ✓ passed\n")
		require.Contains(t, markdown, "| target | "+strings.Replace(target.url, "://", `\://`, 1)+" |\n| scenario | "+name+" |\n| plan | ")
		require.Regexp(t, "\n\\| ✓ \\| `http_reqs` \\| `count>0` \\| count=[1-9][0-9]* \\| [1-9][0-9]* \\|\n", markdown)
		require.Regexp(t, "\n\\| ✓ \\| `http_req_duration` \\| `p\\(95\\)<100` \\| p\\(95\\)=[0-9.]+ ms \\| [1-9][0-9]* \\|\n", markdown)
		require.Regexp(t, "\n\\| ✓ \\| `error_rate` \\| `rate<0.001` \\| rate=0 \\| [1-9][0-9]* \\|\n", markdown)
		require.Contains(t, markdown, "\n## Preflight\n")
		require.Regexp(t, "\n- (! )?\\*\\*runner\\*\\* timers late by ", markdown) // "!" where this machine fell behind
		require.Greater(t, junit.Tests, 8)
		require.Zero(t, junit.Failures)
		require.Equal(t, name, junit.Suites[0].Name)
		run.requireDiscreet(t, markdown)
	}
}

// A run that crosses thresholds says in its report which; its files are named after the scenario, for at this size it
// makes none of the claims of its profile.
func TestReportOfAFailedRun(t *testing.T) {
	t.Parallel()
	target := startNode(t, conditions{})
	dir := t.TempDir()
	r := k6Run(queueConcurrency, target, append(brief,
		"REPORT_DIR="+dir, "PROFILE=queue-dry", "STRIPE_WEBHOOK_SECRET=whsec_wrong", "SKIP_PREFLIGHT=1")...).run(t)
	require.Equal(t, exitcodes.ThresholdsHaveFailed, r.exit)
	markdown, junit := readReport(t, dir, "queue-concurrency")
	require.Contains(t, markdown, "# queue-concurrency: ✗ ")
	require.Regexp(t, `\| verdict \| no claim is made: TARGET\\?_VUS=\d+ asks less of the service than the profile queue-dry does \|`, markdown)
	require.Contains(t, markdown, "- ✗ **error** stripe_webhook HTTPError 500")
	require.Contains(t, markdown, "## Warnings\n\n- preflight")
	require.Positive(t, junit.Failures)
}

// Each of several runners writes files of its own.
func TestReportsOfSeveralRunners(t *testing.T) {
	t.Parallel()
	target := startNode(t, conditions{})
	dir := t.TempDir()
	k6Run(queueConcurrency, target, append(brief, "REPORT_DIR="+dir)...).
		flags("--execution-segment", "1/2:1", "--execution-segment-sequence", "0,1/2,1").run(t).requirePassed(t)
	markdown, _ := readReport(t, dir, "queue-concurrency-runner-2-of-2")
	require.Contains(t, markdown, "| runner | 2 of 2 |")
}

// One that is refused in the init context names its files likewise, and leaves those of the others alone.
func TestRefusalOfOneOfSeveralRunners(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	others, earlier := filepath.Join(dir, "queue-concurrency-runner-1-of-2.evidence.jsonl.gz"), filepath.Join(dir, "queue-concurrency-runner-2-of-2.evidence.jsonl.gz")
	for _, path := range []string{others, earlier} {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	}
	r := k6("run", "--execution-segment=1/2:1", "--execution-segment-sequence=0,1/2,1", queueConcurrency)
	r.env = []string{"BASE_URL=http://127.0.0.1:1", "STRIPE_WEBHOOK_SECRET=" + secret, "TARGET_VUS=many", "REPORT_DIR=" + dir}
	require.Equal(t, exitcodes.ScriptException, r.run(t).exit)
	markdown, _ := readReport(t, dir, "queue-concurrency-runner-2-of-2")
	require.Contains(t, markdown, "| runner | 2 of 2 |")
	require.Contains(t, markdown, "refused before the load: TARGET_VUS must be")
	require.NoFileExists(t, filepath.Join(dir, "queue-concurrency.md"))
	require.NoFileExists(t, earlier)
	require.FileExists(t, others)
}

func TestAReportThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	target := startNode(t, conditions{})
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	r := k6Run(queueConcurrency, target, "REPORT_DIR="+file).run(t)
	require.Equal(t, exitcodes.ScriptException, r.exit)
	r.requireOneError(t, `REPORT_DIR must be a folder that this process may write to, got \"`+file+`\": not a directory`)
	require.Zero(t, target.state(t).allRequests(), "before the first request")
}

// k6's own dashboard exports an HTML report of any scenario, as the README says.
func TestDashboardExport(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report.html")
	run := k6Run(queueConcurrency, startNode(t, conditions{}), append(brief,
		"K6_WEB_DASHBOARD=true", "K6_WEB_DASHBOARD_PORT=-1", "K6_WEB_DASHBOARD_EXPORT="+path, "K6_WEB_DASHBOARD_PERIOD=1s")...)
	run.run(t).requirePassed(t)
	html, err := os.ReadFile(path) // #nosec G304 -- the test's own
	require.NoError(t, err)
	require.Contains(t, string(html), "<html")
	page, data := readDashboard(t, string(html))
	require.Contains(t, data, `"http_req_duration"`)
	run.requireDiscreet(t, page)
	run.requireDiscreet(t, data)
}

// readDashboard returns the page and the data in it, which are compressed and in base64: any three letters are in that.
func readDashboard(t *testing.T, html string) (page, data string) {
	t.Helper()
	before, rest, found := strings.Cut(html, `<script id="data" type="application/json; charset=utf-8; gzip; base64">`)
	require.True(t, found)
	encoded, after, found := strings.Cut(rest, "</script>")
	require.True(t, found)
	compressed, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(strings.TrimSpace(encoded))))
	require.NoError(t, err)
	text, err := io.ReadAll(compressed)
	require.NoError(t, err)
	return before + after, string(text)
}
