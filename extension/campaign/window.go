package campaign

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // for machines and images without a time zone database
)

// Window is the time of each day in which the service may be loaded, such as 22:00-02:00 in Australia/Sydney.
type Window struct {
	opens, closes int // minutes after midnight; if closes is not after opens, it is on the next day
	zone          *time.Location
}

var windowForm = regexp.MustCompile(`^([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})$`)

const minutesOfDay = 24 * 60

// ParseWindow parses a window such as 22:00-02:00 and the name of its time zone, such as Australia/Sydney; "" means UTC.
func ParseWindow(text, zone string) (Window, error) {
	refused := fmt.Errorf("--window must be two times of day such as 22:00-02:00, got %q", text)
	match := windowForm.FindStringSubmatch(text)
	if match == nil {
		return Window{}, refused
	}
	opens, isOpening := minuteOfDay(match[1], match[2])
	closes, isClosing := minuteOfDay(match[3], match[4])
	if !isOpening || !isClosing || opens == minutesOfDay {
		return Window{}, refused
	}
	if opens == closes {
		return Window{}, fmt.Errorf("--window %s opens and closes at the same time; for any time of day leave it out", text)
	}
	location, err := loadZone(zone)
	if err != nil {
		return Window{}, err
	}
	return Window{opens, closes, location}, nil
}

func loadZone(zone string) (*time.Location, error) {
	if zone == "" {
		return time.UTC, nil
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("--tz must be a time zone of the IANA database such as Australia/Sydney or UTC, got %q", zone)
	}
	return location, nil
}

// minuteOfDay returns the minute after midnight of a time of day; 24:00 is the end of the day.
func minuteOfDay(hours, minutes string) (int, bool) {
	h, _ := strconv.Atoi(hours) // two digits at most
	m, _ := strconv.Atoi(minutes)
	return 60*h + m, m < 60 && 60*h+m <= minutesOfDay
}

// String returns the window in a form such as "22:00-02:00 Australia/Sydney".
func (w Window) String() string {
	return fmt.Sprintf("%s-%s %s", clockOf(w.opens), clockOf(w.closes), w.zone)
}

func clockOf(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

// length returns the length of the window on a day without a clock change.
func (w Window) length() time.Duration {
	length := w.closes - w.opens
	if length <= 0 {
		length += minutesOfDay
	}
	return time.Duration(length) * time.Minute
}

// around returns the window that is open at a time, or else the next one, and reports whether it is open.
func (w Window) around(now time.Time) (opens, closes time.Time, isOpen bool) {
	local := now.In(w.zone)
	for day := -1; ; day++ { // the window of yesterday may still be open
		opens, closes = w.of(local.Year(), local.Month(), local.Day()+day)
		if opens.Before(closes) && now.Before(closes) {
			return opens, closes, !now.Before(opens)
		}
	}
}

// of returns the window that opens on a day. If a clock change makes the time of its opening or closing occur twice or not at all, it returns
// the shorter of the possible windows.
func (w Window) of(year int, month time.Month, day int) (opens, closes time.Time) {
	until := day
	if w.closes <= w.opens {
		until++
	}
	_, opens = w.moments(year, month, day, w.opens)
	closes, _ = w.moments(year, month, until, w.closes)
	return opens, closes
}

// moments returns the first and the last moment at which clocks in the zone show a time of day. If they skip it, it returns the moments that
// the offsets before and after the change give.
func (w Window) moments(year int, month time.Month, day, minute int) (first, last time.Time) {
	asUTC := time.Date(year, month, day, 0, minute, 0, 0, time.UTC)
	const halfDay = 12 * time.Hour
	var candidates, shown []time.Time
	for _, near := range []time.Time{asUTC.Add(-halfDay), asUTC.Add(halfDay)} {
		_, offset := near.In(w.zone).Zone()
		moment := asUTC.Add(-time.Duration(offset) * time.Second)
		candidates = append(candidates, moment)
		if local := moment.In(w.zone); local.Hour()*60+local.Minute() == minute%minutesOfDay {
			shown = append(shown, moment)
		}
	}
	if len(shown) > 0 {
		candidates = shown
	}
	first, last = candidates[0], candidates[len(candidates)-1]
	if last.Before(first) {
		first, last = last, first
	}
	return first, last
}

// The margins that a step needs in addition to its load: for setup with the preflight, for sessions held to their end, and for reading the
// balances and writing the summary.
const (
	setupMargin = time.Minute
	drainMargin = 75 * time.Second
	auditMargin = time.Minute
	StepMargin  = setupMargin + drainMargin + auditMargin
)

// Needs returns how long the window must remain open for the step to begin.
func (s Step) Needs() time.Duration { return s.Length() + StepMargin + s.cleanupMargin() }

// Length returns the length of the load.
func (s Step) Length() time.Duration { return time.Duration(s.LengthSeconds * float64(time.Second)) }

// check refuses a window in which one of the steps can never run.
func (w Window) check(steps []Step) error {
	var tooLong []string
	for _, step := range steps {
		if step.Needs() > w.length() {
			tooLong = append(tooLong, fmt.Sprintf("%s needs %s", step.Name, short(step.Needs())))
		}
	}
	if len(tooLong) == 0 {
		return nil
	}
	return fmt.Errorf("the window %s is %s long, and these steps do not fit into it: %s, setup and end included; widen it, or leave them out with "+
		"--from, --until or --only", w, short(w.length()), strings.Join(tooLong, ", "))
}

// short formats 150 s as 2m30s, 300 s as 5m and 7200 s as 2h.
func short(d time.Duration) string {
	if d = d.Round(time.Second); d == 0 {
		return "0s"
	}
	text := d.String()
	text = strings.TrimSuffix(text, "m0s") + map[bool]string{true: "m"}[strings.HasSuffix(text, "m0s")]
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
