package platform

import (
	"sync"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/payments"
)

// ledger is this side's account of a user's tokens and place in a queue: tokens bought, spent and refunded. Requests of one user
// can overlap, so it has a lock.
type ledger struct {
	mu      sync.Mutex
	tokens  int  // expected balance
	known   bool // false after a request with unknown outcome, until the balance is read
	inQueue bool
	maybe   bool // the user may be queued, after a join or leave with unknown outcome
	open    int  // tokens of purchases with unknown outcome
	reads   int  // how often the balance was read

	purchased, joined, refunded int

	// The rest is for the statement. The balance may have up to doubtLess fewer or doubtMore more than tokens, because of joins
	// and leaves with unknown outcome.
	doubtLess, doubtMore int
	lost                 int // tokens that the service did not refund
	explained            int // by how many tokens balances exceeded the expected ones, within the doubt
	missing              int // by how many tokens balances fell short, beyond the doubt; negative: exceeded
}

// Statement compares a user's account with its balances: Bought = Left + Spent + Lost + Missing.
type Statement struct {
	Bought int // including the opening balance
	Spent  int // on matches, and on the place in a queue that the user still has
	Lost   int // tokens that the service did not refund
	Left   int // the balance that was read last
	// Missing is by how much balances were lower than they must be. A request without an answer explains a difference of one
	// token, or of its purchase.
	Missing int
}

// Account is this side's account of a user's tokens.
type Account struct {
	Tokens   int  // the expected balance
	Known    bool // false: Tokens is uncertain after a request without an answer, until the balance is read
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

// bounds returns the least and the greatest possible balance: purchases with unknown outcome may be in it. ok is false after a
// join or leave with unknown outcome.
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

// question notes that the balance may be lower or higher than expected by this many tokens. The lock is held.
func (l *ledger) question(less, more int) {
	l.known = false
	l.doubtLess += less
	l.doubtMore += more
}

// compare compares a balance with the account. The lock is held.
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

// Sale is a purchase and its state in the user's account. Its event may be sent several times, and is credited once.
type Sale struct {
	payments.Purchase

	credited bool // guarded by the ledger, as are the next two
	open     bool // sent, with unknown outcome
	reads    int  // ledger.reads when it was opened
}

// bought notes the outcome of sending the event of a purchase.
func (l *ledger) bought(s *Sale, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case s.credited:
	case err == nil:
		s.credited = true
		if s.open && s.reads != l.reads {
			l.question(s.Tokens, 0) // a balance that was read meanwhile may already include the tokens
		}
		l.tokens += s.Tokens
		l.purchased += s.Tokens
		l.settle(s)
	case outcomeUnknown(err) && !s.open:
		s.open, s.reads = true, l.reads
		l.open += s.Tokens
	}
}

// settle closes an open purchase. The lock is held.
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
		// A match whose event did not arrive has spent the token, or the close of an older socket has refunded it.
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

// lostSight notes that a join or leave has an unknown outcome.
func (l *ledger) lostSight() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.question(1, 1)
	l.maybe = true
}

// socketClosed notes that the user is no longer in a queue, with a refund or after a match.
func (l *ledger) socketClosed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inQueue || l.maybe {
		l.question(0, 1)
	}
	l.inQueue, l.maybe = false, false
}

// read compares the service's balance with the account, and adopts it.
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
