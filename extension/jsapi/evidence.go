package jsapi

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/sessions"
	"github.com/verity-app/xk6-verity/extension/snapshot"
)

// How waits ended that are no errors of an operation, as kinds of failures.
const (
	failedNoMatch    = "no_match"
	failedSocketLost = "socket_lost"
)

// recordRequest keeps how long one request took that began then. An answer that was not asked for, and none, count as slower than
// any limit; what the end of the run cut counts with the time it had waited.
func (r *RootModule) recordRequest(request *platform.Request, began time.Time, answer *platform.Answer, err error) {
	series := evidence.Series{Metric: evidence.MetricRequest, Label: request.Operation}
	switch {
	case err == nil && !request.Failed(answer.Status):
		r.evidence.Time(series, began, answer.Duration, evidence.OK, "")
	case err == nil:
		r.evidence.Time(series, began, answer.Duration, evidence.Failed, statusKind(answer.Status))
		if answer.FromInFront() {
			r.record.RefusedInFront(request.Operation)
		}
	default:
		outcome, kind := outcomeOf(platform.NoAnswer(request.Operation, err))
		r.evidence.Time(series, began, time.Since(began), outcome, kind)
	}
}

// statusKind is the kind of failure of an answer with this status.
func statusKind(status int) string {
	if status == http.StatusTooManyRequests {
		return kindName(report.ErrorKind{Name: platform.ThrottledError, Status: status})
	}
	return kindName(report.ErrorKind{Name: platform.HTTPError, Status: status})
}

// outcomeOf reports whether the end of the run cut what ended with this error, and how it failed otherwise.
func outcomeOf(err error) (outcome evidence.Outcome, kind string) {
	var unanswered *platform.UnansweredError
	if isStopped(err) || errors.As(err, &unanswered) {
		return evidence.Cut, ""
	}
	return evidence.Failed, kindName(kindOf("", err))
}

// kindName is the kind of an error as evidence has it, such as HTTPError 500.
func kindName(kind report.ErrorKind) string {
	if kind.Status == 0 {
		return kind.Name
	}
	return kind.Name + " " + strconv.Itoa(kind.Status)
}

// recordOperation counts an operation, and its error by kind.
func (r *RootModule) recordOperation(operation, failure string) {
	now := time.Now()
	r.evidence.Count(evidence.Labelled(evidence.CountOperations, operation), now, 1)
	if failure != "" {
		r.progress.errors.Add(1)
		r.evidence.Count(evidence.Labelled(evidence.CountErrors, operation, failure), now, 1)
	}
}

// recordSocket keeps how long the opening of a user's socket took.
func (r *RootModule) recordSocket(began time.Time, err error) {
	outcome, kind := evidence.OK, ""
	if err != nil {
		outcome, kind = outcomeOf(err)
	}
	r.evidence.Time(evidence.Series{Metric: evidence.MetricSocket}, began, time.Since(began), outcome, kind)
}

// recordMatch keeps how long a user waited for its match, of which it may have heard nothing.
func (r *RootModule) recordMatch(began time.Time, m sessions.Match, unheard bool, err error) {
	series := evidence.Series{Metric: evidence.MetricMatch}
	if unheard {
		r.evidence.Time(series, began, m.Wait, evidence.Failed, evidence.KindUnheard)
		return
	}
	switch m.Outcome {
	case sessions.OutcomeMatched:
		r.evidence.Time(series, began, m.Wait, evidence.OK, "")
	case sessions.OutcomeNoMatch:
		r.evidence.Time(series, began, m.Wait, evidence.Failed, failedNoMatch)
	case sessions.OutcomeSocketLost:
		r.evidence.Time(series, began, m.Wait, evidence.Failed, failedSocketLost)
	case sessions.OutcomeStopped:
		r.evidence.Time(series, began, m.Wait, evidence.Cut, "")
	case sessions.OutcomeJoinFailed:
		outcome, kind := outcomeOf(err)
		r.evidence.Time(series, began, m.Wait, outcome, kind)
	default: // the others are of sessions
	}
}

// recordSession keeps how long a session took to start, and was held. One that the end of the run cut counts as held so far.
func (r *RootModule) recordSession(held sessions.Held) {
	now := time.Now()
	started := now.Add(-held.Held)
	if held.Started {
		r.evidence.Time(evidence.Series{Metric: evidence.MetricStart}, started.Add(-held.StartDelay), held.StartDelay, evidence.OK, "")
		r.evidence.Count(evidence.CountStarted, now, 1)
	}
	session := evidence.Series{Metric: evidence.MetricSession}
	switch held.Outcome {
	case sessions.OutcomeHeld:
		r.evidence.Time(session, started, held.Held, evidence.OK, "")
	case sessions.OutcomeDropped:
		r.evidence.Time(session, started, held.Held, evidence.Failed, string(held.Reason))
		r.evidence.Count(evidence.Labelled(evidence.CountDropped, string(held.Reason)), now, 1)
	default:
		r.evidence.Time(session, started, held.Held, evidence.Cut, "")
	}
}

// recordLevels keeps how many users there are, and how busy this runner is. It is called about once a second.
func (r *RootModule) recordLevels(processors float64, of int) {
	now, users := time.Now(), r.Users()
	r.evidence.Level(evidence.LevelPresent, now, float64(users.Present))
	r.evidence.Level(evidence.LevelWaiting, now, float64(users.Waiting))
	r.evidence.Level(evidence.LevelInside, now, float64(users.InSession))
	r.evidence.Level(evidence.LevelCPU, now, processors)
	r.evidence.Level(evidence.LevelCPULimit, now, float64(of))
	if planned, ok := r.plannedUsers(now); ok {
		r.evidence.Level(evidence.LevelPlanned, now, planned)
	}
}

func (r *RootModule) recordDepth(total int) {
	r.evidence.Level(evidence.LevelDepth, time.Now(), float64(total))
}

// recordReadings keeps how the readings of Prometheus went from the beginning of the load on: of a gauge its values, of a counter by how much
// it grew a second.
func (r *RootModule) recordReadings(readings snapshot.Report) {
	r.mu.Lock()
	began := r.run.loadBegan
	r.mu.Unlock()
	if began.IsZero() {
		return
	}
	for _, reading := range readings.Readings {
		name := evidence.Labelled(evidence.LevelServer, reading.Name)
		if reading.Kind == snapshot.Counter {
			name = evidence.Labelled(evidence.LevelServer, reading.Name, "per second")
		}
		for _, point := range reading.Course {
			if at := readings.Began.Add(point.After); !at.Before(began) {
				r.evidence.Level(name, at, point.Value)
			}
		}
	}
}

func (r *RootModule) recordLag(late time.Duration) {
	r.evidence.Time(evidence.Series{Metric: evidence.MetricLag}, time.Now().Add(-late), late, evidence.OK, "")
}

// plannedUsers is how many users the plan wants this runner to have at a time.
func (r *RootModule) plannedUsers(at time.Time) (users float64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.run.loadBegan.IsZero() || len(r.run.ramp.Stages) == 0 {
		return 0, false
	}
	return r.run.ramp.At(at.Sub(r.run.loadBegan)), true
}

// isUnheard reports whether the user was matched and heard nothing of it: it waited in vain, and was then answered that it is in no
// queue, or that it was matched already.
func isUnheard(m sessions.Match, left platform.LeaveStatus) bool {
	return m.Outcome == sessions.OutcomeNoMatch && m.SessionID == "" && (left == platform.NotQueued || left == platform.AlreadyMatched)
}

// waits are what a summary names that had not come when the run ended, and how long of it is nothing to name.
var waits = []struct {
	metric evidence.Metric
	words  string
	usual  time.Duration
}{ //nolint:gochecknoglobals // a constant table
	{evidence.MetricSocket, "their socket", time.Second},
	{evidence.MetricMatch, "their match", 3 * time.Second},
	{evidence.MetricRequest, "an answer", time.Second},
}

// stillWaiting names what had not come when the run ended, although it had been waited for long.
func stillWaiting(run *evidence.Run) (list []evidence.Waiting) {
	for _, wait := range waits {
		found := evidence.Waiting{What: wait.words}
		for _, second := range run.Seconds {
			for series, cell := range second.Cells {
				if series.Metric != wait.metric {
					continue
				}
				cell.Cut.Each(func(micros, n int64) {
					if waited := time.Duration(micros) * time.Microsecond; waited > wait.usual {
						found.Users += int(n)
						found.Longest = max(found.Longest, waited)
					}
				})
			}
		}
		if found.Users > 0 {
			list = append(list, found)
		}
	}
	return list
}
