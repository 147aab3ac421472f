package platform

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/payments"
)

func TestRefusalNamesTheErrorAndSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		status int
		header map[string]string
		body   string
		want   Error
	}{
		{
			"throttled", 429, map[string]string{"Retry-After": "37"},
			`{"statusCode":429,"message":"ThrottlerException: Too Many Requests"}`,
			Error{Name: ThrottledError, Status: 429, RetryAfter: 37 * time.Second, Message: "queue_join was throttled (429), " +
				"retry after 37 s; have the rate limit lifted for this runner"},
		},
		{
			"throttled without Retry-After", 429, nil, "",
			Error{Name: ThrottledError, Status: 429, RetryAfter: time.Minute, Message: "queue_join was throttled (429), " +
				"retry after 60 s; have the rate limit lifted for this runner"},
		},
		{
			"token", 401, nil, `{"message":"Unauthorized","statusCode":401}`,
			Error{Name: AuthError, Status: 401, tokenRefused: true, Message: "queue_join was answered 401: Unauthorized; sign up again"},
		},
		{
			"banned", 401, nil, `{"message":"Account is temporarily suspended","statusCode":401}`,
			Error{Name: AuthError, Status: 401, Message: "queue_join was answered 401: Account is temporarily suspended; sign up again"},
		},
		{
			"no token left", 400, nil, `{"message":"Insufficient token balance","error":"Bad Request","statusCode":400}`,
			Error{Name: InsufficientTokensError, Status: 400, Message: "queue_join was answered 400: Insufficient token balance; " +
				"buy tokens before joining"},
		},
		{
			"other operation", 409, nil, `{"message":"Queue operation in progress","statusCode":409}`,
			Error{Name: ConflictError, Status: 409, Message: "queue_join was answered 409: Queue operation in progress; " +
				"one operation of a user at a time"},
		},
		{
			"several messages", 400, nil, `{"message":["city must be a string","region must be a string"],"statusCode":400}`,
			Error{Name: HTTPError, Status: 400, Message: "queue_join was answered 400: city must be a string, region must be a string"},
		},
		{
			"server error", 500, nil, `{"statusCode":500,"message":"Internal server error"}`,
			Error{Name: HTTPError, Status: 500, Message: "queue_join was answered 500: Internal server error"},
		},
		{"HTML", 502, nil, "<html>", Error{Name: HTTPError, Status: 502, Message: "queue_join was answered 502: a page of HTML"}},
		{"nothing", 503, nil, "", Error{Name: HTTPError, Status: 503, Message: "queue_join was answered 503: an empty body"}},
		{
			"a body that may hold a secret", 418, nil, `{"accessToken":"hunter2"}`,
			Error{Name: HTTPError, Status: 418, Message: "queue_join was answered 418: a body of 25 bytes without a message"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.want.Operation = OpJoin
			err := refusal(OpJoin, &Answer{Status: tc.status, Header: tc.header, Body: []byte(tc.body)})
			require.Equal(t, &tc.want, err)
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"0": 0, "5": 5 * time.Second, " 60 ": time.Minute,
		"Tue, 24 Nov 2026 12:00:30 GMT": 30 * time.Second,
		"Tue, 24 Nov 2026 11:00:00 GMT": 0,
		"":                              time.Minute, "-1": time.Minute, "soon": time.Minute, "99999999999": time.Minute,
	} {
		require.Equal(t, want, RetryAfter(value, now), value)
	}
}

func jwt(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".sig"
}

func TestLifetimeOf(t *testing.T) {
	t.Parallel()
	lifetime, err := lifetimeOf(jwt(`{"sub":"c1","typ":"access","role":"user","iat":1700000000,"exp":1700000900}`))
	require.NoError(t, err)
	require.Equal(t, 900*time.Second, lifetime)
	for token, want := range map[string]string{
		"":                              "not a JWT",
		"a.b":                           "not a JWT",
		"a.!.c":                         "not a JWT: its payload is not base64url",
		jwt("no JSON"):                  "not a JWT: its payload is not JSON",
		jwt(`{}`):                       "the JWT does not say how long it lives",
		jwt(`{"iat":2,"exp":1}`):        "the JWT does not say how long it lives",
		jwt(`{"iat":1,"exp":99e9}`):     "the JWT does not say how long it lives",
		jwt(`{"iat":"now","exp":"x"}`):  "not a JWT: its payload is not JSON",
		jwt(`{"exp":1700000900,"x":1}`): "the JWT does not say how long it lives",
	} {
		_, err := lifetimeOf(token)
		require.EqualError(t, err, want, token)
	}
}

func FuzzLifetimeOf(f *testing.F) {
	f.Add(jwt(`{"iat":1,"exp":2}`))
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		lifetime, err := lifetimeOf(token)
		if err == nil && lifetime <= 0 {
			t.Fatalf("lifetime %v of %q", lifetime, token)
		}
	})
}

func TestAccessTokenIsRefreshedAheadOfItsExpiry(t *testing.T) {
	t.Parallel()
	received := time.Now()
	for _, seconds := range []int{1, 4, 900, 86400} {
		lifetime := time.Duration(seconds) * time.Second
		lead := min(lifetime/5, maxRefreshLead)
		rounded := min(time.Second, lifetime/2)
		for range 100 {
			token := newAccessToken(jwt(fmt.Sprintf(`{"iat":1700000000,"exp":%d}`, 1700000000+seconds)), received)
			require.False(t, token.due(received.Add(lifetime-rounded-lead-time.Millisecond)))
			require.True(t, token.due(received.Add(lifetime-rounded-lead/2)))
			require.False(t, token.expired(received.Add(lifetime-rounded-time.Millisecond)))
			require.True(t, token.expired(received.Add(lifetime-rounded)))
		}
	}
	opaque := newAccessToken("opaque", received)
	require.False(t, opaque.due(received.Add(time.Hour)))
	require.False(t, opaque.expired(received.Add(time.Hour)))
}

func TestAStatementComparesTheAccountWithTheBalance(t *testing.T) {
	t.Parallel()
	left, refundLost, notQueued := Left{contract.LeaveLeft, true}, Left{contract.LeaveLeft, false}, Left{contract.LeaveNotQueued, false}
	gone := &Error{Name: TimeoutError}
	for _, test := range []struct {
		name string
		does func(l *ledger)
		want Statement
	}{
		{"nothing", func(*ledger) {}, Statement{Bought: 5, Left: 5}},
		{"a match", func(l *ledger) { l.join(contract.JoinQueued); l.matched(); l.read(4) }, Statement{Bought: 5, Spent: 1, Left: 4}},
		{"a refund", func(l *ledger) { l.join(contract.JoinQueued); l.leave(left); l.read(5) }, Statement{Bought: 5, Left: 5}},
		{"a refund that the service said was lost", func(l *ledger) { l.join(contract.JoinQueued); l.leave(refundLost); l.read(4) }, Statement{
			Bought: 5, Lost: 1, Left: 4,
		}},
		{"a refund that was said and did not come", func(l *ledger) { l.join(contract.JoinQueued); l.leave(left); l.read(4) }, Statement{
			Bought: 5, Left: 4, Missing: 1,
		}},
		{"a loss found in the middle of a run stays", func(l *ledger) { l.read(4); l.read(4) }, Statement{Bought: 5, Left: 4, Missing: 1}},
		{"credited twice", func(l *ledger) { l.bought(&Sale{Purchase: payments.Purchase{Tokens: 5}}, nil); l.read(15) }, Statement{Bought: 10, Left: 15, Missing: -5}},
		{"a purchase without an answer, credited", func(l *ledger) { l.bought(&Sale{Purchase: payments.Purchase{Tokens: 5}}, gone); l.read(10) }, Statement{
			Bought: 10, Left: 10,
		}},
		{"a purchase without an answer, not credited", func(l *ledger) { l.bought(&Sale{Purchase: payments.Purchase{Tokens: 5}}, gone); l.read(5) }, Statement{
			Bought: 5, Left: 5,
		}},
		{"a join without an answer", func(l *ledger) { l.lostSight(); l.read(4) }, Statement{Bought: 5, Spent: 1, Left: 4}},
		{"a join without an answer that explains no more than one", func(l *ledger) { l.lostSight(); l.read(3) }, Statement{
			Bought: 5, Left: 3, Missing: 2,
		}},
		{"a match that was not heard", func(l *ledger) { l.join(contract.JoinQueued); l.leave(notQueued); l.read(4) }, Statement{Bought: 5, Spent: 1, Left: 4}},
		{"a socket that closed while queued", func(l *ledger) { l.join(contract.JoinQueued); l.socketClosed(); l.read(5) }, Statement{Bought: 5, Left: 5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := &ledger{}
			l.opened(5)
			test.does(l)
			got := l.statement()
			require.Equal(t, test.want, got)
			require.Equal(t, got.Bought, got.Left+got.Spent+got.Lost+got.Missing)
		})
	}
}
