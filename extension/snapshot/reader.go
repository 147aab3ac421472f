// Package snapshot reads metrics of the servers from Prometheus over a run: the increase of counters, and the first, last and
// highest value of gauges.
//
// Times are by Prometheus' clock, which a Reader queries, so that this machine's clock may be wrong. Prometheus scrapes at
// intervals, so End waits for a scrape that is newer than the run.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheus "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/verity-app/xk6-verity/extension/plain"
)

const (
	defaultTimeout = 5 * time.Second
	// readingLimit is how long the requests of one reading may take together.
	readingLimit = 10 * time.Second
	// atOnce is how many expressions are evaluated concurrently. Prometheus allows 20 for all its clients by default.
	atOnce = 8
	// maxAnswer is how many bytes of one answer are read.
	maxAnswer = 64 << 20
	// maxShown is how many bytes of a message of Prometheus are shown.
	maxShown = 200
)

// Options configures a Reader.
type Options struct {
	URL         string // see ParseURL
	BearerToken string // empty: none is sent
	Queries     []Query
	// Transport sends the requests; default: one with Go's settings. Its idle connections are closed after each reading.
	Transport *http.Transport
	// UserAgent is the header User-Agent; default: Go's.
	UserAgent string
	// Timeout is how long one request may take; default 5 s.
	Timeout time.Duration
}

// Reader reads a set of queries from one Prometheus.
type Reader struct {
	api     prometheus.API
	url     string
	token   string
	queries []Query
	timeout time.Duration
	pace    pace
	close   func()
}

// New returns a Reader. It connects at its first reading.
func New(o Options) (*Reader, error) {
	address, err := ParseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("the URL of Prometheus %w", err)
	}
	if err := CheckToken(o.BearerToken); err != nil {
		return nil, fmt.Errorf("the bearer token of Prometheus %w", err)
	}
	transport := o.Transport
	if transport == nil {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	client, err := api.NewClient(api.Config{Address: address, Client: &http.Client{
		Transport: &authorized{transport, o.BearerToken, o.UserAgent},
		// Following a redirect would send the token to another address.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
	if err != nil {
		return nil, errors.New("the URL of Prometheus " + errAddress)
	}
	r := &Reader{
		api: prometheus.NewAPI(client), url: address, token: o.BearerToken, queries: o.Queries, timeout: o.Timeout,
		pace: defaultPace(), close: transport.CloseIdleConnections,
	}
	if r.timeout <= 0 {
		r.timeout = defaultTimeout
	}
	return r, nil
}

// authorized sends requests with a bearer token, and stores the status of an answer in the request's context.
type authorized struct {
	base             http.RoundTripper
	token, userAgent string
}

// statusKey is the key of a *int in a request's context, for the status.
type statusKey struct{}

// RoundTrip sends one request and limits the body of its answer.
func (a *authorized) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	if a.userAgent != "" {
		request.Header.Set("User-Agent", a.userAgent)
	}
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	response, err := a.base.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if status, ok := request.Context().Value(statusKey{}).(*int); ok {
		*status = response.StatusCode
	}
	response.Body = limited{io.LimitReader(response.Body, maxAnswer), response.Body}
	return response, nil
}

type limited struct {
	io.Reader
	io.Closer
}

// Read evaluates each query now. The value of a query without a series is nil.
func (r *Reader) Read(ctx context.Context) (map[string]*float64, error) {
	defer r.close()
	ctx, cancel := context.WithTimeout(ctx, readingLimit)
	defer cancel()
	at, err := r.now(ctx)
	if err != nil {
		return nil, err
	}
	values, errs, notes := make([]*float64, len(r.queries)), make([]error, len(r.queries)), newNotes()
	r.each(func(i int, query Query) { values[i], errs[i] = r.value(ctx, query.Expr, at, notes) })
	result := make(map[string]*float64, len(values))
	for i, query := range r.queries {
		if errs[i] != nil {
			return nil, fmt.Errorf("%s: %w", query.Name, errs[i])
		}
		result[query.Name] = values[i]
	}
	return result, nil
}

// each calls f for each query, atOnce of them concurrently.
func (r *Reader) each(f func(i int, query Query)) {
	var running sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, query := range r.queries {
		slots <- struct{}{}
		running.Go(func() {
			f(i, query)
			<-slots
		})
	}
	running.Wait()
}

// now returns the time by Prometheus' clock.
func (r *Reader) now(ctx context.Context) (time.Time, error) {
	seconds, err := r.value(ctx, "time()", time.Time{}, newNotes())
	if errors.Is(err, errNoNumber) || (err == nil && (seconds == nil || !isFinite(*seconds))) {
		return time.Time{}, r.noPrometheus()
	}
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(int64(math.Round(*seconds * 1000))), nil
}

// value returns the one value of an expression, or nil if it has no series. A zero time means now.
func (r *Reader) value(ctx context.Context, expr string, at time.Time, notes *notes) (*float64, error) {
	result, err := r.query(ctx, expr, at, notes)
	if err != nil {
		return nil, err
	}
	if scalar, ok := result.(*model.Scalar); ok {
		return number(scalar.Value), nil
	}
	vector, ok := result.(model.Vector)
	if !ok {
		return nil, errors.New("the expression is a range of samples, not a number; make one of it, for example with increase()")
	}
	if len(vector) > 1 {
		return nil, fmt.Errorf("the expression has %d series; aggregate it, for example with sum()", len(vector))
	}
	if len(vector) == 0 {
		return nil, nil //nolint:nilnil // no series is neither a value nor an error
	}
	if vector[0].Histogram != nil {
		return nil, errors.New("the expression is a histogram, not a number; take a part of it, for example with histogram_count()")
	}
	return number(vector[0].Value), nil
}

func number(value model.SampleValue) *float64 { return new(float64(value)) }

func isFinite(value float64) bool { return !math.IsNaN(value) && !math.IsInf(value, 0) }

// query evaluates an expression at a time; zero: now.
func (r *Reader) query(ctx context.Context, expr string, at time.Time, notes *notes) (model.Value, error) {
	return r.ask(ctx, notes, func(ctx context.Context) (model.Value, prometheus.Warnings, error) {
		value, warnings, _, err := r.api.Query(ctx, expr, at) // without its hints on how to write the expression
		return value, warnings, err
	})
}

// queryRange evaluates an expression at the steps between two times.
func (r *Reader) queryRange(ctx context.Context, expr string, from, to time.Time, notes *notes) (model.Matrix, error) {
	result, err := r.ask(ctx, notes, func(ctx context.Context) (model.Value, prometheus.Warnings, error) {
		steps := prometheus.Range{Start: from, End: to, Step: stepOf(to.Sub(from))}
		value, warnings, _, err := r.api.QueryRange(ctx, expr, steps)
		return value, warnings, err
	})
	if err != nil {
		return nil, err
	}
	matrix, ok := result.(model.Matrix)
	if !ok {
		return nil, errors.New("the expression has no values over time")
	}
	return matrix, nil
}

// stepOf returns the step for a range of this length. Prometheus allows at most 11,000 steps.
func stepOf(length time.Duration) time.Duration {
	const most = 10_000
	return max(time.Second, (length/most + time.Second - 1).Truncate(time.Second))
}

// ask makes one request, with the timeout, and notes its warnings.
func (r *Reader) ask(
	ctx context.Context, notes *notes, request func(context.Context) (model.Value, prometheus.Warnings, error),
) (model.Value, error) {
	var status int
	asking, cancel := context.WithTimeout(context.WithValue(ctx, statusKey{}, &status), r.timeout)
	defer cancel()
	value, warnings, err := request(asking)
	for _, warning := range warnings {
		notes.add("Prometheus warns: " + r.shown(warning))
	}
	if err != nil {
		return nil, r.explain(ctx, err, status)
	}
	if value == nil { // client_golang accepts any JSON object
		return nil, r.noPrometheus()
	}
	return value, nil
}

// ErrStopped is the error of a reading whose context was cancelled, as at the end of the run.
var ErrStopped = errors.New("the reading was cut by the end of the run")

// explain returns why a request failed and what to do, without the request's URL that net/http adds.
func (r *Reader) explain(ctx context.Context, err error, status int) error {
	var apiErr *prometheus.Error
	var netErr net.Error
	isAPI := errors.As(err, &apiErr)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ErrStopped
	case errors.As(err, &netErr) && netErr.Timeout():
		return fmt.Errorf("%s did not answer in time: a request may take %s, and all of a reading %s", r.url, r.timeout, readingLimit)
	case status == 0:
		return fmt.Errorf("%s cannot be reached: %w", r.url, plain.Error(plain.WithoutURL(err)))
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return r.refused(status)
	case isAPI && !slices.Contains(notOfQueries, apiErr.Type):
		return fmt.Errorf("the expression is refused: %s", r.shown(apiErr.Msg))
	case status != http.StatusOK:
		return r.unexpected(status)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s broke off its answer", r.url)
	case isAPI && strings.Contains(apiErr.Msg, "unexpected value type"): // client_golang has no error of its own for it
		return errNoNumber
	default:
		return r.noPrometheus()
	}
}

// notOfQueries are the errors of client_golang that are not about the expression.
//
//nolint:gochecknoglobals // constant
var notOfQueries = []prometheus.ErrorType{prometheus.ErrBadResponse, prometheus.ErrClient, prometheus.ErrServer}

// errNoNumber is the error on an expression whose type client_golang does not support, such as a string.
var errNoNumber = errors.New("the expression is not a number")

func (r *Reader) noPrometheus() error {
	return fmt.Errorf("%s is not a Prometheus: it answered 200 with something else than the JSON of Prometheus' API", r.url)
}

func (r *Reader) refused(status int) error {
	why := "wants a bearer token"
	if r.token != "" {
		why = "refuses the bearer token"
	}
	return fmt.Errorf("%s %s (PROMETHEUS_BEARER_TOKEN): it answered %d %s", r.url, why, status, http.StatusText(status))
}

func (r *Reader) unexpected(status int) error {
	hint := ""
	switch {
	case status >= 300 && status < 400:
		hint = ", a redirect, which is not followed; give the address that it leads to"
	case status == http.StatusNotFound:
		hint = "; the URL must be the one under which /api/v1/query is served"
	}
	return fmt.Errorf("%s answered %d %s%s", r.url, status, http.StatusText(status), hint)
}

// shown prepares a message from Prometheus for an error or a note: one line, short, and without the token.
func (r *Reader) shown(text string) string {
	if r.token != "" {
		text = strings.ReplaceAll(text, r.token, "[bearer token]")
	}
	return plain.Short(text, maxShown)
}

// notes collects the sentences for the report, each once, in the order in which they were added.
type notes struct {
	mu   sync.Mutex
	list []string
	seen map[string]bool
}

func newNotes() *notes { return &notes{seen: make(map[string]bool)} }

func (n *notes) add(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.seen[text] {
		n.seen[text] = true
		n.list = append(n.list, text)
	}
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list
}
