package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

const (
	// postgresDelay is how late Postgres counts: it adds the statistics of a connection once that has been idle for 10 s
	// (PGSTAT_IDLE_INTERVAL), which matters for pools, whose connections stay open.
	postgresDelay = 11 * time.Second
	// deadlineMargin is how long before the context's deadline End returns.
	deadlineMargin = 5 * time.Second
)

// noSuchSeries is the remark on a reading whose expression has no series in Prometheus.
const noSuchSeries = "no such series"

// pace is how End waits for scrapes.
type pace struct {
	least, most time.Duration // bounds of the longest wait, which is two intervals between scrapes
	every       time.Duration // between two polls
}

func defaultPace() pace {
	return pace{least: 20 * time.Second, most: 2 * time.Minute, every: time.Second}
}

// Mark is the time at which a run began.
type Mark struct {
	at    time.Time // by Prometheus' clock; zero: unknown
	taken time.Time // by this machine's clock
}

// Reading is the result of one query over a run. Which fields are set depends on its Kind; nil: no value.
type Reading struct {
	Query

	Start, End, Peak *float64 // of a gauge
	Increase         *float64 // of a counter
	PerSecond        *float64 // Increase divided by the length of the run
	// Course is the reading over the run: the values of a gauge, or the increase per second of a counter whose expression is a
	// selector or the sum of one; empty for another counter.
	Course []Point
	// Remark says why values are missing, or how they are special, such as a reset; mostly empty.
	Remark string
}

// Point is a value at a time after the beginning of the run.
type Point struct {
	After time.Duration
	Value float64
}

// mostPoints is the most points of a course.
const mostPoints = 300

// Report is the results of all queries over a run.
type Report struct {
	Began    time.Time     // by this machine's clock
	Length   time.Duration // of the run, by Prometheus' clock
	Readings []Reading
	Notes    []string
}

// Begin marks the beginning of a run, and tries all queries, so that mistakes show before the run. problems are the errors of
// single queries. The Mark is valid for End even if Prometheus could not be read.
func (r *Reader) Begin(ctx context.Context) (mark Mark, problems []string, err error) {
	defer r.close()
	ctx, cancel := context.WithTimeout(ctx, readingLimit)
	defer cancel()
	mark.taken = time.Now()
	at, err := r.now(ctx)
	if err != nil {
		return mark, nil, err
	}
	mark.at = at
	errs := make([]error, len(r.queries))
	r.each(func(i int, query Query) { _, errs[i] = r.value(ctx, query.Expr, at, newNotes()) })
	for i, query := range r.queries {
		if errs[i] != nil {
			problems = append(problems, query.Name+": "+errs[i].Error())
		}
	}
	return mark, problems, nil
}

// measurement is the state of one call of End.
type measurement struct {
	r        *Reader
	from, to time.Time // start and end of the run, by Prometheus' clock
	notes    *notes
	readings []Reading
	interval time.Duration // between two scrapes, of the slowest counter; 0: unknown
	rises    []rise        // of the counters, by index in readings
	stale    []bool        // counters not yet scraped after the run, by index in readings
}

// End returns the results of a run. For counters it waits for scrapes that are newer than the run: at most 20 s or two
// intervals between scrapes, whichever is longer, and never longer than 2 minutes or 5 s before the context's deadline.
func (r *Reader) End(ctx context.Context, mark Mark) (Report, error) {
	defer r.close()
	elapsed := time.Since(mark.taken)
	reading, cancel := context.WithTimeout(ctx, readingLimit)
	defer cancel()
	to, err := r.now(reading)
	if err != nil {
		return Report{}, err
	}
	m := &measurement{
		r: r, from: mark.at, to: to, notes: newNotes(), readings: make([]Reading, len(r.queries)),
		rises: make([]rise, len(r.queries)), stale: make([]bool, len(r.queries)),
	}
	if mark.at.IsZero() {
		m.from = to.Add(-elapsed)
		m.notes.add("Prometheus could not be read at the start; what it had then is taken from what it has stored")
	}
	if to.Before(m.from) {
		return Report{}, fmt.Errorf("the clock of %s went back during the run", r.url)
	}
	for i, query := range r.queries {
		m.readings[i].Query = query
	}
	m.readGauges(reading)
	waited := m.awaitScrapes(ctx, timeLeft(ctx, m.patience(reading)))
	if ctx.Err() != nil {
		return Report{}, ErrStopped
	}
	m.readCounters(ctx, to.Add(waited))
	m.explainCounters()
	if m.interval > m.length() {
		m.notes.add(fmt.Sprintf("the run was shorter than the time between two scrapes, about %.0f s: gauges may be those of before it",
			m.interval.Seconds()))
	}
	m.leaveOutAbsentExporters()
	return Report{Began: mark.taken, Length: m.length(), Readings: m.readings, Notes: m.notes.all()}, nil
}

// leaveOutAbsentExporters replaces the default readings of an exporter by one note, if Prometheus has none of its series.
func (m *measurement) leaveOutAbsentExporters() {
	defaults := Defaults()
	for _, exporter := range []string{"redis", "postgres"} {
		isOf := func(reading Reading) bool {
			return strings.HasPrefix(reading.Name, exporter+"_") && slices.Contains(defaults, reading.Query)
		}
		isThere := func(reading Reading) bool { return isOf(reading) && reading.Remark != noSuchSeries }
		if !slices.ContainsFunc(m.readings, isOf) || slices.ContainsFunc(m.readings, isThere) {
			continue
		}
		m.readings = slices.DeleteFunc(m.readings, isOf)
		m.notes.add(fmt.Sprintf("no series of %s_exporter: this Prometheus scrapes none, so there is nothing of it in the table", exporter))
	}
}

func (m *measurement) length() time.Duration { return m.to.Sub(m.from) }

func (m *measurement) readGauges(ctx context.Context) {
	m.r.each(func(i int, query Query) {
		if query.Kind == Gauge {
			m.readGauge(ctx, &m.readings[i])
		}
	})
}

func (m *measurement) readGauge(ctx context.Context, reading *Reading) {
	start, err := m.r.value(ctx, reading.Expr, m.from, m.notes)
	if err != nil {
		reading.Remark = err.Error()
		return
	}
	end, err := m.r.value(ctx, reading.Expr, m.to, m.notes)
	if err != nil {
		reading.Remark = err.Error()
		return
	}
	reading.Start, reading.End = start, end
	between, err := m.r.queryRange(ctx, reading.Expr, m.from, m.to, m.notes)
	if err != nil {
		reading.Remark = err.Error()
		return
	}
	reading.Peak = peakOf(between, start, end)
	reading.Course = m.values(between)
	switch {
	case reading.Peak == nil && start == nil && end == nil:
		reading.Remark = noSuchSeries
	case start == nil:
		reading.Remark = "no such series at the start"
	case end == nil:
		reading.Remark = "no such series at the end"
	}
}

// peakOf returns the highest value that is a number, or nil.
func peakOf(between model.Matrix, ends ...*float64) *float64 {
	var peak *float64
	consider := func(value float64) {
		if !math.IsNaN(value) && (peak == nil || value > *peak) {
			peak = &value
		}
	}
	for _, value := range ends {
		if value != nil {
			consider(*value)
		}
	}
	for _, stream := range between {
		for _, sample := range stream.Values {
			consider(float64(sample.Value))
		}
	}
	return peak
}

// delay returns how late the service may count the events of an expression.
func delay(expr string) time.Duration {
	if strings.Contains(expr, "pg_stat_") {
		return postgresDelay
	}
	return 0
}

// until returns from when on a scrape has everything that a query counts of the run.
func (m *measurement) until(query Query) time.Time { return m.to.Add(delay(query.Expr)) }

// awaitScrapes waits until all counters were scraped after the run, at most for limit, and returns how long it waited. The
// scrapes of an expression that is no selector are unknown; for those it waits at least blindWait.
func (m *measurement) awaitScrapes(ctx context.Context, limit time.Duration) time.Duration {
	begun, blind := time.Now(), m.blindWait()
	ticker := time.NewTicker(m.r.pace.every)
	defer ticker.Stop()
	for {
		settled := m.poll(ctx)
		waited := time.Since(begun)
		if (settled && waited >= blind) || waited >= limit {
			return waited
		}
		select {
		case <-ctx.Done():
			return time.Since(begun)
		case <-ticker.C:
		}
	}
}

// blindWait returns how long to wait at least: 0, or pace.least if there are counters whose scrapes are unknown.
func (m *measurement) blindWait() time.Duration {
	var wait time.Duration
	for _, reading := range m.readings {
		if _, _, ok := selector(reading.Expr); reading.Kind == Counter && !ok {
			wait = m.r.pace.least
		}
	}
	return wait
}

// patience returns how long to wait for scrapes at most: two intervals of the slowest counter, within the bounds of the pace.
func (m *measurement) patience(ctx context.Context) time.Duration {
	intervals := make([]time.Duration, len(m.readings))
	m.r.each(func(i int, query Query) {
		selected, _, ok := selector(query.Expr)
		if query.Kind != Counter || !ok {
			return
		}
		series, err := m.r.raw(ctx, selected, m.to.Add(-lookback), m.to, m.notes)
		if err != nil {
			return // readCounters reports the error
		}
		for _, samples := range series {
			intervals[i] = max(intervals[i], samples.interval())
		}
	})
	limit := m.r.pace.least
	for i, interval := range intervals {
		m.interval = max(m.interval, interval)
		limit = max(limit, 2*interval+delay(m.readings[i].Expr))
	}
	return min(limit, m.r.pace.most)
}

// timeLeft shortens a wait so that a reading still fits before the context's deadline.
func timeLeft(ctx context.Context, wait time.Duration) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)-deadlineMargin-readingLimit)
	}
	return max(0, wait)
}

// poll notes which counters have yet to be scraped, and reports whether waiting is over: there are none, or Prometheus answers
// for none of them.
func (m *measurement) poll(ctx context.Context) (over bool) {
	reading, cancel := context.WithTimeout(ctx, readingLimit)
	defer cancel()
	errs := make([]error, len(m.readings))
	m.r.each(func(i int, query Query) {
		if selected, _, ok := selector(query.Expr); ok && query.Kind == Counter {
			m.stale[i], errs[i] = m.r.unscraped(reading, selected, m.until(query))
		}
	})
	stale, failed := 0, 0
	for i := range errs {
		if m.stale[i] {
			stale++
		}
		if errs[i] != nil {
			failed++
		}
	}
	return stale == failed
}

// unscraped reports whether a series of a selector has not been scraped since a time. Series that have ended do not count.
func (r *Reader) unscraped(ctx context.Context, selected string, since time.Time) (bool, error) {
	value, err := r.query(ctx, "timestamp("+selected+")", time.Time{}, newNotes())
	if err != nil {
		return true, err
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return true, errors.New("timestamp() is no vector")
	}
	for _, sample := range vector {
		if float64(sample.Value)*1000 < float64(since.UnixMilli()) {
			return true, nil
		}
	}
	return false, nil
}

// readCounters reads the increase of each counter, up to now.
func (m *measurement) readCounters(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, readingLimit)
	defer cancel()
	m.r.each(func(i int, query Query) {
		if query.Kind != Counter {
			return
		}
		reading := &m.readings[i]
		gained, remark, err := m.rise(ctx, reading, m.stale[i], now)
		if err != nil {
			reading.Remark = err.Error()
			return
		}
		m.rises[i], reading.Remark = gained, remark
		if gained.last > gained.first {
			reading.Increase, reading.PerSecond = &gained.value, perSecond(gained.value, m.length())
		}
	})
}

func perSecond(increase float64, length time.Duration) *float64 {
	if length <= 0 {
		return nil
	}
	return new(increase / length.Seconds())
}

// rise returns the increase of one counter. For a selector it is computed from the scraped samples of each series, so that
// resets are recognised; for another expression, from its values over time.
func (m *measurement) rise(ctx context.Context, reading *Reading, stale bool, now time.Time) (gained rise, remark string, err error) {
	query := reading.Query
	selected, summed, ok := selector(query.Expr)
	if !ok {
		return m.climb(ctx, query, now)
	}
	series, err := m.r.raw(ctx, selected, m.from.Add(-lookback), now, m.notes)
	if err != nil {
		return rise{}, "", err
	}
	if !summed && len(series) > 1 {
		return rise{}, "", fmt.Errorf("the expression has %d series; aggregate it, for example with sum()", len(series))
	}
	reading.Course = m.rates(series)
	w := window{start: timeOf(m.from), end: timeOf(m.to), until: timeOf(m.until(query))}
	if stale {
		w.end = 0 // a series that was not scraped in time has not ended
	}
	for _, samples := range series {
		gained = gained.add(samples.riseOf(w))
	}
	switch {
	case len(series) == 0:
		return gained, noSuchSeries, nil
	case gained.series == 0:
		return gained, "not scraped during the run", nil
	case gained.last == gained.first:
		return gained, "scraped once only, so that its increase is unknown", nil
	}
	return gained, gained.remark(), nil
}

// values returns the course of a gauge.
func (m *measurement) values(over model.Matrix) []Point {
	var points []Point
	for _, stream := range over {
		every := (len(stream.Values) + mostPoints - 1) / mostPoints
		for i, sample := range stream.Values {
			if value := float64(sample.Value); i%every == 0 && isFinite(value) {
				points = append(points, Point{sample.Timestamp.Time().Sub(m.from), value})
			}
		}
	}
	return points
}

// rates returns the course of a counter: the increase per second of all its series together, between the scrapes before and after
// each time.
func (m *measurement) rates(series map[model.Fingerprint]history) []Point {
	var points []Point
	step := max(time.Second, m.length()/mostPoints)
	for after := step; after <= m.length(); after += step {
		sum, isKnown := 0.0, false
		for _, samples := range series {
			if rate, ok := samples.rateAt(timeOf(m.from.Add(after))); ok {
				sum, isKnown = sum+rate, true
			}
		}
		if isKnown {
			points = append(points, Point{after, sum})
		}
	}
	return points
}

func timeOf(t time.Time) model.Time { return model.TimeFromUnixNano(t.UnixNano()) }

// remark returns the resets, and the series that began or ended during the run.
func (r rise) remark() string {
	var parts []string
	if r.resets > 0 {
		parts = append(parts, fmt.Sprintf("reset %d ×", r.resets))
	}
	if r.began > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d series began during the run and count from their first scrape", r.began, r.series))
	}
	if r.ended > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d series ended before the run did", r.ended, r.series))
	}
	return strings.Join(parts, "; ")
}

// climb is rise for an expression that is no selector.
func (m *measurement) climb(ctx context.Context, query Query, now time.Time) (gained rise, remark string, err error) {
	if _, err := m.r.value(ctx, query.Expr, m.to, m.notes); err != nil {
		return rise{}, "", err
	}
	matrix, err := m.r.queryRange(ctx, query.Expr, m.from, now, m.notes)
	if err != nil {
		return rise{}, "", err
	}
	switch len(matrix) {
	case 0:
		return rise{}, noSuchSeries, nil
	case 1:
		gained = history(matrix[0].Values).climbOf()
	default:
		return rise{}, "", errors.New("the expression changed its labels during the run; aggregate it, for example with sum()")
	}
	if gained.resets > 0 {
		return gained, fmt.Sprintf("at least so much: it fell %d ×, and what it gained then is unknown", gained.resets), nil
	}
	return gained, "", nil
}

// explainCounters adds notes on the time that the counters cover.
func (m *measurement) explainCounters() {
	var all rise
	var late []string
	for i, reading := range m.readings {
		if reading.Increase == nil {
			continue
		}
		all = all.add(m.rises[i])
		if m.stale[i] {
			late = append(late, reading.Name)
		}
	}
	if all.series == 0 {
		return
	}
	before := m.from.Sub(all.first.Time())
	after := all.last.Time().Sub(m.to)
	m.notes.add(fmt.Sprintf("counters are counted between scrapes, from %s before the run to %s after it, and divided by the "+
		"length of the run", shortly(before), shortly(after)))
	if len(late) > 0 {
		m.notes.add("not scraped in time after the run, so that its last part may be missing: " + strings.Join(late, ", "))
	}
}

func shortly(d time.Duration) string { return fmt.Sprintf("%.1f s", max(0, d).Seconds()) }
