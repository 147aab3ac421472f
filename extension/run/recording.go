package run

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/report"
)

// Requesting counts a request that begins; Requested must be called when it is over.
func (r *Run) Requesting(began time.Time) { r.unanswered.Begin(began) }

// Requested records how long a request took that began at this time. An unexpected answer, or none, counts as slower than any
// limit; a request that the end of the run cut counts with the time it had waited. Answers that show the state of the service, not
// only of the request, are also counted by themselves.
func (r *Run) Requested(ctx context.Context, emit Emitter, request *platform.Request, began time.Time, answer *platform.Answer, err error) {
	r.unanswered.End(began)
	r.recordRequest(request, began, answer, err)
	switch {
	case err != nil:
	case answer.Status == http.StatusTooManyRequests:
		r.Record.Throttled(request.Operation)
		r.Evidence.Count(evidence.CountThrottled, time.Now(), 1)
		emit.Emit(ctx, ThrottledRequests, 1, "name", request.Operation)
	case answer.Status == http.StatusConflict && slices.Contains(request.Allowed, answer.Status):
		r.Record.LockMet(request.Operation)
		emit.Emit(ctx, LockRetries, 1, "name", request.Operation)
	}
}

func (r *Run) recordRequest(request *platform.Request, began time.Time, answer *platform.Answer, err error) {
	series := evidence.Series{Metric: evidence.MetricRequest, Label: request.Operation}
	switch {
	case err == nil && !request.Failed(answer.Status):
		r.Evidence.Time(series, began, answer.Duration, evidence.OK, "")
	case err == nil:
		r.Evidence.Time(series, began, answer.Duration, evidence.Failed, statusKind(answer.Status))
		if answer.FromInFront() {
			r.Record.RefusedInFront(request.Operation)
		}
	default:
		outcome, kind := outcomeOf(platform.NoAnswer(request.Operation, err))
		r.Evidence.Time(series, began, time.Since(began), outcome, kind)
	}
}

// statusKind returns the kind of failure of an answer with this status.
func statusKind(status int) string {
	if status == http.StatusTooManyRequests {
		return KindName(report.ErrorKind{Name: platform.ThrottledError, Status: status})
	}
	return KindName(report.ErrorKind{Name: platform.HTTPError, Status: status})
}

// outcomeOf returns the outcome of an operation that ended with this error, and the kind of failure if the end of the run did not cut
// it.
func outcomeOf(err error) (outcome evidence.Outcome, kind string) {
	var unanswered *platform.UnansweredError
	if platform.IsStopped(err) || errors.As(err, &unanswered) {
		return evidence.Cut, ""
	}
	return evidence.Failed, KindName(KindOf("", err))
}

// KindName returns the kind of an error as in the evidence, such as HTTPError 500.
func KindName(kind report.ErrorKind) string {
	if kind.Status == 0 {
		return kind.Name
	}
	return kind.Name + " " + strconv.Itoa(kind.Status)
}

// CountOperation counts an operation, and its error by kind; failure is "" if there was none.
func (r *Run) CountOperation(ctx context.Context, emit Emitter, operation, failure string) {
	r.recordOperation(operation, failure)
	emit.EmitOperation(ctx, operation, failure)
}

func (r *Run) recordOperation(operation, failure string) {
	now := time.Now()
	r.Evidence.Count(evidence.Labelled(evidence.CountOperations, operation), now, 1)
	if failure != "" {
		r.progress.errors.Add(1)
		r.Evidence.Count(evidence.Labelled(evidence.CountErrors, operation, failure), now, 1)
	}
}

// recordLevels records the numbers of users, and how busy this runner is. It is called about once a second.
func (r *Run) recordLevels(processors float64, of int) {
	now, users := time.Now(), r.Users()
	r.Evidence.Level(evidence.LevelPresent, now, float64(users.Present))
	r.Evidence.Level(evidence.LevelWaiting, now, float64(users.Waiting))
	r.Evidence.Level(evidence.LevelInside, now, float64(users.InSession))
	r.Evidence.Level(evidence.LevelUnanswered, now, float64(r.unanswered.Long(now)))
	r.Evidence.Level(evidence.LevelCPU, now, processors)
	r.Evidence.Level(evidence.LevelCPULimit, now, float64(of))
	if planned, ok := r.plannedUsers(now); ok {
		r.Evidence.Level(evidence.LevelPlanned, now, planned)
	}
}

func (r *Run) recordLag(late time.Duration) {
	r.Evidence.Time(evidence.Series{Metric: evidence.MetricLag}, time.Now().Add(-late), late, evidence.OK, "")
}
