package standin

import "github.com/verity-app/xk6-verity/extension/contract"

// observer hears what happens to users, in the order in which it happened to each of them. Sockets are one. Its methods
// are called by handlers and by the matcher, sometimes at once, with locks held: they must neither block nor call back.
type observer interface {
	// joined: the user waits in the queue now.
	joined(userID, queueKey string)
	// left: the user waits no more, and was not matched.
	left(userID, queueKey string)
	// matched: two users waited in the queue and have a session now.
	matched(s session, queueKey string)
	// ended: the session's time is over.
	ended(s session)
	// decided: both users of an ended session have chosen.
	decided(s session, o contract.ChoiceOutcome)
}

// observers all hear it, one after the other.
type observers []observer

func (all observers) joined(userID, queueKey string) {
	for _, o := range all {
		o.joined(userID, queueKey)
	}
}

func (all observers) left(userID, queueKey string) {
	for _, o := range all {
		o.left(userID, queueKey)
	}
}

func (all observers) matched(s session, queueKey string) {
	for _, o := range all {
		o.matched(s, queueKey)
	}
}

func (all observers) ended(s session) {
	for _, o := range all {
		o.ended(s)
	}
}

func (all observers) decided(s session, to contract.ChoiceOutcome) {
	for _, o := range all {
		o.decided(s, to)
	}
}

// nobody observes.
type nobody struct{}

func (nobody) joined(string, string)                   {}
func (nobody) left(string, string)                     {}
func (nobody) matched(session, string)                 {}
func (nobody) ended(session)                           {}
func (nobody) decided(session, contract.ChoiceOutcome) {}
