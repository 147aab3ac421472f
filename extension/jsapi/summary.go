package jsapi

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"

	"github.com/verity-app/xk6-verity/extension/report"
)

// print is the function print of the module.
func (m *Module) print(line string) {
	if err := m.root.write(line + "\n"); err != nil {
		common.Throw(m.vu.Runtime(), fmt.Errorf("writing a line for the reader: %w", err))
	}
}

// printSummary is the function printSummary of the module.
func (m *Module) printSummary(options sobek.Value) {
	var o summaryOptions
	r := reader{m, "printSummary"}
	r.read(options, map[string]func(string, sobek.Value){
		"scenario":  r.text(&o.scenario),
		"profile":   r.text(&o.profile),
		"target":    r.text(&o.target),
		"reportDir": r.text(&o.reportDir),
		"data":      r.json(&o.data),
	})
	if err := m.root.write(m.root.summarize(o)); err != nil {
		common.Throw(m.vu.Runtime(), fmt.Errorf("writing the summary: %w", err))
	}
}

// summaryOptions are those of printSummary.
type summaryOptions struct {
	scenario, profile, target string
	reportDir                 string // "": no report
	data                      summaryData
}

// summarize returns the summary for the terminal, and writes that in files.
func (r *RootModule) summarize(o summaryOptions) string {
	findings := r.endFindings(o.data)
	text := summaryText(o.scenario, o.target, o.data, r, findings)
	if o.reportDir == "" {
		return text
	}
	paths, err := r.reportOf(o, findings).Write(o.reportDir)
	if err != nil {
		return text + summaryLine(report.Finding{Mark: "!", Title: "report", Text: err.Error()})
	}
	return text + summaryLine(report.Finding{Title: "report", Text: "written to " + strings.Join(paths, " and ")})
}

func (r reader) json(into any) func(string, sobek.Value) {
	return func(name string, value sobek.Value) {
		if err := json.Unmarshal(r.m.stringify(value), into); err != nil {
			r.m.throw("%s of %s is not what k6 passes to handleSummary: %s", name, r.what, err)
		}
	}
}

// stringify is JSON.stringify, which keeps lone surrogates and drops what JSON cannot say, as the wire does.
func (m *Module) stringify(value sobek.Value) []byte {
	rt := m.vu.Runtime()
	text, err := m.builtins.stringify(rt)(sobek.Undefined(), value)
	if err != nil {
		common.Throw(rt, err)
	}
	if sobek.IsUndefined(text) {
		return nil
	}
	return []byte(text.String())
}

// summaryData is the part of what k6 passes to handleSummary that the summary needs.
type summaryData struct {
	State struct {
		TestRunDurationMs float64 `json:"testRunDurationMs"`
	} `json:"state"`
	Metrics map[string]metricData `json:"metrics"`
}

type metricData struct {
	Type       string             `json:"type"`
	Contains   string             `json:"contains"`
	Values     map[string]float64 `json:"values"`
	Thresholds map[string]struct {
		OK bool `json:"ok"`
	} `json:"thresholds"`
}

func (d summaryData) value(metric, name string) float64 { return d.Metrics[metric].Values[name] }

// crossed lists the thresholds that failed, and counts all.
func (d summaryData) crossed() (crossed []string, all int) {
	for _, metric := range sortedKeys(d.Metrics) {
		thresholds := d.Metrics[metric].Thresholds
		for _, threshold := range sortedKeys(thresholds) {
			all++
			if !thresholds[threshold].OK {
				crossed = append(crossed, metric+" "+threshold)
			}
		}
	}
	return crossed, all
}

// endFindings are what the run found, beside thresholds and warnings.
func (r *RootModule) endFindings(data summaryData) []report.Finding {
	var findings []report.Finding
	line := func(mark, title, format string, args ...any) {
		findings = append(findings, report.Finding{Mark: mark, Title: title, Text: fmt.Sprintf(format, args...)})
	}
	writeOperations(line, data)
	writeFindings(line, &r.findings)
	writeSessions(line, r)
	r.unstarted.write(line)
	r.depth.write(line)
	r.prometheus.write(line)
	writeRunner(line, r.runner.Usage(), data)
	return findings
}

func summaryLine(f report.Finding) string {
	return fmt.Sprintf("    %-1s %-12s %s\n", f.Mark, f.Title, f.Text)
}

// summaryText is the module's own part of the end-of-run summary: what k6's does not say.
func summaryText(scenario, target string, data summaryData, root *RootModule, findings []report.Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n\n  █ VERITY %s on %s\n\n", scenario, target)
	for _, finding := range findings {
		b.WriteString(summaryLine(finding))
	}
	crossed, all := data.crossed()
	verdict := report.Finding{Mark: "✓", Title: "thresholds", Text: fmt.Sprintf("all %d passed", all)}
	if len(crossed) > 0 {
		verdict.Mark, verdict.Text = "✗", fmt.Sprintf("%d of %d crossed: %s", len(crossed), all, strings.Join(crossed, "; "))
	}
	b.WriteString(summaryLine(verdict))
	for _, warning := range root.reportWarnings() {
		b.WriteString(summaryLine(report.Finding{Mark: "!", Title: "warning", Text: warning}))
	}
	for _, t := range root.reportTables() {
		if !t.shown {
			b.WriteString(t.text())
		}
	}
	return b.String()
}

type lineWriter func(mark, title, format string, args ...any)

func writeOperations(line lineWriter, data summaryData) {
	operations := int(data.value("operations", "count"))
	if operations == 0 {
		line("✗", "operations", "none: nothing was measured, so this run says nothing about the service")
		return
	}
	errorRate := data.value("error_rate", "rate")
	mark := "✓"
	if errorRate > 0 {
		mark = "✗"
	}
	line(mark, "operations", "%s, of which %.2f %% did not do what the scenario wanted", thousands(operations), 100*errorRate)
	if cycles := int(data.value("cycles", "count")); cycles > 0 {
		line(" ", "cycles", "%s finished", thousands(cycles))
	}
}

func writeFindings(line lineWriter, f *findings) {
	throttled, lost, errs, undone := f.snapshot()
	if len(throttled) > 0 {
		line("✗", "throttled", "%s answers were 429: %s. Their latency is not the service's; have the rate limit lifted "+
			"for this runner and run again", thousands(total(throttled)), list(throttled))
	}
	for _, e := range errs {
		line("✗", "error", "%s %s%s × %s, for example: %s", e.operation, e.name, status(e.status), thousands(e.count), e.example)
	}
	if len(lost) > 0 {
		line("!", "tokens lost", "%s refunds did not come: %s. This is a finding about the service, kept out of error_rate",
			thousands(total(lost)), list(lost))
	}
	if undone > 0 {
		line("!", "left behind", "%s users may still be queued: they could not leave at the end", thousands(undone))
	}
}

func status(code int) string {
	if code == 0 {
		return ""
	}
	return " " + strconv.Itoa(code)
}

func total(counts []count) int {
	sum := 0
	for _, c := range counts {
		sum += c.n
	}
	return sum
}

func list(counts []count) string {
	parts := make([]string, len(counts))
	for i, c := range counts {
		parts[i] = c.name + " " + thousands(c.n)
	}
	return strings.Join(parts, ", ")
}

// thousands writes 12345 as 12,345.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
