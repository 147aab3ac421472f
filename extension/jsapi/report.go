package jsapi

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib"

	"github.com/verity-app/xk6-verity/extension/report"
)

// prepareReports is the function prepareReports of the module.
func (m *Module) prepareReports(dir string) {
	if err := report.Prepare(dir); err != nil {
		common.Throw(m.vu.Runtime(), fmt.Errorf("the folder for reports %w", err))
	}
}

// notePlan is the function notePlan of the module.
func (m *Module) notePlan(plan string, options sobek.Value) {
	users := 0
	r := reader{m, "notePlan"}
	r.read(options, map[string]func(string, sobek.Value){"users": r.whole(&users, 1, maxUsers*maxUsersPerVU)})
	if users > 0 {
		m.root.presence.plan(users)
	}
	m.root.mu.Lock()
	defer m.root.mu.Unlock()
	m.root.plan = plan
}

// noteRunner keeps which of several runners this is, from 1, for the name of its reports.
func (r *RootModule) noteRunner(options lib.Options) {
	segment, sequence := options.ExecutionSegment, options.ExecutionSegmentSequence
	if segment == nil || sequence == nil {
		return
	}
	index, err := indexOf(*sequence, segment)
	if err != nil {
		return // a run with such a segment is refused elsewhere
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runnerName = fmt.Sprintf("%d of %d", index+1, len(*sequence))
}

// reportOf gathers what a run found.
func (r *RootModule) reportOf(o summaryOptions, findings []report.Finding) *report.Report {
	r.mu.Lock()
	plan, runner := r.plan, r.runnerName
	r.mu.Unlock()
	made := &report.Report{
		Name: o.scenario, Scenario: o.scenario, Profile: o.profile, Target: o.target, Plan: plan, Runner: runner, Ended: time.Now(),
		Took: time.Duration(o.data.State.TestRunDurationMs * float64(time.Millisecond)), Thresholds: o.data.thresholds(),
		Findings: findings, Warnings: r.reportWarnings(),
	}
	if o.profile != "" {
		made.Name = o.profile
	}
	if runner != "" {
		made.Name += "-runner-" + strings.ReplaceAll(runner, " ", "-")
	}
	for _, t := range r.reportTables() {
		made.Tables = append(made.Tables, report.Table{Title: t.title, Columns: t.columns, Rows: t.rows, Notes: t.notes})
	}
	return made
}

// thresholds are the conditions that k6 judged, by metric.
func (d summaryData) thresholds() []report.Threshold {
	var all []report.Threshold
	for _, name := range sortedKeys(d.Metrics) {
		metric := d.Metrics[name]
		for _, condition := range sortedKeys(metric.Thresholds) {
			all = append(all, report.Threshold{
				Metric: name, Condition: condition, Passed: metric.Thresholds[condition].OK, Measured: metric.measured(condition),
				Samples: metric.samples(),
			})
		}
	}
	return all
}

// samples is how many values a metric has; -1 where k6 does not say.
func (m metricData) samples() int64 {
	count, known := m.Values["count"]
	if m.Type == "rate" {
		count, known = m.Values["passes"]+m.Values["fails"], true
	}
	if !known {
		return -1
	}
	return int64(count)
}

// aggregation is what a condition such as p(95)<100 is about.
var aggregation = regexp.MustCompile(`^\s*([a-z]+(\([0-9.]+\))?)`)

// measured is the value that a condition was judged by; "" where the summary does not have it.
func (m metricData) measured(condition string) string {
	match := aggregation.FindStringSubmatch(condition)
	if match == nil {
		return ""
	}
	value, known := m.Values[match[1]]
	if !known {
		return ""
	}
	text := fmt.Sprintf("%s=%.4g", match[1], value)
	if value >= 1000 {
		text = fmt.Sprintf("%s=%.0f", match[1], value)
	}
	if m.Contains == "time" && match[1] != "count" {
		text += " ms"
	}
	return text
}
