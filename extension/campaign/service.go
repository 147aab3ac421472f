package campaign

import (
	"context"
	"crypto/tls"
	"errors"
	"time"
)

// Service is where the service under test is reached. It holds secrets, and is neither written nor printed.
type Service struct {
	BaseURL string
	// RedisURL is that of the service's Redis; "" for none.
	RedisURL string
	// PrometheusURL is the Prometheus that reads the service, and PrometheusToken its bearer token; "" for none.
	PrometheusURL   string
	PrometheusToken string
	// PrometheusQueries is the value of PROMETHEUS_QUERIES; "" for none.
	PrometheusQueries string
	// TLS says how certificates are checked; nil for Go's own way.
	TLS *tls.Config
}

// Baseline is how the service was before the first step. It is kept in the record, for a campaign that goes on later compares with it too.
type Baseline struct {
	At time.Time `json:"at"`
	// HealthMs is how long GET /health took, in ms.
	HealthMs float64 `json:"healthMs"`
	// Queued is how many users were in the queue, LeftBehind how many of them, or beside them, were in it by half, and InSession how many
	// were in a session; -1 where no Redis says.
	Queued     int64 `json:"queued"`
	LeftBehind int64 `json:"leftBehind"`
	InSession  int64 `json:"inSession"`
	// Gauges are readings of Prometheus by name.
	Gauges map[string]Gauge `json:"gauges,omitempty"`
	// Text says the same in one line, for the log.
	Text string `json:"text"`
}

// Gauge is a reading of Prometheus, and the least and the most that it was in the minutes before.
type Gauge struct {
	Value float64 `json:"value"`
	Least float64 `json:"least"`
	Most  float64 `json:"most"`
}

// ErrDown is what an error of Calm wraps where the service did not answer: the campaign ends with exit code 108 then, otherwise with 110.
var ErrDown = errors.New("the service is down")

// Calm knows whether the service has recovered from a step.
type Calm interface {
	// Baseline reads how the service is now, before the first step. An error says what could not be read and what to do.
	Baseline(ctx context.Context) (*Baseline, error)
	// Wait returns nil once the service is as calm as in the baseline, and an error that says what was not and what to do when it took too
	// long. It calls say with what it waits for, whenever that changes, and with what it found in the end.
	Wait(ctx context.Context, baseline *Baseline, say func(text string)) error
}

// Breaker watches the service from outside while a step runs.
type Breaker interface {
	// Check returns why the limits of the steps cannot be watched: there is no Prometheus, it does not answer, or it refuses an expression.
	Check(ctx context.Context, steps []Step) error
	// Watch returns why the step must end as soon as it must, and the zero Break when ctx ends before.
	// dir is the folder in which the step's evidence grows, as *.evidence.jsonl.gz. Files that were last written before since are not the
	// step's. It calls say with what it cannot watch, such as a limit whose Prometheus does not answer.
	Watch(ctx context.Context, step Step, dir string, since time.Time, say func(text string)) Break
}

// Break is why a step must end.
type Break struct {
	// Reason is one sentence; "" for no break.
	Reason string
	// Down says that the service did not answer; the campaign ends with exit code 108 then, and otherwise with 99.
	Down bool
}
