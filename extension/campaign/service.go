package campaign

import (
	"context"
	"crypto/tls"
	"errors"
	"time"
)

// Service says how to reach the service under test. It holds secrets, so it must not be written or printed.
type Service struct {
	BaseURL string
	// RedisURL is the URL of the service's Redis; "" if not given.
	RedisURL string
	// PrometheusURL is the URL of the Prometheus that scrapes the service, and PrometheusToken its bearer token; "" if not given.
	PrometheusURL   string
	PrometheusToken string
	// PrometheusQueries is the value of PROMETHEUS_QUERIES; "" if not given.
	PrometheusQueries string
	// TLS says how certificates are checked; nil means Go's defaults.
	TLS *tls.Config
}

// Baseline is the state of the service before the first step. It is kept in the record, because a resumed campaign compares with it too.
type Baseline struct {
	At time.Time `json:"at"`
	// HealthMs is the median time of GET /health, in ms.
	HealthMs float64 `json:"healthMs"`
	// Queued is the number of users in the queue, LeftBehind that of half-queued users (see queue.Ghosts), which may be among them or not, and
	// InSession the number of users in a session; -1 if Redis was not read.
	Queued     int64 `json:"queued"`
	LeftBehind int64 `json:"leftBehind"`
	InSession  int64 `json:"inSession"`
	// Gauges are readings of Prometheus by name.
	Gauges map[string]Gauge `json:"gauges,omitempty"`
	// Text is the same in one line, for the log.
	Text string `json:"text"`
}

// Gauge is a reading of Prometheus, with its least and most value in the minutes before.
type Gauge struct {
	Value float64 `json:"value"`
	Least float64 `json:"least"`
	Most  float64 `json:"most"`
}

// errDown is wrapped by an error of Calm if the service did not answer: the campaign then ends with exit code 108, otherwise with 110.
var errDown = errors.New("the service is down")

// Calm checks whether the service has recovered from a step.
type Calm interface {
	// Baseline reads the state of the service before the first step. An error says what could not be read and what to do.
	Baseline(ctx context.Context) (*Baseline, error)
	// Wait returns nil once the service is as calm as in the baseline. If that takes too long, the error says what is not calm and what to do.
	// Wait calls say with what it waits for, whenever that changes, and with the calm state at the end.
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

// Break is the reason for which a step must end.
type Break struct {
	// Reason is one sentence; "" if the step need not end.
	Reason string
	// Down means that the service did not answer: the campaign then ends with exit code 108, otherwise with 99.
	Down bool
}
