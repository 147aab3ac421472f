package plan

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/verity-app/xk6-verity/extension/schedule"
)

// defaults are the default values of the variables that an Outline uses, by scenario. They are those of js/config.js.
var defaults = map[string]map[string]string{ //nolint:gochecknoglobals // a constant table
	"queue-concurrency":     {"TARGET_VUS": "10000", "RAMP_UP": "10m", "HOLD": "0m", "RAMP_DOWN": "2m"},
	"video-session-sustain": {"SESSION_VUS": "2000", "RAMP_UP": "5m", "HOLD": "10m", "RAMP_DOWN": "2m"},
	"token-purchase-spike": {
		"SEED_USER_COUNT": "100", "BASE_RATE": "20", "SPIKE_RATE": "400", "RAMP_UP": "1m", "SPIKE_HOLD": "2m", "RAMP_DOWN": "1m",
	},
}

// Outline is the number of users or buyers of a run, and its course.
type Outline struct {
	Users  int
	Course schedule.Rate // users, or events per second, over time
}

// Length returns the length of the run.
func (o Outline) Length() time.Duration { return o.Course.Length() }

// ErrNoUsers means that the variables do not set the number of users.
var ErrNoUsers = errors.New("no variable says how many users there are")

// VariableError says what is wrong with a variable.
type VariableError struct {
	Name string
	Err  error
}

func (e *VariableError) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap returns the error without the name of the variable.
func (e *VariableError) Unwrap() error { return e.Err }

// Knows reports whether a scenario is one of ours, so that the meaning and the defaults of its variables are known.
func Knows(scenario string) bool { return defaults[scenario] != nil }

// Outlined returns the outline of a scenario with these variables, by name. Variables that are not set have defaults in our scenarios;
// in other scenarios the variables are taken to have the same meaning. The error is ErrNoUsers or a *VariableError.
func Outlined(scenario string, variables map[string]string) (Outline, error) {
	r := reading{scenario: scenario, variables: variables}
	o := Outline{Users: r.users()}
	up, down := r.span("RAMP_UP"), r.span("RAMP_DOWN")
	if r.text("SPIKE_HOLD") != "" {
		o.Course = Spike{
			Base: float64(r.whole("BASE_RATE")), Top: float64(r.whole("SPIKE_RATE")), Up: up, Hold: r.span("SPIKE_HOLD"), Down: down,
		}.Course()
	} else {
		o.Course = Ramp{up, r.span("HOLD"), down}.Course(float64(o.Users))
	}
	if r.err != nil {
		return Outline{}, r.err
	}
	return o, nil
}

// reading parses variables, and keeps the first error.
type reading struct {
	scenario  string
	variables map[string]string
	err       error
}

func (r *reading) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reading) users() int {
	for _, name := range []string{"TARGET_VUS", "SESSION_VUS", "SEED_USER_COUNT"} {
		if r.text(name) != "" {
			return r.whole(name)
		}
	}
	r.fail(ErrNoUsers)
	return 0
}

func (r *reading) text(name string) string {
	if text := r.variables[name]; text != "" {
		return text
	}
	return defaults[r.scenario][name]
}

// whole returns the value of a variable as an int; 0 if it is not set.
func (r *reading) whole(name string) int {
	text := r.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		r.fail(&VariableError{name, fmt.Errorf("must be a whole number, got %q", text)})
	}
	return int(n) // #nosec G115 -- of 31 bits
}

// span returns the value of a variable as a Span; 0 if it is not set.
func (r *reading) span(name string) Span {
	text := r.text(name)
	if text == "" {
		return Span{}
	}
	span, err := ParseSpan(text)
	if err != nil {
		r.fail(&VariableError{name, err})
	}
	return span
}
