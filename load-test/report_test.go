package loadtest_test

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/evidence"
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

// requireSchema requires that JUnit reports are as the schema of Jenkins' xunit plugin says.
func requireSchema(t *testing.T, files ...string) {
	t.Helper()
	xmllint, err := exec.LookPath("xmllint")
	require.NoError(t, err, "it is in Debian's package libxml2-utils")
	schema := filepath.Join("..", "extension", "report", "testdata", "jenkins-junit.xsd")
	out, err := exec.CommandContext(t.Context(), xmllint, append([]string{"--noout", "--nonet", "--schema", schema}, files...)...).CombinedOutput() // #nosec G204 -- the test's own
	require.NoError(t, err, "%s", out)
}

// With REPORT_DIR a run writes its results as Markdown and as JUnit, and still prints k6's own summary.
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

// The report of a failed run names the crossed thresholds. Its files are named after the scenario, because at this size it
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

// A run that is refused, in the init context or in setup(), gives the reason and nothing else: in its summary, in reports that replace those of
// the run before, and in the job summary of GitHub Actions.
func TestReportsOfARefusedRun(t *testing.T) {
	t.Parallel()
	target := startNode(t, conditions{})
	for name, c := range map[string]struct {
		variables, flags []string
		exit             exitcodes.ExitCode
		report           string
		says             string
		inInit           bool
	}{
		"a variable":         {[]string{"TARGET_VUS=abc"}, nil, exitcodes.ScriptException, "queue-concurrency", `refused before the load: TARGET_VUS must be a whole number`, true},
		"of a profile":       {[]string{"PROFILE=queue-dry", "HOLD=soon"}, nil, exitcodes.ScriptException, "queue-dry", `refused before the load: HOLD must be `, true},
		"no length":          {[]string{"USE_SIMPLE=1"}, nil, exitcodes.ScriptException, "queue-concurrency", `stopped before the load: USE_SIMPLE=1 leaves `, false},
		"a profile and --vu": {[]string{"PROFILE=queue-dry"}, []string{"--vus", "2"}, exitcodes.ScriptException, "queue-dry", `stopped before the load: PROFILE=queue-dry and flags `, false},
		"the preflight":      {[]string{"STRIPE_WEBHOOK_SECRET=whsec_wrong"}, nil, exitcodes.ScriptException, "queue-concurrency", `stopped before the load: the preflight stops this run`, false},
		"no target":          {[]string{"BASE_URL=http://127.0.0.1:1"}, nil, exitcodes.ScriptAborted, "queue-concurrency", `stopped before the load: http://127.0.0.1:1 cannot be reached`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			shown := filepath.Join(dir, "step-summary")
			require.NoError(t, os.WriteFile(shown, []byte("of the step before\n"), 0o600))
			for _, extension := range []string{".md", ".xml", ".html", evidence.Extension} {
				require.NoError(t, os.WriteFile(filepath.Join(dir, c.report+extension), []byte("of a run that passed"), 0o600))
			}
			r := k6Run(queueConcurrency, target, append(c.variables, "REPORT_DIR="+dir, "GITHUB_STEP_SUMMARY="+shown)...).flags(c.flags...).run(t)
			require.Equal(t, c.exit, r.exit)
			require.NotContains(t, r.stdout, "threshold")
			require.NotContains(t, r.stdout, "TOTAL RESULTS")
			if !c.inInit {
				require.Regexp(t, `(?m)^    ✗ run +`+regexp.QuoteMeta(c.says), r.stdout)
			}
			markdown, junit := readReport(t, dir, c.report)
			require.Contains(t, strings.ReplaceAll(markdown, `\`, ""), "# "+c.report+": ✗ "+c.says)
			require.NotContains(t, markdown, "hreshold")
			require.Equal(t, 1, junit.Errors)
			require.Zero(t, junit.Failures-preflightFailures(junit))
			require.Contains(t, junit.Suites[0].Cases[0].Error.Message, c.says)
			requireSchema(t, filepath.Join(dir, c.report+".xml"))
			require.NoFileExists(t, filepath.Join(dir, c.report+".html"))
			require.NoFileExists(t, filepath.Join(dir, c.report+evidence.Extension))
			appended, err := os.ReadFile(shown) // #nosec G304 -- the test's own
			require.NoError(t, err)
			require.Equal(t, "of the step before\n"+markdown+"\n", string(appended))
		})
	}
}

// preflightFailures counts the checks of a preflight that failed.
func preflightFailures(junit suites) (n int) {
	for _, c := range junit.Suites[0].Cases {
		if strings.HasPrefix(c.Name, "preflight: ") && c.Failure != nil {
			n++
		}
	}
	return n
}

// The job summary of a refused run does not need a folder for reports.
func TestTheStepSummaryWithoutAFolder(t *testing.T) {
	t.Parallel()
	shown := filepath.Join(t.TempDir(), "step-summary")
	target := startNode(t, conditions{})
	k6Run(queueConcurrency, target, "TARGET_VUS=abc", "GITHUB_STEP_SUMMARY="+shown).run(t)
	k6Run(queueConcurrency, target, append(brief, "GITHUB_STEP_SUMMARY="+shown)...).run(t).requirePassed(t)
	text, err := os.ReadFile(shown) // #nosec G304 -- the test's own
	require.NoError(t, err)
	require.Regexp(t, `(?s)^# queue-concurrency: ✗ refused before the load: TARGET_VUS .*\n# queue-concurrency: ✓ passed\n\n\| latency \| n \| median \| p95 \| p99 \| max \|`,
		string(text))
	missing := k6Run(queueConcurrency, target, append(brief, "GITHUB_STEP_SUMMARY=/nowhere/summary")...).run(t)
	missing.requirePassed(t)
	require.Contains(t, missing.stdout, "! report       GITHUB_STEP_SUMMARY: open /nowhere/summary: no such file or directory")
}

// Reports made again from the evidence of a run equal the first ones; one call can make the reports of several runs.
func TestReportsAreMadeAgain(t *testing.T) {
	t.Parallel()
	dir, again := t.TempDir(), filepath.Join(t.TempDir(), "again")
	j := joins().with("HOLD=3s").command(t, startStandin(t, conditions{}), dir).run(t)
	file := filepath.Join(dir, "small"+evidence.Extension)
	require.Contains(t, j.stdout, "report       written to "+strings.Join([]string{
		filepath.Join(dir, "small.md"), filepath.Join(dir, "small.xml"), filepath.Join(dir, "small.html"), file,
	}, ", "))
	other := k6Run(tokenPurchaseSpike, startStandin(t, conditions{}), append(brief, "REPORT_DIR="+dir)...).run(t)
	require.Contains(t, other.stdout, "token-purchase-spike.html")
	r := k6("x", "verity", "report", "--out", again, file, filepath.Join(dir, "token-purchase-spike"+evidence.Extension)).run(t)
	require.Zero(t, r.exit)
	var written []string
	for _, name := range []string{"small", "token-purchase-spike"} {
		for _, extension := range []string{".md", ".xml", ".html"} {
			written = append(written, filepath.Join(again, name+extension))
			first, err := os.ReadFile(filepath.Join(dir, name+extension)) // #nosec G304 -- the test's own
			require.NoError(t, err)
			second, err := os.ReadFile(filepath.Join(again, name+extension)) // #nosec G304 -- likewise
			require.NoError(t, err)
			require.Equal(t, string(first), string(second), name+extension)
		}
	}
	require.Equal(t, strings.Join(written, "\n")+"\n", r.stdout)
	requireSchema(t, written[1], written[4])

	killed := filepath.Join(dir, "killed"+evidence.Extension)
	whole, err := os.ReadFile(file) // #nosec G304 -- the test's own
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(killed, whole[:len(whole)/2], 0o600)) // #nosec G703 -- the test's own
	require.Zero(t, k6("x", "verity", "report", "--out", again, killed).run(t).exit)
	markdown, _ := readReport(t, again, "small")
	require.Contains(t, markdown, "the evidence has no end: the runner was killed, or is still running")

	for says, files := range map[string][]string{
		" are both of small, and their reports would have the same names: give --out another folder for each": {file, killed},
		": no evidence: it does not begin as a gzip file does":                                                {filepath.Join(dir, "small.md")},
		"no such file": {filepath.Join(dir, "missing")},
		"requires at least 1 arg(s), only received 0": nil,
	} {
		r := k6(append([]string{"x", "verity", "report"}, files...)...).run(t)
		require.NotZero(t, r.exit)
		require.Contains(t, r.stderr, says)
	}
}

// Each of several runners writes its own files.
func TestReportsOfSeveralRunners(t *testing.T) {
	t.Parallel()
	target := startNode(t, conditions{})
	dir := t.TempDir()
	k6Run(queueConcurrency, target, append(brief, "REPORT_DIR="+dir)...).
		flags("--execution-segment", "1/2:1", "--execution-segment-sequence", "0,1/2,1").run(t).requirePassed(t)
	markdown, _ := readReport(t, dir, "queue-concurrency-runner-2-of-2")
	require.Contains(t, markdown, "| runner | 2 of 2 |")
}

// A runner that is refused in the init context uses the same file names, and leaves the files of the other runners alone.
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
