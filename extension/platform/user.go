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

// retryRefresh is how long a user waits after a failed refresh before it tries again, while its token still works.
const retryRefresh = 5 * time.Second

// A join or leave that the matcher's lock on the user refuses is sent again after 50, 100, 200, 400, 500, 500 … ms: for at least
// 4 s, plus a random spread. The lock expires after 3 s.
const (
	lockTries       = 12
	firstLockWait   = 50 * time.Millisecond
	longestLockWait = 500 * time.Millisecond
)

// account is the state of a user, independent of its connection.
type account struct {
	id         string
	refreshing chan struct{} // a semaphore: one refresh at a time
	ledger     ledger

	mu          sync.Mutex
	token       accessToken
	cookie      string    // the refresh token; "" once it is spent
	nextRefresh time.Time // earliest time of the next refresh, after a failed one
	unsold      []*order  // to be sent again
}

// User is a user of Verity. It refreshes its access token before it expires, and once after an unexpected 401. Its methods are
// safe for concurrent use; Verity answers overlapping queue operations of a user with 409.
type User struct {
	*account
	service    *Service
	connection HTTP
}

// Through returns the same user with another connection.
func (u *User) Through(connection HTTP) *User {
	return &User{account: u.account, service: u.service, connection: connection}
}

// ID returns the user's id, a cuid.
func (u *User) ID() string { return u.id }

// Account returns this side's account of the user's tokens.
func (u *User) Account() Account { return u.ledger.account() }

// Statement returns the comparison of the user's account with the balances that were read.
func (u *User) Statement() Statement { return u.ledger.statement() }

// TokenBounds returns the least and the greatest possible balance, which differ only if a purchase got no answer. ok is false
// after a join or leave with unknown outcome, until the balance is read.
func (u *User) TokenBounds() (least, most int, ok bool) { return u.ledger.bounds() }

// MayBeQueued reports whether the user is in a queue, or may be after a join or leave without an answer.
func (u *User) MayBeQueued() bool { return u.ledger.mayBeQueued() }

// Joined is the answer to a join.
type Joined struct {
	Status   contract.JoinStatus `json:"status"`
	QueueKey string              `json:"queueKey"`
	Position *int                `json:"position"` // from 0; nil: not in the answer
	Duration time.Duration
}

// queueOperation sends a join or leave. Verity answers 409 while another operation of the user is under way, such as the
// matcher's; then it sends the request again until that must be over.
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

// pause waits, and returns false if the context ended first.
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

// LostToken reports whether the token for the place in the queue was not refunded.
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

// Balance reads the user's token balance, which Account adopts.
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
	// underWay: an earlier copy got no answer. The service may still be processing it, and answers this one with 500.
	underWay bool
}

// BuyTokens buys n tokens (1 to contract.MaxTokens) through a signed webhook, and returns how long Verity took. After a failure,
// the next call with the same n sends the same event again with a new signature, as Stripe does; it is credited once.
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

// takeOrder returns an order of n tokens that is to be sent again, or a new one.
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

// AccessToken returns a valid access token, refreshed if it is due.
func (u *User) AccessToken(ctx context.Context) (string, error) {
	token, err := u.freshToken(ctx, "")
	return strings.TrimPrefix(token, contract.Bearer), err
}

// NoteMatched records in the user's account that a match removed the user from the queue.
func (u *User) NoteMatched() { u.ledger.matched() }

// NoteSocketClosed records in the user's account that this side closed a socket, which removes the user from its queue.
func (u *User) NoteSocketClosed() { u.ledger.socketClosed() }

// NoteSocketLost records in the user's account that a socket was lost while the user may have been queued: the service then
// removes the user from the queue with a refund, or has matched it.
func (u *User) NoteSocketLost() { u.ledger.lostSight() }

// NoteSale records in the user's account the outcome of sending the event of a sale: err is nil after a 200.
func (u *User) NoteSale(sale *Sale, err error) { u.ledger.bought(sale, err) }

// noteQueueFailure marks the account as uncertain if the service may have carried out the operation in spite of the error. If the
// user could not refresh its access token, the operation was not sent.
func (u *User) noteQueueFailure(err error) {
	var e *Error
	if errors.As(err, &e) && e.Operation != OpRefresh && outcomeUnknown(err) {
		u.ledger.lostSight()
	}
}

// authorized sends a request with a valid access token, and again with a new one after a 401 that refuses the token.
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

// tokenRefused reports whether an error is a 401 that refuses the access token.
func tokenRefused(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.tokenRefused
}

// freshToken returns the value of the Authorization header, with the access token refreshed if it is due or was refused. If a
// refresh fails while the current token is still valid, it returns that one.
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

// neverSent reports whether no connection could be opened for a request.
func neverSent(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return (errors.As(err, &op) && op.Op == "dial") || errors.As(err, &dns)
}

// refresh exchanges the cookie for a new token and a new cookie. If the answer is lost, the cookie may be used up, and reusing it
// would revoke the account's session, so it is never sent again.
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
