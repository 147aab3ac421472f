package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/payments"
)

// retryRefresh is how long a user whose refresh failed waits before it tries again, as long as its token still works.
const retryRefresh = 5 * time.Second

// A join or leave that meets the matcher's lock on the user is sent again after 50, 100, 200, 400, 500, 500 … ms: for 4 s at
// least, with the spread, and the lock lives for 3 s.
const (
	lockTries       = 12
	firstLockWait   = 50 * time.Millisecond
	longestLockWait = 500 * time.Millisecond
)

// account is what a user is, whichever VU and connection it acts through.
type account struct {
	id         string
	refreshing chan struct{} // held by the one refresh that may be under way
	ledger     ledger

	mu          sync.Mutex
	token       accessToken
	cookie      string // the refresh token; empty once it is spent
	nextRefresh time.Time
	unsold      []*order // what is to be sent again
}

// User is one of Verity's users. It keeps its access token fresh: refreshed ahead of expiry, and once after an unexpected
// 401. Its methods may be called at once; Verity itself answers 409 to overlapping queue operations.
type User struct {
	*account
	service    *Service
	connection HTTP
}

// Through returns the same user acting through another connection.
func (u *User) Through(connection HTTP) *User {
	return &User{account: u.account, service: u.service, connection: connection}
}

// ID is the user's id, a cuid.
func (u *User) ID() string { return u.id }

// Account returns the user's own account of its tokens.
func (u *User) Account() Account { return u.ledger.account() }

// Statement returns the user's account held against the balances that were read.
func (u *User) Statement() Statement { return u.ledger.statement() }

// TokenBounds returns what the balance can be, the two alike unless a purchase got no answer. It is not ok where a join or
// leave left the account open until the balance is read.
func (u *User) TokenBounds() (least, most int, ok bool) { return u.ledger.bounds() }

// MayBeQueued reports whether the user is in a queue or may be, after a join or leave without an answer.
func (u *User) MayBeQueued() bool { return u.ledger.mayBeQueued() }

// Joined is the answer to a join.
type Joined struct {
	Status   contract.JoinStatus `json:"status"`
	QueueKey string              `json:"queueKey"`
	Position *int                `json:"position"` // from 0; nil where the service does not say
	Duration time.Duration
}

// queueOperation sends a join or leave. While another operation of the user is under way, such as the matcher's, the contract
// has 409 for it, so it is sent again until that must be over.
func (u *User) queueOperation(ctx context.Context, request Request) (*Answer, error) {
	began, wait := time.Now(), firstLockWait
	for try := 1; ; try++ {
		answer, err := u.authorized(ctx, request)
		var e *Error
		if !errors.As(err, &e) || e.Name != ConflictError {
			return answer, err
		}
		if try == lockTries {
			e.Message += fmt.Sprintf("; all of %d tries within %.1f s were answered so", try, time.Since(began).Seconds())
			return nil, e
		}
		spread := 1 + rand.Float64()/4 // #nosec G404 -- spreads load, guards nothing
		if !pause(ctx, time.Duration(spread*float64(wait))) {
			return nil, NoAnswer(request.Operation, ErrStopped)
		}
		wait = min(2*wait, longestLockWait)
	}
}

// pause waits, and returns false where the context ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Join enters the queue that the body names: {"city"?,"region"?,"preferences"?}.
func (u *User) Join(ctx context.Context, body []byte) (Joined, error) {
	request := u.service.request(OpJoin, contract.RouteJoin)
	request.Header, request.Body = http.Header{"Content-Type": {contract.ContentType}}, body
	request.Allowed = []int{http.StatusConflict}
	answer, err := u.queueOperation(ctx, request)
	var joined Joined
	if err == nil {
		joined, err = parseJoined(answer)
	}
	if err != nil {
		u.noteQueueFailure(err)
		return Joined{}, err
	}
	u.ledger.join(joined.Status)
	return joined, nil
}

func parseJoined(answer *Answer) (Joined, error) {
	joined := Joined{Duration: answer.Duration}
	if err := json.Unmarshal(answer.Body, &joined); err != nil {
		return joined, protocolError(OpJoin, answer, "the body is not the JSON of a join")
	}
	if joined.Status != contract.JoinQueued && joined.Status != contract.JoinAlreadyQueued {
		return joined, protocolError(OpJoin, answer, "its status is %q, neither queued nor already_queued", shorten(string(joined.Status)))
	}
	return joined, nil
}

// Left is the answer to a leave.
type Left struct {
	Status   contract.LeaveStatus `json:"status"`
	Refunded bool                 `json:"refunded"`
}

// LostToken reports whether a token that was paid for a place in the queue is gone without a match: the refund did not come.
func (l Left) LostToken() bool { return l.Status != contract.LeaveNotQueued && !l.Refunded }

// Leave leaves the queue.
func (u *User) Leave(ctx context.Context) (Left, error) {
	request := u.service.request(OpLeave, contract.RouteLeave)
	request.Allowed = []int{http.StatusConflict}
	answer, err := u.queueOperation(ctx, request)
	var left Left
	if err == nil {
		left, err = parseLeft(answer)
	}
	if err != nil {
		u.noteQueueFailure(err)
		return Left{}, err
	}
	u.ledger.leave(left)
	return left, nil
}

func parseLeft(answer *Answer) (Left, error) {
	var left Left
	if err := json.Unmarshal(answer.Body, &left); err != nil {
		return left, protocolError(OpLeave, answer, "the body is not the JSON of a leave")
	}
	switch left.Status {
	case contract.LeaveLeft, contract.LeaveNotQueued, contract.LeaveAlreadyMatched:
		return left, nil
	default:
		return left, protocolError(OpLeave, answer, "its status is %q, none of left, not_queued and already_matched",
			shorten(string(left.Status)))
	}
}

// Balance reads the number of the user's tokens, which Account takes over.
func (u *User) Balance(ctx context.Context) (int, error) {
	answer, err := u.authorized(ctx, u.service.request(OpBalance, contract.RouteBalance))
	if err != nil {
		return 0, err
	}
	var body struct {
		TokenBalance *int `json:"tokenBalance"`
	}
	if json.Unmarshal(answer.Body, &body) != nil || body.TokenBalance == nil {
		return 0, protocolError(OpBalance, answer, "tokenBalance is not a number")
	}
	u.ledger.read(*body.TokenBalance)
	return *body.TokenBalance, nil
}

// order is a sale with its event.
type order struct {
	Sale

	event payments.Event
	// underWay: an earlier copy had no answer, so that the service may still be at it, and answer 500 to this one.
	underWay bool
}

// BuyTokens sells the user n tokens (1 to contract.MaxTokens) through a signed webhook and returns how long Verity took. After
// a failure the next call with the same n sends the same event again, signed anew, as Stripe does: it is credited once.
func (u *User) BuyTokens(ctx context.Context, n int) (time.Duration, error) {
	signer, err := u.service.signer()
	if err != nil {
		return 0, err
	}
	o, err := u.takeOrder(signer, n)
	if err != nil {
		return 0, err
	}
	answer, err := u.sell(ctx, o)
	u.NoteSale(&o.Sale, err)
	if err != nil {
		u.keepOrder(o)
		return 0, err
	}
	return answer.Duration, nil
}

// sell posts the event of an order.
func (u *User) sell(ctx context.Context, o *order) (*Answer, error) {
	request := u.service.webhookRequest(o.event.Body, o.event.Headers())
	if o.underWay {
		request.Allowed = []int{http.StatusInternalServerError}
	}
	answer, err := u.service.send(ctx, u.connection, request)
	var e *Error
	o.underWay = errors.As(err, &e) && e.Status == 0
	return answer, err
}

// takeOrder returns one that is to be sent again, or else a new one.
func (u *User) takeOrder(signer *payments.Signer, n int) (*order, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if i := slices.IndexFunc(u.unsold, func(o *order) bool { return o.Tokens == n }); i >= 0 {
		o := u.unsold[i]
		u.unsold = slices.Delete(u.unsold, i, i+1)
		o.event.Signature = signer.Sign(o.event.Body, time.Now())
		return o, nil
	}
	purchase := payments.Purchase{UserID: u.id, Tokens: n}
	event, err := signer.CheckoutCompleted(purchase)
	if err != nil {
		return nil, err
	}
	return &order{Sale: Sale{Purchase: purchase}, event: event}, nil
}

func (u *User) keepOrder(o *order) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.unsold = append(u.unsold, o)
}

// AccessToken returns a token that is good for opening a socket now.
func (u *User) AccessToken(ctx context.Context) (string, error) {
	token, err := u.freshToken(ctx, "")
	return strings.TrimPrefix(token, contract.Bearer), err
}

// NoteMatched tells the user's account that a match took the user out of the queue.
func (u *User) NoteMatched() { u.ledger.matched() }

// NoteSocketClosed tells the user's account that this side closed a socket, which takes the user out of its queue.
func (u *User) NoteSocketClosed() { u.ledger.socketClosed() }

// NoteSocketLost tells the user's account that a socket closed while the user may have been queued: the service takes the
// user out of the queue then, with refund, or has matched it.
func (u *User) NoteSocketLost() { u.ledger.lostSight() }

// NoteSale notes in the user's account what became of sending the event of a sale: err is nil after a 200.
func (u *User) NoteSale(sale *Sale, err error) { u.ledger.bought(sale, err) }

// noteQueueFailure marks the account as unknown where the service may have carried out what has no good answer. Without an
// access token it was not asked.
func (u *User) noteQueueFailure(err error) {
	var e *Error
	if errors.As(err, &e) && e.Operation != OpRefresh && outcomeUnknown(err) {
		u.ledger.lostSight()
	}
}

// authorized sends a request with a fresh access token, and once more after a 401 that a new token can mend.
func (u *User) authorized(ctx context.Context, request Request) (*Answer, error) {
	token, err := u.freshToken(ctx, "")
	if err != nil {
		return nil, err
	}
	answer, err := u.sendWith(ctx, token, request)
	if !tokenRefused(err) {
		return answer, err
	}
	if token, err = u.freshToken(ctx, token); err != nil {
		return nil, err
	}
	return u.sendWith(ctx, token, request)
}

func (u *User) sendWith(ctx context.Context, token string, request Request) (*Answer, error) {
	header := http.Header{"Authorization": {token}}
	maps.Copy(header, request.Header)
	request.Header = header
	return u.service.send(ctx, u.connection, request)
}

// tokenRefused tells a 401 that another token can mend.
func tokenRefused(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.tokenRefused
}

// freshToken returns an access token as the Authorization header has it, refreshed where it is due or where it is the one that
// was refused. A refresh that fails costs nothing as long as the token at hand still works.
func (u *User) freshToken(ctx context.Context, refused string) (string, error) {
	if token, due := u.currentToken(refused); !due {
		return token, nil
	}
	select {
	case u.refreshing <- struct{}{}:
		defer func() { <-u.refreshing }()
	case <-ctx.Done():
		return "", NoAnswer(OpRefresh, ErrStopped)
	}
	token, due := u.currentToken(refused) // another request may have refreshed meanwhile
	if !due {
		return token, nil
	}
	err := u.refresh(ctx)
	if err == nil {
		token, _ = u.currentToken("")
		return token, nil
	}
	if token != refused && u.stillValid() {
		return token, nil
	}
	return "", err
}

func (u *User) currentToken(refused string) (token string, due bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	if u.token.bearer == refused || u.token.expired(now) {
		return u.token.bearer, true
	}
	return u.token.bearer, u.token.due(now) && !now.Before(u.nextRefresh)
}

func (u *User) stillValid() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !u.token.expired(time.Now())
}

// neverSent tells a request that no connection could be opened for.
func neverSent(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return (errors.As(err, &op) && op.Op == "dial") || errors.As(err, &dns)
}

// refresh exchanges the cookie for a new token and a new cookie. A cookie whose answer was lost may be dead, and using a
// dead one costs the account its session, so it is never sent again.
func (u *User) refresh(ctx context.Context) error {
	u.mu.Lock()
	cookie := u.cookie
	u.mu.Unlock()
	if cookie == "" {
		return &Error{
			Name: AuthError, Operation: OpRefresh,
			Message: OpRefresh + " cannot be repeated: an earlier answer was lost or refused, and reuse revokes the session; sign up again",
		}
	}
	request := u.service.request(OpRefresh, contract.RouteRefresh)
	request.Header = http.Header{"Cookie": {contract.RefreshCookie + "=" + cookie}}
	answer, err := u.service.send(ctx, u.connection, request)
	if err == nil {
		err = u.refreshed(answer)
	}
	if err != nil {
		u.refreshFailed(err)
	}
	return err
}

func (u *User) refreshed(answer *Answer) error {
	var body struct {
		AccessToken string `json:"accessToken"`
	}
	cookie := answer.Cookies[contract.RefreshCookie]
	if json.Unmarshal(answer.Body, &body) != nil || body.AccessToken == "" || cookie == "" {
		return protocolError(OpRefresh, answer, "accessToken or the cookie %s is not there", contract.RefreshCookie)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.token = newAccessToken(body.AccessToken, time.Now())
	u.cookie = cookie
	u.nextRefresh = time.Time{}
	return nil
}

func (u *User) refreshFailed(err error) {
	var e *Error
	if !errors.As(err, &e) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.nextRefresh = time.Now().Add(max(retryRefresh, e.RetryAfter))
	if (e.Status == 0 && !neverSent(err)) || e.Name == AuthError || e.Name == ProtocolError {
		u.cookie = ""
	}
}
