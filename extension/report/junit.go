package report

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/plain"
	"github.com/verity-app/xk6-verity/extension/preflight"
)

// The elements of a JUnit report that CI systems read, in the order of Jenkins' schema.
type (
	testSuites struct {
		XMLName  xml.Name    `xml:"testsuites"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Time     string      `xml:"time,attr"`
		Suites   []testSuite `xml:"testsuite"`
	}
	testSuite struct {
		Name       string      `xml:"name,attr"`
		Tests      int         `xml:"tests,attr"`
		Failures   int         `xml:"failures,attr"`
		Errors     int         `xml:"errors,attr"`
		Skipped    int         `xml:"skipped,attr"`
		Time       string      `xml:"time,attr"`
		Timestamp  string      `xml:"timestamp,attr"`
		Properties *properties `xml:"properties"`
		Cases      []testCase  `xml:"testcase"`
		SystemOut  string      `xml:"system-out,omitempty"`
	}
	// properties must have at least one element: the schema does not accept an empty list.
	properties struct {
		Property []property `xml:"property"`
	}
	property struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	testCase struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Time    string   `xml:"time,attr"`
		Error   *problem `xml:"error"`
		Failure *problem `xml:"failure"`
		// SystemOut holds what was measured.
		SystemOut string `xml:"system-out,omitempty"`
	}
	// problem is an error (the run itself went wrong) or a failure (a condition is not met).
	problem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit renders the report for CI systems: a test for how the run ended, and one for each check of the preflight, claim and threshold. A run
// in which nothing was judged fails.
func (r *Report) JUnit() ([]byte, error) {
	suite := testSuite{
		Name: r.Name, Time: seconds(r.Took), Timestamp: r.Ended.Add(-r.Took).UTC().Format("2006-01-02T15:04:05"), SystemOut: r.systemOut(),
	}
	for _, p := range []property{
		{"target", r.Target}, {"scenario", r.Scenario}, {"profile", r.Profile}, {"runner", r.Runner}, {"plan", r.Plan},
	} {
		if p.Value == "" {
			continue
		}
		if suite.Properties == nil {
			suite.Properties = &properties{}
		}
		suite.Properties.Property = append(suite.Properties.Property, p)
	}
	suite.Cases = r.testCases()
	for _, c := range suite.Cases {
		suite.Tests++
		if c.Failure != nil {
			suite.Failures++
		}
		if c.Error != nil {
			suite.Errors++
		}
	}
	text, err := xml.MarshalIndent(testSuites{
		Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors, Time: suite.Time, Suites: []testSuite{suite},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the report as JUnit: %w", err)
	}
	return append([]byte(xml.Header), append(text, '\n')...), nil
}

func (r *Report) testCases() []testCase {
	run := testCase{Class: r.Scenario, Name: "the run ends as planned", Time: seconds(r.Took)}
	if r.Ending != "" {
		run.Error = &problem{Message: r.Ending, Type: "run"}
	}
	cases := slices.Concat([]testCase{run}, r.checkCases(), r.claimCases())
	if r.Refused {
		return cases
	}
	for _, t := range r.Thresholds {
		c := testCase{Class: r.Scenario, Name: t.Metric + " " + t.Condition, Time: "0", SystemOut: t.Measured}
		if !t.Passed {
			c.Failure = &problem{Message: fmt.Sprintf("%s: %s is not met", t.Metric, t.Condition), Type: "threshold", Text: t.Measured}
		}
		cases = append(cases, c)
	}
	cases = append(cases, r.countedCases()...)
	if len(r.Thresholds) == 0 && r.counted == 0 && !r.claims() {
		cases = append(cases, testCase{Class: r.Scenario, Name: "thresholds", Time: "0", Failure: &problem{
			Message: "no threshold was judged", Type: "threshold",
		}})
	}
	return cases
}

// countedCases returns the tests for thresholds of which only the number and the crossed ones are known: one for each that was crossed, and
// one for all others.
func (r *Report) countedCases() (cases []testCase) {
	if len(r.Thresholds) > 0 || r.counted == 0 {
		return nil
	}
	for _, crossed := range r.crossed {
		cases = append(cases, testCase{Class: r.Scenario, Name: crossed, Time: "0", Failure: &problem{
			Message: crossed + " is not met", Type: "threshold",
		}})
	}
	if passed := r.counted - len(r.crossed); passed > 0 {
		cases = append(cases, testCase{Class: r.Scenario, Name: fmt.Sprintf("%d thresholds that were not crossed", passed), Time: "0"})
	}
	return cases
}

// checkCases returns a test for each check of the preflight.
func (r *Report) checkCases() (cases []testCase) {
	for _, check := range r.Checks {
		c := testCase{Class: r.Scenario, Name: "preflight: " + check.Title, Time: "0", SystemOut: plain.Text(check.Mark + " " + check.Text)}
		if check.Mark == preflight.Failed.Mark() {
			c.Failure = &problem{Message: plain.Text(check.Text), Type: "preflight"}
		}
		cases = append(cases, c)
	}
	return cases
}

// systemOut returns the ending, the findings and the warnings of the run, one a line.
func (r *Report) systemOut() string {
	var b strings.Builder
	for _, f := range r.ending() {
		fmt.Fprintln(&b, f.plain())
	}
	for _, f := range r.Findings {
		fmt.Fprintln(&b, plain.Text(f.plain()))
	}
	for _, warning := range r.Warnings {
		fmt.Fprintln(&b, plain.Text("! "+warning))
	}
	return b.String()
}

// plain returns a finding as one line.
func (f Finding) plain() string { return strings.TrimSpace(f.Mark + " " + f.Title + " " + f.Text) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
