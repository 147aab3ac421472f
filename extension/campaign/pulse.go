package campaign

import (
	"fmt"
	"sync"
	"time"
)

const (
	// downAfter is the time without a good answer after which the service counts as down.
	downAfter = 15 * time.Second
	// restartedAfter is the time in which only processes started after the step have answered, after which the service counts as restarted. If
	// several replicas share the requests, the old ones answer some of the 30 requests in it: with two new replicas beside one old replica, all 30
	// miss the old one once in 200,000 times.
	restartedAfter = time.Minute
	// startSlack is the possible error of a process's start time, which is computed from its uptime.
	startSlack = 2 * time.Second
)

// pulse judges the answers to GET /health during a step.
type pulse struct {
	mu     sync.Mutex
	began  time.Time
	good   time.Time    // time of the last answer that shows the service is up; at first, began
	last   healthAnswer // the last answer that does not
	old    time.Time    // time of the last answer of a process started before the step; at first, began
	young  time.Time    // time of the last answer of a process started later
	newest time.Time    // start of the youngest process
}

func newPulse(now time.Time) *pulse { return &pulse{began: now, good: now, old: now} }

// note records an answer. Answers may arrive out of order.
func (p *pulse) note(answer healthAnswer, say func(text string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !answer.isAlive {
		if answer.at.After(p.last.at) {
			p.last = answer
		}
		return
	}
	p.good = later(p.good, answer.at)
	if !answer.isHealthy() {
		return
	}
	began := answer.began()
	if !began.After(p.began.Add(startSlack)) {
		p.old = later(p.old, answer.at)
		return
	}
	p.young = later(p.young, answer.at)
	if began.After(p.newest.Add(startSlack)) {
		p.newest = began
		say(fmt.Sprintf("a process of the service began at %s, after this step had begun: the service has restarted, or has one more "+
			"replica", clock(began)))
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// look judges the answers recorded so far.
func (p *pulse) look(now time.Time) Break {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case now.Sub(p.good) >= downAfter:
		return Break{Down: true, Reason: p.silence(now)}
	case p.young.Sub(p.old) >= restartedAfter:
		return Break{Reason: fmt.Sprintf("the service restarted while the step ran: of the processes that answered before, none has answered "+
			"GET /health since %s, and one began at %s", clock(p.old), clock(p.newest))}
	}
	return Break{}
}

// silence describes how long and in what way the service has been down.
func (p *pulse) silence(now time.Time) string {
	since := fmt.Sprintf("for %.0f s, since %s", now.Sub(p.good).Seconds(), clock(p.good))
	switch {
	case !p.last.at.After(p.good):
		return "the service has not answered GET /health " + since
	case p.last.inFront:
		return fmt.Sprintf("something in front of the service, such as a firewall, answers GET /health with 403 %s, so that nothing is known of "+
			"the service; have this machine's address let through", since)
	}
	return fmt.Sprintf("the service has had no healthy answer to GET /health %s; the last try got %s", since, p.last.why)
}
