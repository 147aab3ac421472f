package platform

import (
	"sync"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/payments"
)

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

	// What the statement at the end needs besides. doubt is by how much the balance may differ from tokens because of joins and
	// leaves whose outcome is unknown: at most so many fewer or more.
	doubtLess, doubtMore int
	lost                 int // refunds that the service said would not come
	explained            int // tokens by which a balance that was read was higher than tokens, within the doubt
	missing              int // tokens by which it was lower than can be; negative: higher
}

// Statement is a user's account held against its balance: Bought = Left + Spent + Lost + Missing.
type Statement struct {
	Bought int // with what the account opened with
	Spent  int // on matches, and on places in a queue that the user still has
	Lost   int // refunds that the service said would not come
	Left   int // the balance that was read last
	// Missing is what the balances that were read had less than they must. Where requests got no answer, each explains a
	// difference of one token, or of its purchase.
	Missing int
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
	l.purchased = balance
}

func (l *ledger) statement() Statement {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Statement{
		Bought: l.purchased, Lost: l.lost, Left: l.tokens, Missing: l.missing,
		Spent: l.joined - l.refunded - l.lost - l.explained,
	}
}

// question notes that the balance may be so many tokens lower or higher than the account has it. The lock is held.
func (l *ledger) question(less, more int) {
	l.known = false
	l.doubtLess += less
	l.doubtMore += more
}

// compare holds a balance against the account. The lock is held.
func (l *ledger) compare(balance int) {
	more := balance - l.tokens
	if credited := min(more, l.open); credited > 0 {
		l.purchased += credited
		more -= credited
	}
	if more < -l.doubtLess || more > l.doubtMore {
		l.missing -= more
		return
	}
	l.explained += more
}

// Sale is a purchase as the account of its user has it. Its event may be sent again, and is credited once.
type Sale struct {
	payments.Purchase

	credited bool // this and the next belong to the ledger
	open     bool // sent, and the outcome unknown
	reads    int  // of the balance, when it was opened
}

// bought notes what became of sending the event of a purchase.
func (l *ledger) bought(s *Sale, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case s.credited:
	case err == nil:
		s.credited = true
		if s.open && s.reads != l.reads {
			l.question(s.Tokens, 0) // a balance that was read meanwhile may have the tokens in it already
		}
		l.tokens += s.Tokens
		l.purchased += s.Tokens
		l.settle(s)
	case outcomeUnknown(err) && !s.open:
		s.open, s.reads = true, l.reads
		l.open += s.Tokens
	}
}

// settle takes an open purchase off the list. The lock is held.
func (l *ledger) settle(s *Sale) {
	if s.open {
		s.open = false
		l.open = max(0, l.open-s.Tokens)
	}
}

func (l *ledger) join(status contract.JoinStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inQueue, l.maybe = true, false
	if status == contract.JoinQueued {
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
	if l.inQueue && left.Status == contract.LeaveNotQueued {
		// A match that was not heard has spent the token, or an older socket has closed and brought it back.
		l.question(0, 1)
	}
	l.inQueue, l.maybe = false, false
	if left.Refunded {
		l.tokens++
		l.refunded++
	}
	if left.LostToken() {
		l.lost++
	}
}

// lostSight notes that a join or leave has no known outcome.
func (l *ledger) lostSight() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.question(1, 1)
	l.maybe = true
}

// socketClosed notes that the user is in no queue any more, with its refund or after a match.
func (l *ledger) socketClosed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inQueue || l.maybe {
		l.question(0, 1)
	}
	l.inQueue, l.maybe = false, false
}

// read takes over the balance that the service gives, which is the truth from here on.
func (l *ledger) read(balance int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.compare(balance)
	l.tokens, l.known, l.open = balance, true, 0
	l.doubtLess, l.doubtMore = 0, 0
	l.reads++
}

func (l *ledger) mayBeQueued() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inQueue || l.maybe
}
