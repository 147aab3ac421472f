package platform_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/payments"
	"github.com/verity-app/xk6-verity/extension/platform"
)

// fakeVerity is a platform.HTTP that answers with a function for each operation.
type fakeVerity struct {
	mu       sync.Mutex
	lifetime int // s, of access tokens
	issued   int
	requests []platform.Request
	answers  map[string]func(platform.Request) (*platform.Answer, error)
}

func newFakeVerity() *fakeVerity {
	f := &fakeVerity{lifetime: 900}
	f.answers = map[string]func(platform.Request) (*platform.Answer, error){
		platform.OpSignUp: func(platform.Request) (*platform.Answer, error) {
			return f.session(201, `"user":{"id":"c1","tokenBalance":0},`), nil
		},
		platform.OpRefresh: func(platform.Request) (*platform.Answer, error) { return f.session(200, ""), nil },
		platform.OpWebhook: says(200, `{"received":true}`),
		platform.OpJoin:    says(201, `{"status":"queued","queueKey":"canberra:44136fa355b3","position":0}`),
		platform.OpLeave:   says(200, `{"status":"left","refunded":true,"queueKey":"canberra:44136fa355b3"}`),
		platform.OpBalance: says(200, `{"tokenBalance":3}`),
	}
	return f
}

func says(status int, body string) func(platform.Request) (*platform.Answer, error) {
	return func(platform.Request) (*platform.Answer, error) {
		return &platform.Answer{Status: status, Body: []byte(body), Duration: time.Millisecond}, nil
	}
}

func fails(err error) func(platform.Request) (*platform.Answer, error) {
	return func(platform.Request) (*platform.Answer, error) { return nil, err }
}

// session answers with the next access token, token1, token2 …, and the next cookie.
func (f *fakeVerity) session(status int, user string) *platform.Answer {
	f.issued++
	claims := fmt.Sprintf(`{"n":%d,"iat":1700000000,"exp":%d}`, f.issued, 1700000000+f.lifetime)
	return &platform.Answer{
		Status:  status,
		Body:    fmt.Appendf(nil, `{%s"accessToken":"%s"}`, user, "e30."+base64.RawURLEncoding.EncodeToString([]byte(claims))+".sig"),
		Cookies: map[string]string{"refresh_token": fmt.Sprintf("cookie%d", f.issued)},
	}
}

func (f *fakeVerity) Do(_ context.Context, request platform.Request) (*platform.Answer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, request)
	return f.answers[request.Operation](request)
}

func (f *fakeVerity) on(operation string, answer func(platform.Request) (*platform.Answer, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[operation] = answer
}

// sent returns the requested operations.
func (f *fakeVerity) sent() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var operations []string
	for _, request := range f.requests {
		operations = append(operations, request.Operation)
	}
	return strings.Join(operations, " ")
}

func (f *fakeVerity) signUp(t *testing.T) *platform.User {
	t.Helper()
	signer, err := payments.NewSigner("whsec_x")
	require.NoError(t, err)
	service := platform.NewService("http://verity.test", func() (*payments.Signer, error) { return signer, nil })
	user, err := service.SignUp(t.Context(), f)
	require.NoError(t, err)
	return user
}

func tokenNumber(t *testing.T, request platform.Request) int {
	t.Helper()
	token, ok := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
	require.True(t, ok)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	require.NoError(t, err)
	var claims struct{ N int }
	require.NoError(t, json.Unmarshal(payload, &claims))
	return claims.N
}

func TestAUserJoinsAndLeaves(t *testing.T) {
	t.Parallel()
	verity := newFakeVerity()
	user := verity.signUp(t)
	require.Equal(t, "c1", user.ID())
	require.False(t, user.MayBeQueued())

	took, err := user.BuyTokens(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, time.Millisecond, took)
	require.Equal(t, platform.Account{Tokens: 2, Known: true, Bought: 2}, user.Account())

	body := []byte(`{"preferences":{}}`)
	joined, err := user.Join(t.Context(), body)
	require.NoError(t, err)
	zero := 0
	require.Equal(t, platform.Joined{
		Status: contract.JoinQueued, QueueKey: "canberra:44136fa355b3", Position: &zero, Duration: time.Millisecond,
	}, joined)
	require.True(t, user.MayBeQueued())
	require.Equal(t, platform.Account{Tokens: 1, Known: true, Bought: 2, Joined: 1}, user.Account())

	left, err := user.Leave(t.Context())
	require.NoError(t, err)
	require.Equal(t, platform.Left{Status: contract.LeaveLeft, Refunded: true}, left)
	require.False(t, user.MayBeQueued())
	require.Equal(t, platform.Account{Tokens: 2, Known: true, Bought: 2, Joined: 1, Refunded: 1}, user.Account())

	request := verity.requests[2]
	require.Equal(t, http.MethodPost, request.Method)
	require.Equal(t, "http://verity.test/queue/join", request.URL)
	require.Equal(t, body, request.Body)
	require.Equal(t, "application/json", request.Header.Get("Content-Type"))
	require.Equal(t, 1, tokenNumber(t, request))
	require.Equal(t, http.MethodDelete, verity.requests[3].Method)
}

func TestTheEffectOfALeaveOnTheAccount(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, body string
		lost       bool
		tokens     int
		known      bool
	}{
		{"left", `{"status":"left","refunded":true}`, false, 0, true},
		{"left, refund did not come", `{"status":"left","refunded":false}`, true, -1, true},
		{"matched, or put out by an older socket", `{"status":"not_queued","refunded":false}`, false, -1, false},
		{"queued again within an hour of a match", `{"status":"already_matched","refunded":false}`, true, -1, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			verity := newFakeVerity()
			user := verity.signUp(t)
			_, err := user.Join(t.Context(), nil)
			require.NoError(t, err)
			verity.on(platform.OpLeave, says(200, tc.body))
			left, err := user.Leave(t.Context())
			require.NoError(t, err)
			require.Equal(t, tc.lost, left.LostToken())
			require.Equal(t, tc.tokens, user.Account().Tokens)
			require.Equal(t, tc.known, user.Account().Known)
			require.False(t, user.MayBeQueued())
		})
	}
}

func TestAMatchSpendsTheToken(t *testing.T) {
	t.Parallel()
	verity := newFakeVerity()
	user := verity.signUp(t)
	_, err := user.Join(t.Context(), nil)
	require.NoError(t, err)
	user.NoteMatched()
	verity.on(platform.OpLeave, says(200, `{"status":"not_queued","refunded":false}`))
	_, err = user.Leave(t.Context())
	require.NoError(t, err)
	require.Equal(t, platform.Account{Tokens: -1, Known: true, Joined: 1}, user.Account())
}

func TestClosingTheSocketTakesAUserOutOfItsQueue(t *testing.T) {
	t.Parallel()
	verity := newFakeVerity()
	user := verity.signUp(t)
	user.NoteSocketClosed()
	require.True(t, user.Account().Known, "it was in none")
	_, err := user.Join(t.Context(), nil)
	require.NoError(t, err)
	user.NoteSocketClosed()
	require.False(t, user.MayBeQueued())
	require.False(t, user.Account().Known, "refunded, or matched before")
}

func TestAlreadyQueuedCostsNothing(t *testing.T) {
	t.Parallel()
	verity := newFakeVerity()
	user := verity.signUp(t)
	verity.on(platform.OpJoin, says(201, `{"status":"already_queued","queueKey":"perth:1","position":null}`))
	joined, err := user.Join(t.Context(), nil)
	require.NoError(t, err)
	require.Nil(t, joined.Position)
	require.Equal(t, platform.Account{Known: true}, user.Account())
	require.True(t, user.MayBeQueued())
}

func TestAnUnknownOutcomeStaysOpenUntilTheBalanceIsRead(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(platform.Request) (*platform.Answer, error){
		"timeout":       fails(platform.ErrTimeout),
		"connection":    fails(errors.New("connection reset by peer")),
		"stopped":       fails(platform.ErrStopped),
		"server error":  says(500, `{"message":"Internal server error"}`),
		"broken answer": says(201, `{"status":"queu`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			verity := newFakeVerity()
			user := verity.signUp(t)
			verity.on(platform.OpJoin, answer)
			_, err := user.Join(t.Context(), nil)
			require.Error(t, err)
			require.True(t, user.MayBeQueued())
			require.False(t, user.Account().Known)
			_, err = user.Balance(t.Context())
			require.NoError(t, err)
			require.Equal(t, platform.Account{Tokens: 3, Known: true}, user.Account())
		})
	}
}

func TestARefusedJoinLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 409, 429} {
		verity := newFakeVerity()
		user := verity.signUp(t)
		verity.on(platform.OpJoin, says(status, `{"message":"no"}`))
		_, err := user.Join(t.Context(), nil)
		require.Error(t, err)
		require.False(t, user.MayBeQueued())
		require.True(t, user.Account().Known)
	}
}

func TestErrorsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err           error
		name, message string
	}{
		{platform.ErrStopped, platform.StoppedError, "tokens_balance was stopped by the end of the run"},
		{platform.ErrTimeout, platform.TimeoutError,
			"tokens_balance was not answered in time; the service is overloaded or timeoutSeconds is too short"},
		{errors.New("dial tcp 127.0.0.1:1: connection refused"), platform.ConnectionError,
			"tokens_balance got no answer: dial tcp 127.0.0.1:1: connection refused"},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, platform.ConnectionError,
			"tokens_balance could not be sent: dial: connection refused"},
		{&net.DNSError{Err: "no such host", Name: "verity"}, platform.ConnectionError,
			"tokens_balance could not be sent: lookup verity: no such host"},
		{&tls.CertificateVerificationError{Err: errors.New("x509: unknown authority")}, platform.ConnectionError,
			"tokens_balance could not be sent: tls: failed to verify certificate: x509: unknown authority"},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, platform.ConnectionError,
			"tokens_balance could not be sent: tls: first record does not look like a TLS handshake"},
		{&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, platform.ConnectionError,
			"tokens_balance got no answer: read: connection reset by peer"},
	} {
		verity := newFakeVerity()
		user := verity.signUp(t)
		verity.on(platform.OpBalance, fails(tc.err))
		_, err := user.Balance(t.Context())
		require.EqualError(t, err, tc.message)
		require.ErrorIs(t, err, tc.err)
		var typed *platform.Error
		require.ErrorAs(t, err, &typed)
		require.Equal(t, tc.name, typed.Name)
		require.Equal(t, platform.OpBalance, typed.Operation)
		require.Zero(t, typed.Status)
	}
}

func TestAnswersThatViolateTheContract(t *testing.T) {
	t.Parallel()
	const ask = "; is this a Verity, and of a version that this tool knows?"
	type call func(*platform.User) error
	join := func(u *platform.User) error { _, err := u.Join(context.Background(), nil); return err }
	leave := func(u *platform.User) error { _, err := u.Leave(context.Background()); return err }
	balance := func(u *platform.User) error { _, err := u.Balance(context.Background()); return err }
	for _, tc := range []struct {
		operation string
		call      call
		status    int
		body      string
		want      string
	}{
		{platform.OpJoin, join, 201, `<html>`, "queue_join was answered 201, but the body is not the JSON of a join"},
		{platform.OpJoin, join, 201, `{"status":"matched"}`, `queue_join was answered 201, but its status is "matched", ` +
			"neither queued nor already_queued"},
		{platform.OpLeave, leave, 200, `[]`, "queue_leave was answered 200, but the body is not the JSON of a leave"},
		{platform.OpLeave, leave, 200, `{}`, `queue_leave was answered 200, but its status is "", none of left, not_queued and ` +
			"already_matched"},
		{platform.OpBalance, balance, 200, `{"tokenBalance":null}`, "tokens_balance was answered 200, but tokenBalance is not a number"},
	} {
		verity := newFakeVerity()
		user := verity.signUp(t)
		verity.on(tc.operation, says(tc.status, tc.body))
		err := tc.call(user)
		require.EqualError(t, err, tc.want+ask)
	}
}

func TestSignUpRefusesAnAnswerWithoutTokenOrCookie(t *testing.T) {
	t.Parallel()
	service := platform.NewService("http://verity.test", nil)
	verity := newFakeVerity()
	verity.on(platform.OpSignUp, says(201, `{"user":{"id":"c1"},"accessToken":"x"}`))
	_, err := service.SignUp(t.Context(), verity)
	require.ErrorContains(t, err, "user.id, user.tokenBalance and accessToken are not all there")
	verity.on(platform.OpSignUp, says(201, `{"user":{"id":"c1","tokenBalance":0},"accessToken":"x"}`))
	_, err = service.SignUp(t.Context(), verity)
	require.ErrorContains(t, err, "the cookie refresh_token is not there")
}

func TestATokenIsRefreshedAheadOfItsExpiry(t *testing.T) {
	t.Parallel()
	verity := newFakeVerity()
	verity.lifetime = 1
	user := verity.signUp(t)
	require.Eventually(t, func() bool { // due between 0.3 and 0.4 s after it was issued
		_, err := user.Balance(t.Context())
		return err == nil && strings.Contains(verity.sent(), platform.OpRefresh)
	}, 2*time.Second, 20*time.Millisecond)

	var refresh platform.Request
	for _, request := range verity.requests {
		if request.Operation == platform.OpRefresh {
			refresh = request
		}
	}
	require.Equal(t, "http://verity.test/auth/refresh", refresh.URL)
	require.Equal(t, "refresh_token=cookie1", refresh.Header.Get("Cookie"))
	require.Empty(t, refresh.Header.Get("Authorization"))
	require.Nil(t, refresh.Body)
	last := verity.requests[len(verity.requests)-1]
	require.Equal(t, 2, tokenNumber(t, last), "the request after the refresh has the new token")
}

// expiring makes Verity refuse to return the balance for all tokens before the nth, with 401.
func (f *fakeVerity) expiring(t *testing.T, n int, then string) {
	t.Helper()
	f.on(platform.OpBalance, func(request platform.Request) (*platform.Answer, error) {
		if tokenNumber(t, request) < n {
			return &platform.Answer{Status: 401, Body: []byte(`{"message":"Unauthorized","statusCode":401}`)}, nil
		}
		return &platform.Answer{Status: 200, Body: []byte(then)}, nil
	})
}

func TestAnUnexpected401IsMendedByOneRefresh(t *testing.T) {
	t.Parallel()
	verity := newFakeVerity()
	user := verity.signUp(t)
	verity.expiring(t, 2, `{"tokenBalance":7}`)
	balance, err := user.Balance(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7, balance)
	require.Equal(t, "auth_signup tokens_balance auth_refresh tokens_balance", verity.sent())
}

func TestA401ThatPersistsIsAnAuthError(t *testing.T) {
	t.Parallel()
	verity := newFakeVerity()
	user := verity.signUp(t)
	verity.expiring(t, 99, "")
	_, err := user.Balance(t.Context())
	require.EqualError(t, err, "tokens_balance was answered 401: Unauthorized; sign up again")
	require.Equal(t, "auth_signup tokens_balance auth_refresh tokens_balance", verity.sent())
}

func TestASuspensionIsNotAnsweredWithARefresh(t *testing.T) {
	t.Parallel()
	verity := newFakeVerity()
	user := verity.signUp(t)
	verity.on(platform.OpJoin, says(401, `{"message":"Account is temporarily suspended","statusCode":401}`))
	_, err := user.Join(t.Context(), nil)
	require.EqualError(t, err, "queue_join was answered 401: Account is temporarily suspended; sign up again")
	require.Equal(t, "auth_signup queue_join", verity.sent())
}

func TestOneRefreshAtATimePerUser(t *testing.T) {
	t.Parallel()
	verity := newFakeVerity()
	user := verity.signUp(t)
	verity.expiring(t, 2, `{"tokenBalance":7}`)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			balance, err := user.Balance(context.Background())
			if err != nil || balance != 7 {
				t.Errorf("balance %d, error %v", balance, err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, strings.Count(verity.sent(), platform.OpRefresh))
}

func TestARefreshWhoseAnswerWasLostIsNeverRepeated(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(platform.Request) (*platform.Answer, error){
		"lost":    fails(platform.ErrTimeout),
		"refused": says(401, `{"message":"Refresh token reused","statusCode":401}`),
		"broken":  says(200, `{}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			verity := newFakeVerity()
			user := verity.signUp(t)
			verity.expiring(t, 2, `{"tokenBalance":7}`)
			verity.on(platform.OpRefresh, answer)
			_, err := user.Balance(t.Context())
			require.Error(t, err)
			_, err = user.Balance(t.Context())
			require.EqualError(t, err, "auth_refresh cannot be repeated: an earlier answer was lost or refused, "+
				"and reuse revokes the session; sign up again")
			require.Equal(t, 1, strings.Count(verity.sent(), platform.OpRefresh))
		})
	}
}

// A restart of the service must not cost a user its session.
func TestARefreshThatWasNeverSentIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"refused":    &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
		"name error": fmt.Errorf("lookup: %w", &net.DNSError{Err: "no such host"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			verity := newFakeVerity()
			user := verity.signUp(t)
			verity.expiring(t, 2, `{"tokenBalance":7}`)
			verity.on(platform.OpRefresh, fails(err))
			_, failed := user.Balance(t.Context())
			require.ErrorIs(t, failed, err)
			verity.on(platform.OpRefresh, func(platform.Request) (*platform.Answer, error) { return verity.session(200, ""), nil })
			_, failed = user.Balance(t.Context())
			require.NoError(t, failed)
		})
	}
}

// Without an access token the join is not sent.
func TestAJoinWithoutATokenLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	verity := newFakeVerity()
	user := verity.signUp(t)
	verity.on(platform.OpJoin, says(401, `{"message":"Unauthorized","statusCode":401}`))
	verity.on(platform.OpRefresh, fails(platform.ErrTimeout))
	for range 2 {
		_, err := user.Join(t.Context(), nil)
		require.ErrorContains(t, err, platform.OpRefresh)
		require.False(t, user.MayBeQueued())
		require.True(t, user.Account().Known)
	}
}

func TestNoMessageRepeatsWhatTheServiceEchoes(t *testing.T) {
	t.Parallel()
	verity := newFakeVerity()
	user := verity.signUp(t)
	echo := func(request platform.Request) (*platform.Answer, error) {
		said, err := json.Marshal(map[string]string{"message": fmt.Sprintf("no: %s%s%s", request.Header.Get("Authorization"),
			request.Header.Get("Cookie"), request.Header.Get("Stripe-Signature"))})
		return &platform.Answer{Status: 403, Body: said}, err
	}
	verity.on(platform.OpJoin, echo)
	_, err := user.Join(t.Context(), nil)
	require.EqualError(t, err, "queue_join was answered 403: no: Bearer ***")
	verity.on(platform.OpWebhook, echo)
	_, err = user.BuyTokens(t.Context(), 1)
	require.EqualError(t, err, "stripe_webhook was answered 403: no: ***")
	verity.expiring(t, 2, `{}`)
	verity.on(platform.OpRefresh, echo)
	_, err = user.Balance(t.Context())
	require.EqualError(t, err, "auth_refresh was answered 403: no: refresh_token=***")
}

func TestARefreshThatWasTurnedAwayIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 500, 503} {
		verity := newFakeVerity()
		user := verity.signUp(t)
		verity.expiring(t, 2, `{"tokenBalance":7}`)
		verity.on(platform.OpRefresh, says(status, ""))
		_, err := user.Balance(t.Context())
		require.Error(t, err)
		verity.on(platform.OpRefresh, func(platform.Request) (*platform.Answer, error) { return verity.session(200, ""), nil })
		_, err = user.Balance(t.Context())
		require.NoError(t, err)
	}
}

func TestARefreshThatFailsAheadOfExpiryCostsNothingYet(t *testing.T) {
	t.Parallel()
	verity := newFakeVerity()
	verity.lifetime = 5
	user := verity.signUp(t)
	verity.on(platform.OpRefresh, says(429, ""))
	require.Eventually(t, func() bool { // due after 3 to 3.5 s; the token counts as valid for 4
		_, err := user.Balance(t.Context())
		require.NoError(t, err)
		return strings.Contains(verity.sent(), platform.OpRefresh)
	}, 3900*time.Millisecond, 20*time.Millisecond)
	_, err := user.Balance(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(verity.sent(), platform.OpRefresh), "it does not hammer")
}

func TestAPurchaseIsBookedOnceHoweverOftenItsEventIsSent(t *testing.T) {
	t.Parallel()
	refused := &platform.Error{Name: platform.HTTPError, Status: 500}
	for _, tc := range []struct {
		name     string
		outcomes []error
		want     platform.Account
		most     int // tokens that the balance can have
	}{
		{"once", []error{nil}, platform.Account{Tokens: 5, Known: true, Bought: 5}, 5},
		{"twice", []error{nil, nil}, platform.Account{Tokens: 5, Known: true, Bought: 5}, 5},
		{"200 then 500", []error{nil, refused}, platform.Account{Tokens: 5, Known: true, Bought: 5}, 5},
		{"500 then 200", []error{refused, nil}, platform.Account{Tokens: 5, Known: true, Bought: 5}, 5},
		{"500 only", []error{refused, refused}, platform.Account{}, 5},
		{"400", []error{&platform.Error{Name: platform.HTTPError, Status: 400}}, platform.Account{Known: true}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			user := newFakeVerity().signUp(t)
			purchase := &platform.Sale{Purchase: payments.Purchase{UserID: user.ID(), Tokens: 5}}
			for _, err := range tc.outcomes {
				user.NoteSale(purchase, err)
			}
			require.Equal(t, tc.want, user.Account())
			least, most, ok := user.TokenBounds()
			require.True(t, ok)
			require.Equal(t, tc.want.Tokens, least)
			require.Equal(t, tc.most, most)
		})
	}
}

func TestBuyingWithoutASecret(t *testing.T) {
	t.Parallel()
	missing := errors.New("STRIPE_WEBHOOK_SECRET is not set")
	service := platform.NewService("http://verity.test", func() (*payments.Signer, error) { return nil, missing })
	user, err := service.SignUp(t.Context(), newFakeVerity())
	require.NoError(t, err)
	_, err = user.BuyTokens(t.Context(), 1)
	require.ErrorIs(t, err, missing)
}

func TestAUserKeepsItsAccountThroughAnotherConnection(t *testing.T) {
	t.Parallel()
	first, second := newFakeVerity(), newFakeVerity()
	user := first.signUp(t)
	same := user.Through(second)
	_, err := same.Join(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, "queue_join", second.sent())
	require.True(t, user.MayBeQueued())
}

// locked answers 409 a number of times, and then as before.
func (f *fakeVerity) locked(operation string, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	then := f.answers[operation]
	f.answers[operation] = func(r platform.Request) (*platform.Answer, error) {
		if times > 0 {
			times--
			return says(409, `{"message":"Queue operation in progress","statusCode":409}`)(r)
		}
		return then(r)
	}
}

func TestAQueueOperationThatMeetsALockIsSentAgain(t *testing.T) {
	t.Parallel()
	f := newFakeVerity()
	user := f.signUp(t)
	f.locked(platform.OpJoin, 3)
	f.locked(platform.OpLeave, 2)
	joined, err := user.Join(t.Context(), []byte(`{}`))
	require.NoError(t, err)
	require.Equal(t, contract.JoinQueued, joined.Status)
	left, err := user.Leave(t.Context())
	require.NoError(t, err)
	require.True(t, left.Refunded)
	require.Equal(t, "auth_signup"+strings.Repeat(" queue_join", 4)+strings.Repeat(" queue_leave", 3), f.sent())
	for _, request := range f.requests[1:] {
		require.False(t, request.Failed(409), "it is within the contract")
		require.True(t, request.Failed(500))
	}
	require.False(t, user.MayBeQueued())
	require.True(t, user.Account().Known)
}

func TestALockThatDoesNotEndIsAnError(t *testing.T) {
	t.Parallel()
	f := newFakeVerity()
	user := f.signUp(t)
	f.locked(platform.OpLeave, 100)
	started := time.Now()
	_, err := user.Leave(t.Context())
	var e *platform.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, platform.ConflictError, e.Name)
	require.Regexp(t, `^queue_leave was answered 409: Queue operation in progress; one operation of a user at a time; `+
		`all of 12 tries within \d\.\d s were answered so$`, e.Message)
	require.Greater(t, time.Since(started), 3*time.Second, "the lock lives for 3 s")
	require.Equal(t, 12, strings.Count(f.sent(), "queue_leave"))
}

func TestTheEndOfTheRunEndsTheWaitForALock(t *testing.T) {
	t.Parallel()
	f := newFakeVerity()
	user := f.signUp(t)
	f.locked(platform.OpLeave, 100)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := user.Leave(ctx)
	var e *platform.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, platform.StoppedError, e.Name)
}

// eventIDs returns the ids of the events that were sent.
func (f *fakeVerity) eventIDs(t *testing.T) (ids []string, allowed500 []bool) {
	t.Helper()
	for _, request := range f.requests {
		if request.Operation != platform.OpWebhook {
			continue
		}
		var event struct{ ID string }
		require.NoError(t, json.Unmarshal(request.Body, &event))
		ids, allowed500 = append(ids, event.ID), append(allowed500, !request.Failed(500))
	}
	return ids, allowed500
}

func TestAPurchaseThatFailsIsSentAgainAsTheSameEvent(t *testing.T) {
	t.Parallel()
	f := newFakeVerity()
	user := f.signUp(t)
	buy := func(n int, answer func(platform.Request) (*platform.Answer, error)) error {
		f.on(platform.OpWebhook, answer)
		_, err := user.BuyTokens(t.Context(), n)
		return err
	}
	credited := says(200, `{"received":true}`)
	require.Error(t, buy(5, says(500, `{}`)))
	require.Error(t, buy(5, fails(platform.ErrTimeout)))
	require.NoError(t, buy(2, credited), "another number is another purchase")
	require.Error(t, buy(5, says(500, `{}`)), "the copy without an answer may be under way still")
	require.NoError(t, buy(5, credited))
	require.NoError(t, buy(5, credited))

	ids, allowed500 := f.eventIDs(t)
	require.Equal(t, []bool{false, false, false, true, false, false}, allowed500)
	require.Equal(t, []string{ids[0], ids[0], ids[2], ids[0], ids[0], ids[5]}, ids)
	require.NotEqual(t, ids[0], ids[2])
	require.NotEqual(t, ids[0], ids[5])
	account := user.Account()
	require.Equal(t, platform.Account{Tokens: 12, Known: true, Bought: 12}, account, "each event is credited once")
}

// A balance that was read between two copies of an event may or may not include its tokens.
func TestAnEventSentAgainAfterABalanceLeavesTheAccountOpen(t *testing.T) {
	t.Parallel()
	f := newFakeVerity()
	user := f.signUp(t)
	f.on(platform.OpWebhook, says(500, `{}`))
	_, err := user.BuyTokens(t.Context(), 3)
	require.Error(t, err)
	_, err = user.Balance(t.Context()) // 3
	require.NoError(t, err)
	require.Equal(t, platform.Account{Tokens: 3, Known: true, Bought: 3}, user.Account(), "the balance has what had no good answer")
	f.on(platform.OpWebhook, says(200, `{"received":true}`))
	_, err = user.BuyTokens(t.Context(), 3)
	require.NoError(t, err)
	require.False(t, user.Account().Known)
	_, _, ok := user.TokenBounds()
	require.False(t, ok)
}

func TestARequestLongUnansweredIsATimeout(t *testing.T) {
	t.Parallel()
	f := newFakeVerity()
	user := f.signUp(t)
	f.on(platform.OpJoin, fails(&platform.UnansweredError{Waited: 12345 * time.Millisecond}))
	_, err := user.Join(t.Context(), []byte(`{}`))
	require.EqualError(t, err, "queue_join had no answer for 12.3 s when the run ended")
	var e *platform.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, platform.TimeoutError, e.Name)
	require.ErrorIs(t, err, platform.ErrTimeout)
	require.True(t, user.MayBeQueued())
}
