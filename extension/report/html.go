package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

//go:embed assets/report.html.tmpl
var pageText string

//go:embed assets/report.css
var pageStyle string

//go:embed assets/report.js
var pageScript string

//go:embed assets/uplot-1.6.32/uPlot.iife.min.js
var plotScript string

//go:embed assets/uplot-1.6.32/uPlot.min.css
var plotStyle string

//go:embed assets/uplot-1.6.32/LICENSE
var plotLicense string

var pageTemplate = template.Must(template.New("report").Parse(pageText)) //nolint:gochecknoglobals // constant

// page is the data of the template.
type page struct {
	*Report
	Headline, Class  string
	Facts            [][2]string
	Claims           []ClaimRow
	Checks           []verdict.Fitness
	NoClaims         string
	Charts           []pageChart
	Window           int64    // seconds over which a percentile is computed
	Absent           []string // reasons why a chart is absent
	Data             plotData
	Latencies        []distribution
	Again            string
	Style, PlotStyle template.CSS
	Script, Plot     template.JS
	License          template.HTML
}

// pageChart is a chart with its table.
type pageChart struct {
	chart
	ID      int
	Columns []string
	Rows    [][]string
}

// plotData is the data that the script of the page draws.
type plotData struct {
	Times  numbers     `json:"times"`
	Step   int64       `json:"step"`
	Charts []chart     `json:"charts"`
	Steps  []planStep  `json:"steps"`
	Judged *[2]float64 `json:"judged"`
}

// planStep is the start of a stage of the plan, in seconds.
type planStep struct {
	At   float64 `json:"at"`
	Text string  `json:"text"`
}

// html renders the report as one self-contained page, with charts over the time of the run and tables of the same values.
func html(run *evidence.Run, judged verdict.Verdict, report *Report) ([]byte, error) {
	a := newAxis(run)
	charts := a.charts()
	p := page{
		Report: report, Headline: report.headline(), Class: report.class(), Facts: report.pageFacts(run),
		Checks: judged.Checks, NoClaims: judged.NoClaims, Charts: a.tables(charts), Absent: absent(charts), Window: max(a.step, leastWindow), Again: again(run),
		Data:  plotData{Times: a.times(), Step: a.step, Charts: charts, Steps: planSteps(run), Judged: judgedSpan(run, judged)},
		Style: template.CSS(pageStyle), PlotStyle: template.CSS(plotStyle), // #nosec G203 -- embedded
		Script: template.JS(pageScript), Plot: template.JS(plotScript), // #nosec G203 -- embedded
		License: template.HTML("<!--\nuPlot 1.6.32\n" + plotLicense + "\n-->"), // #nosec G203 -- embedded
	}
	for _, c := range judged.Claims {
		p.Claims = append(p.Claims, RowOf(c))
	}
	for _, l := range report.Latencies {
		p.Latencies = append(p.Latencies, distributionOf(l))
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return nil, fmt.Errorf("writing the report as HTML: %w", err)
	}
	return b.Bytes(), nil
}

// class returns the CSS class for the colour of the whole page.
func (r *Report) class() string {
	switch {
	case strings.HasPrefix(r.headline(), "✓"):
		return "pass"
	case strings.HasPrefix(r.headline(), "?"):
		return "open"
	default:
		return "fail"
	}
}

func statusClass(s verdict.Status) string {
	return map[verdict.Status]string{verdict.Pass: "pass", verdict.Fail: "fail"}[s] + map[bool]string{true: "open"}[s != verdict.Pass && s != verdict.Fail]
}

// interval formats the bounds of the value measured for a claim, such as 38 to 41 ms.
func interval(c verdict.Result) string {
	low, high := number(float64(c.Low), c.Unit), number(float64(c.High), c.Unit)
	switch {
	case low == "" && high == "":
		return "not reached"
	case c.Claim.Kind == verdict.KindTokens:
		return low + " wrong"
	case low == high:
		return low
	case high == "":
		return low + " or more"
	case low == "":
		return "at most " + high
	}
	value, unit, _ := strings.Cut(low, " ")
	if !strings.HasSuffix(high, " "+unit) {
		value = low
	}
	return value + " to " + high
}

func (r *Report) pageFacts(run *evidence.Run) [][2]string {
	facts := [][2]string{
		{"Plan", r.Plan}, {"Target", r.Target}, {"Scenario", r.Scenario}, {"Profile", r.Profile}, {"Runner", r.Runner},
		{"Began", run.Header.Began.UTC().Format("2 January 2006, 15:04:05 UTC")}, {"Took", took(r.Took)},
		{"Judged part", r.judgedPart("15:04:05")}, {"Version", strings.TrimSpace("xk6-verity " + run.Header.Tool + ", k6 " + run.Header.K6)},
	}
	return slices.DeleteFunc(facts, func(fact [2]string) bool { return fact[1] == "" })
}

func took(d time.Duration) string {
	if d <= 0 {
		return "" // not known
	}
	return d.Round(time.Second).String()
}

// judgedSpan returns the start and the end of the judged part, in seconds after the run began; nil if there is none.
func judgedSpan(run *evidence.Run, judged verdict.Verdict) *[2]float64 {
	if judged.From.IsZero() {
		return nil
	}
	began := run.Header.Began.Unix()
	return &[2]float64{float64(judged.From.Unix() - began), float64(judged.To.Unix() + 1 - began)}
}

// planSteps returns the start of each stage of the plan, and the end of the plan.
func planSteps(run *evidence.Run) []planStep {
	steps := []planStep{}
	at, from := 0.0, run.Header.Start
	for _, stage := range run.Header.Stages {
		steps = append(steps, planStep{at, stageText(from, stage.Target)})
		at, from = at+stage.Seconds, stage.Target
	}
	if len(steps) > 0 {
		steps = append(steps, planStep{at, "end"})
	}
	return steps
}

func stageText(from, to float64) string {
	switch {
	case to > from:
		return "up to " + short(to)
	case to < from:
		return "down to " + short(to)
	default:
		return "hold " + short(to)
	}
}

// tableRows is the maximum number of rows in the table of a chart.
const tableRows = 24

// tables adds to each chart a table of fewer points, for readers without JavaScript.
func (a axis) tables(charts []chart) []pageChart {
	times := a.times()
	every := (a.points + tableRows - 1) / tableRows
	list := make([]pageChart, len(charts))
	for i, c := range charts {
		list[i] = pageChart{chart: c, ID: i, Columns: []string{"time"}}
		for _, l := range c.Lines {
			list[i].Columns = append(list[i].Columns, l.Name)
		}
		for at := 0; at < a.points; at += every {
			row := []string{(time.Duration(times[at]) * time.Second).String()}
			for _, l := range c.Lines {
				row = append(row, cell(l.Values[at]))
			}
			list[i].Rows = append(list[i].Rows, row)
		}
	}
	return list
}

// cell formats a value in the table of a chart.
func cell(value float64) string {
	if math.IsInf(value, 1) {
		return "failed" // a percentile among the failures
	}
	return number(value, "")
}

// harmless matches texts that need no quotes in a shell.
var harmless = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

func quoted(text string) string {
	if harmless.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// again returns the command that repeats the run, with … in place of the secret.
func again(run *evidence.Run) string {
	lines := []string{"BASE_URL=" + quoted(run.Header.Target), "STRIPE_WEBHOOK_SECRET=…"}
	variables := run.Header.Variables
	if len(variables) == 0 && run.Header.Profile != "" {
		variables = map[string]string{"PROFILE": run.Header.Profile}
	}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		lines = append(lines, name+"="+quoted(variables[name]))
	}
	script := run.Header.Scenario + ".js"
	if slices.Contains([]string{"queue-concurrency", "video-session-sustain", "token-purchase-spike"}, run.Header.Scenario) {
		script = "load-test/" + script
	}
	return strings.Join(append(lines, "REPORT_DIR=reports", "./k6 run "+quoted(script)), " \\\n  ")
}
