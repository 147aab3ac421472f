package platform

import "sync"

// ledger is a user's own account of its tokens and its place in a queue: what it bought, spent and got back. Requests of
// one user can overlap, so it has a lock.
type ledger struct {
	mu      sync.Mutex
	tokens  int
	known   bool // false after a request whose outcome is unknown, until the balance is read
	inQueue bool
	maybe   bool // a join or leave whose outcome is unknown: the user may be queued
	open    int  // tokens of purchases whose outcome is unknown
	reads   int  // of the balance

	purchased, joined, refunded int
}

// Account is a user's own account of its tokens.
type Account struct {
	Tokens   int  // what the balance should be
	Known    bool // false: a request without an answer left it open until the balance is read
	Bought   int
	Joined   int // joins that cost a token
	Refunded int
}

func (l *ledger) account() Account {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Account{
		Tokens: l.tokens, Known: l.known && l.open == 0,
		Bought: l.purchased, Joined: l.joined, Refunded: l.refunded,
	}
}

// bounds returns what the balance can be: purchases whose outcome is unknown may be in it. It is not ok where a join or leave
// left it open.
func (l *ledger) bounds() (least, most int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tokens, l.tokens + l.open, l.known
}

func (l *ledger) opened(balance int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens, l.known = balance, true
}

// Purchase is one event that sells tokens to one user. Sent again, it is credited once.
type Purchase struct {
	UserID string
	Tokens int

	credited bool // this and the next belong to the ledger
	open     bool // sent, and the outcome unknown
	reads    int  // of the balance, when it was opened
}

// bought notes what became of sending the event of a purchase.
func (l *ledger) bought(p *Purchase, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case p.credited:
	case err == nil:
		p.credited = true
		if p.open && p.reads != l.reads {
			l.known = false // a balance that was read meanwhile may have the tokens in it already
		}
		l.tokens += p.Tokens
		l.purchased += p.Tokens
		l.settle(p)
	case outcomeUnknown(err) && !p.open:
		p.open, p.reads = true, l.reads
		l.open += p.Tokens
	}
}

// settle takes an open purchase off the list. The lock is held.
func (l *ledger) settle(p *Purchase) {
	if p.open {
		p.open = false
		l.open = max(0, l.open-p.Tokens)
	}
}

func (l *ledger) join(status JoinStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inQueue, l.maybe = true, false
	if status == Queued {
		l.tokens--
		l.joined++
	}
}

func (l *ledger) matched() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inQueue, l.maybe = false, false
}

func (l *ledger) leave(left Left) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inQueue && left.Status == NotQueued {
		// A match that was not heard has spent the token, or an older socket has closed and brought it back.
		l.known = false
	}
	l.inQueue, l.maybe = false, false
	if left.Refunded {
		l.tokens++
		l.refunded++
	}
}

// lostSight notes that a join or leave has no known outcome.
func (l *ledger) lostSight() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known, l.maybe = false, true
}

// socketClosed notes that the user is in no queue any more, with its refund or after a match.
func (l *ledger) socketClosed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = l.known && !l.inQueue && !l.maybe
	l.inQueue, l.maybe = false, false
}

// read takes over the balance that the service gives, which is the truth from here on.
func (l *ledger) read(balance int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens, l.known, l.open = balance, true, 0
	l.reads++
}

func (l *ledger) mayBeQueued() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inQueue || l.maybe
}
