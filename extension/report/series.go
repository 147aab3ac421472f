package report

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

const (
	// mostPoints is the maximum number of points in a line of a chart.
	mostPoints = 300
	// mostLines is the maximum number of lines in a chart; the smallest are left out or added up.
	mostLines = 8
	// mostServer is the maximum number of charts of readings of the service.
	mostServer = 12
	// leastWindow is the minimum number of seconds over which a percentile is computed: one second may have few samples.
	leastWindow = 5
)

// line is a line of a chart. A NaN is a gap.
type line struct {
	Name   string  `json:"name"`
	Style  string  `json:"style,omitempty"` // plan, limit, points or readings; "": a plain line
	Values numbers `json:"values"`
}

// chart is one chart over the time of the run.
type chart struct {
	Title string `json:"title"`
	Note  string `json:"note,omitempty"`
	Unit  string `json:"unit"`
	Lines []line `json:"lines"`
}

// numbers are encoded in JSON with few digits, NaN as null, and +Inf as 1e999, which JavaScript reads as Infinity.
type numbers []float64

func (n numbers) MarshalJSON() ([]byte, error) {
	text := []byte{'['}
	for i, value := range n {
		if i > 0 {
			text = append(text, ',')
		}
		switch {
		case math.IsInf(value, 1):
			text = append(text, "1e999"...)
		case math.IsNaN(value) || math.IsInf(value, -1):
			text = append(text, "null"...)
		default:
			text = append(text, short(value)...)
		}
	}
	return append(text, ']'), nil
}

// short formats a number with four digits.
func short(value float64) string {
	if math.Abs(value) >= 1000 {
		return strconv.FormatFloat(math.Round(value), 'f', -1, 64)
	}
	text := strconv.FormatFloat(value, 'g', 4, 64)
	if strings.ContainsRune(text, 'e') {
		text = strconv.FormatFloat(value, 'f', 6, 64)
	}
	return text
}

var _ json.Marshaler = numbers{}

// axis is the time axis of all charts: points of step seconds each, from the first second of a run.
type axis struct {
	run    *evidence.Run
	first  int64
	step   int64
	points int
}

func newAxis(run *evidence.Run) axis {
	first, last := run.Extent()
	switch began := run.Header.Began; {
	case len(run.Seconds) == 0:
		first, last = began.Unix(), began.Unix()
	case !began.IsZero():
		first, last = min(first, began.Unix()), max(last, began.Unix())
	}
	last = min(last, first+evidence.LongestRun)
	length := last - first + 1
	step := (length + mostPoints - 1) / mostPoints
	return axis{run: run, first: first, step: step, points: int((length + step - 1) / step)}
}

// times returns the times of the points, in seconds after the run began.
func (a axis) times() numbers {
	list := make(numbers, a.points)
	began := a.run.Header.Began.Unix()
	for i := range list {
		list[i] = float64(a.first + int64(i)*a.step - began)
	}
	return list
}

// each calls point for each point, with its seconds.
func (a axis) each(point func(i int, seconds []*evidence.Second)) { a.around(0, point) }

// around calls point for each point, with its seconds and `more` seconds before and after.
func (a axis) around(more int64, point func(i int, seconds []*evidence.Second)) {
	for i := range a.points {
		var seconds []*evidence.Second
		for at := a.first + int64(i)*a.step - more; at < a.first+int64(i+1)*a.step+more; at++ {
			if second := a.run.Seconds[at]; second != nil {
				seconds = append(seconds, second)
			}
		}
		point(i, seconds)
	}
}

// gaps returns a line of points without a value.
func (a axis) gaps() numbers {
	values := make(numbers, a.points)
	for i := range values {
		values[i] = math.NaN()
	}
	return values
}

// level returns the mean of a level's readings at each point, times a factor.
func (a axis) level(name string, factor float64) numbers {
	values := a.gaps()
	a.each(func(i int, seconds []*evidence.Second) {
		sum, n := 0.0, 0
		for _, second := range seconds {
			if value, isRead := second.Levels[name]; isRead {
				sum += value
				n++
			}
		}
		if n > 0 {
			values[i] = factor * sum / float64(n)
		}
	})
	return values
}

// rate returns the count per second at each point. Seconds without data count as 0.
func (a axis) rate(count func(second *evidence.Second) int64) numbers {
	values := make(numbers, a.points)
	a.each(func(i int, seconds []*evidence.Second) {
		sum := int64(0)
		for _, second := range seconds {
			sum += count(second)
		}
		values[i] = float64(sum) / float64(a.step)
	})
	return values
}

// quantile returns, at each point, the quantile of the times of the selected series, in ms. As in the claims, failures count as longer than
// any answer, and so do operations cut off by the end of the run after more than the limit: a quantile among these is infinite.
func (a axis) quantile(q float64, of func(evidence.Series) bool) numbers {
	values := a.gaps()
	a.around((leastWindow-min(a.step, leastWindow)+1)/2, func(i int, seconds []*evidence.Second) {
		var parts []*evidence.Histogram
		beyond := int64(0)
		for _, second := range seconds {
			for series, cell := range second.Cells {
				if of(series) {
					parts = append(parts, cell.OK)
					beyond += failedOf(cell) + cell.CutOver
				}
			}
		}
		values[i] = quantileOf(evidence.Sum(parts...), beyond, q)
	})
	return values
}

func quantileOf(answered *evidence.Histogram, beyond int64, q float64) float64 {
	all := answered.Count() + beyond
	rank := max(1, int64(math.Ceil(q*float64(all))))
	switch {
	case all == 0:
		return math.NaN()
	case rank > answered.Count():
		return math.Inf(1)
	}
	return float64(answered.Rank(rank)) / 1000
}

func failedOf(cell *evidence.Cell) (sum int64) {
	for _, n := range cell.Failed {
		sum += n
	}
	return sum
}

// only selects one series.
func only(wanted evidence.Series) func(evidence.Series) bool {
	return func(series evidence.Series) bool { return series == wanted }
}

// waited returns the longest wait, in ms, of the operations that were still waiting when the run ended, at the time when they began.
func (a axis) waited(series evidence.Series) numbers {
	values := a.gaps()
	a.each(func(i int, seconds []*evidence.Second) {
		for _, second := range seconds {
			if cell := second.Cells[series]; cell != nil && cell.Cut.Count() > 0 {
				waited := float64(cell.Cut.Rank(cell.Cut.Count())) / 1000
				if math.IsNaN(values[i]) || waited > values[i] {
					values[i] = waited
				}
			}
		}
	})
	return values
}

// flat returns a line of a constant value, such as a limit.
func (a axis) flat(value float64) numbers {
	values := make(numbers, a.points)
	for i := range values {
		values[i] = value
	}
	return values
}

// isEmpty reports whether a line has only gaps and zeros.
func (l line) isEmpty() bool {
	return !slices.ContainsFunc(l.Values, func(value float64) bool { return value > 0 })
}

// draw returns a chart of the lines that are not empty, or none if only limits and plans remain.
func draw(title, unit, note string, lines ...line) []chart {
	var drawn []line
	measured := false
	for _, l := range lines {
		if !l.isEmpty() {
			drawn = append(drawn, l)
			measured = measured || l.Style != "plan" && l.Style != "limit"
		}
	}
	if !measured {
		return nil
	}
	return []chart{{Title: title, Unit: unit, Note: note, Lines: drawn}}
}

// charts returns the charts of a run that have data.
func (a axis) charts() []chart {
	return slices.Concat(
		draw("Users present", "users", "",
			line{"planned", "plan", a.level(evidence.LevelPlanned, 1)}, line{"present", "", a.level(evidence.LevelPresent, 1)},
			line{"waiting for a match", "", a.level(evidence.LevelWaiting, 1)}, line{"in sessions", "", a.level(evidence.LevelInside, 1)}),
		a.match(),
		draw("API latency by operation, p95", "ms", "", append(a.operations(), a.limit(evidence.MetricRequest, "latency")...)...),
		draw("Sessions at once", "sessions", "", append([]line{{"at once", "", a.level(evidence.LevelInside, 0.5)}}, a.leastSessions()...)...),
		a.errors(),
		a.events(),
		draw("Queue depth in Redis", "users", "", line{"queued", "", a.level(evidence.LevelDepth, 1)}),
		a.server(),
		a.delay(),
		draw("The runner's processors", "processors", "",
			line{"available", "plan", a.level(evidence.LevelCPULimit, 1)}, line{"in use", "", a.level(evidence.LevelCPU, 1)}),
	)
}

func (a axis) match() []chart {
	match := evidence.Series{Metric: evidence.MetricMatch}
	lines := slices.Concat(a.percentiles(match), a.limit(evidence.MetricMatch, "match"), []line{{"still waiting", "points", a.waited(match)}})
	return draw("Match time", "ms", "Each wait is shown at the time when the user joined. The points are users who were still waiting when the run ended, and how long they had waited.", lines...)
}

func (a axis) events() []chart {
	event := evidence.Series{Metric: evidence.MetricEvent}
	answered := func(s *evidence.Second) int64 { return okOf(s, event) }
	return slices.Concat(
		draw("Events due, sent and answered", "per second", "Answered: by the time when they were due.",
			line{"due", "plan", a.rate(countOf(evidence.CountDue))}, line{"sent", "", a.rate(countOf(evidence.CountSent))},
			line{"answered as asked", "", a.rate(answered)}),
		draw("Time of an event, from when it was due", "ms", "", append(a.percentiles(event), a.limit(evidence.MetricEvent, "purchases")...)...),
	)
}

// delay returns the chart that compares the runner's own delay with the latency that it reports.
func (a axis) delay() []chart {
	lag := evidence.Series{Metric: evidence.MetricLag}
	requests := func(series evidence.Series) bool { return series.Metric == evidence.MetricRequest }
	return draw("The runner's own delay", "ms", "How late this runner's own timers fired: that much of each latency may be the runner's.",
		line{"delay p50", "", a.quantile(0.5, only(lag))}, line{"delay p95", "", a.quantile(0.95, only(lag))}, line{"delay p99", "", a.quantile(0.99, only(lag))},
		line{"all API requests p95", "plan", a.quantile(0.95, requests)})
}

// absent lists the charts for which a run has no data, and why.
func absent(charts []chart) (list []string) {
	for _, of := range []struct{ title, why string }{
		{"Users present", "users present: the scenario has no users who stay"},
		{"Match time", "match time: no user waited for a match"},
		{"Sessions at once", "sessions at once: no user was in a session"},
		{"Events due, sent and answered", "events: the scenario has no schedule of events"},
		{"Queue depth in Redis", "queue depth: it is read where REDIS_URL is set"},
		{"Server: ", "server readings: they are taken where PROMETHEUS_URL is set"},
	} {
		if !slices.ContainsFunc(charts, func(c chart) bool { return strings.HasPrefix(c.Title, of.title) }) {
			list = append(list, of.why)
		}
	}
	return list
}

func countOf(name string) func(*evidence.Second) int64 {
	return func(second *evidence.Second) int64 { return second.Counts[name] }
}

func okOf(second *evidence.Second, series evidence.Series) int64 {
	if cell := second.Cells[series]; cell != nil {
		return cell.OK.Count()
	}
	return 0
}

func (a axis) percentiles(series evidence.Series) []line {
	of := only(series)
	return []line{{"p50", "", a.quantile(0.5, of)}, {"p95", "", a.quantile(0.95, of)}, {"p99", "", a.quantile(0.99, of)}}
}

// limit returns a line at the time that the run claims for a metric, or else at the metric's own limit.
func (a axis) limit(metric evidence.Metric, kind string) []line {
	ms := float64(a.run.Header.Limits[metric]) / 1000
	for _, claim := range a.run.Header.Claims {
		if claim.Kind == kind && claim.WithinMs > 0 {
			ms = claim.WithinMs
		}
	}
	if ms == 0 {
		return nil
	}
	return []line{{"limit", "limit", a.flat(ms)}}
}

func (a axis) leastSessions() []line {
	for _, claim := range a.run.Header.Claims {
		if claim.Kind == "sessions" {
			return []line{{"needed", "limit", a.flat(claim.Least)}}
		}
	}
	return nil
}

// operations returns a line for each of the most frequent operations.
func (a axis) operations() []line {
	n := map[string]int64{}
	for _, second := range a.run.Seconds {
		for series, cell := range second.Cells {
			if series.Metric == evidence.MetricRequest {
				n[series.Label] += cell.OK.Count() + failedOf(cell)
			}
		}
	}
	operations := most(n)
	lines := make([]line, 0, len(operations))
	for _, operation := range operations {
		lines = append(lines, line{operation, "", a.quantile(0.95, only(evidence.Series{Metric: evidence.MetricRequest, Label: operation}))})
	}
	return lines
}

// most returns the names with the highest counts, at most mostLines, sorted by name.
func most(n map[string]int64) []string {
	names := slices.SortedFunc(maps.Keys(n), func(x, y string) int {
		if n[x] != n[y] {
			return int(n[y] - n[x])
		}
		return strings.Compare(x, y)
	})
	names = names[:min(len(names), mostLines)]
	slices.Sort(names)
	return names
}

// errors returns the chart of failed operations, dropped sessions and lost sockets, by kind. A run with operations and no errors has the
// chart too.
func (a axis) errors() []chart {
	n := map[string]int64{}
	operations := int64(0)
	for _, second := range a.run.Seconds {
		for name, count := range second.Counts {
			switch {
			case isError(name):
				n[name] += count
			case strings.HasPrefix(name, evidence.CountOperations+"{"):
				operations += count
			}
		}
	}
	if len(n) == 0 && operations > 0 {
		return []chart{{Title: errorsTitle, Unit: "per second", Note: "There were none.", Lines: []line{{"errors", "", a.flat(0)}}}}
	}
	shown := most(n)
	lines := make([]line, 0, len(shown)+1)
	for _, name := range shown {
		lines = append(lines, line{errorLabel(name), "", a.rate(countOf(name))})
	}
	others := func(second *evidence.Second) int64 {
		sum := int64(0)
		for name, count := range second.Counts {
			if isError(name) && !slices.Contains(shown, name) {
				sum += count
			}
		}
		return sum
	}
	return draw(errorsTitle, "per second", "", append(lines, line{"all others", "", a.rate(others)})...)
}

func isError(count string) bool {
	name, _, _ := strings.Cut(count, "{")
	return name == evidence.CountErrors || name == evidence.CountDropped || name == evidence.CountLost
}

// errorLabel returns the label of a count of errors in words, such as: queue_join, HTTPError 500.
func errorLabel(count string) string {
	name, _, _ := strings.Cut(count, "{")
	switch name {
	case evidence.CountDropped:
		return "session dropped, " + labels(count)
	case evidence.CountLost:
		return "socket lost, " + labels(count)
	}
	return labels(count)
}

const errorsTitle = "Errors by kind"

// labels returns the labels in a count's name, such as: queue_join, HTTPError 500.
func labels(name string) string {
	_, labels, _ := strings.Cut(name, "{")
	return strings.ReplaceAll(strings.TrimSuffix(labels, "}"), "}{", ", ")
}

// server returns one chart for each reading of the service's Prometheus, as each has its own unit.
func (a axis) server() (charts []chart) {
	found := map[string]bool{}
	for _, second := range a.run.Seconds {
		for name := range second.Levels {
			if strings.HasPrefix(name, evidence.LevelServer+"{") {
				found[name] = true
			}
		}
	}
	names := slices.Sorted(maps.Keys(found))
	for _, name := range names[:min(len(names), mostServer)] {
		charts = append(charts, draw("Server: "+labels(name), "", "", line{labels(name), "readings", a.level(name, 1)})...)
	}
	return charts
}
