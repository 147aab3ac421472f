package campaign

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/verity-app/xk6-verity/extension/snapshot"
)

// limitWatch is the state of a limit that is being watched.
type limitWatch struct {
	limit  Limit
	beyond time.Time // since when without interruption; zero if it is not beyond
	said   bool      // that it cannot be read was reported
}

// look judges a reading. problem says why there is no value; it is returned once.
func (w *limitWatch) look(now time.Time, value *float64, err error) (found Break, problem string) {
	if err != nil || value == nil || math.IsNaN(*value) {
		w.beyond = time.Time{}
		if w.said {
			return Break{}, ""
		}
		w.said = true
		return Break{}, fmt.Sprintf("the limit %q is not watched while its expression has no value: %s", w.limit.Name, whyNoValue(value, err))
	}
	bound, isBeyond := w.limit.bound(*value)
	if !isBeyond {
		w.beyond = time.Time{}
		return Break{}, ""
	}
	if w.beyond.IsZero() {
		w.beyond = now
	}
	held := now.Sub(w.beyond)
	if held.Seconds() < w.limit.ForSeconds {
		return Break{}, ""
	}
	reason := fmt.Sprintf("the limit %q was crossed at %s: %s is %s", w.limit.Name, clock(w.beyond), w.limit.Query, bound)
	if w.limit.ForSeconds > 0 {
		reason += fmt.Sprintf(", for %.0f s", held.Seconds())
	}
	return Break{Reason: reason}, ""
}

func whyNoValue(value *float64, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case value == nil:
		return "no such series"
	}
	return "it is not a number"
}

// bound reports whether a value is beyond the bound of the limit, and describes how.
func (l Limit) bound(value float64) (says string, isBeyond bool) {
	switch {
	case l.Above != nil && value > *l.Above:
		return fmt.Sprintf("%s, above %s", figure(value), figure(*l.Above)), true
	case l.Below != nil && value < *l.Below:
		return fmt.Sprintf("%s, below %s", figure(value), figure(*l.Below)), true
	}
	return "", false
}

// figure formats a value with 4 significant digits, or, from 1000, with all digits before the point.
func figure(value float64) string {
	if math.Abs(value) >= 1000 {
		return strconv.FormatFloat(value, 'f', 0, 64)
	}
	return strconv.FormatFloat(value, 'g', 4, 64)
}

// newReader returns a reader of the service's Prometheus.
func newReader(service Service, queries []snapshot.Query) (*snapshot.Reader, error) {
	if service.PrometheusURL == "" {
		return nil, errors.New("PROMETHEUS_URL is not set")
	}
	return snapshot.New(snapshot.Options{
		URL: service.PrometheusURL, BearerToken: service.PrometheusToken, Queries: queries,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: service.TLS.Clone()},
	})
}
