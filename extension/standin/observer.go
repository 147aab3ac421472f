package standin

import "github.com/verity-app/xk6-verity/extension/contract"

// observer is notified of what happens to users, in the order in which it happens to each user. The sockets are an observer. Its
// methods are called by handlers and the matcher, also concurrently, with locks held: they must neither block nor call back.
type observer interface {
	// joined: the user began to wait in the queue.
	joined(userID, queueKey string)
	// left: the user left the queue without a match.
	left(userID, queueKey string)
	// matched: two users of the queue were matched in a session.
	matched(s session, queueKey string)
	// ended: the session ended.
	ended(s session)
	// decided: both users of an ended session have chosen, or the time for it is over.
	decided(s session, o contract.ChoiceOutcome)
}

// observers notifies each of its observers, one after the other.
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

// nobody is an observer that does nothing.
type nobody struct{}

func (nobody) joined(string, string)                   {}
func (nobody) left(string, string)                     {}
func (nobody) matched(session, string)                 {}
func (nobody) ended(session)                           {}
func (nobody) decided(session, contract.ChoiceOutcome) {}
