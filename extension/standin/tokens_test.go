package standin

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/contract"
)

func denied(message string) string {
	return `{"message":"` + message + `","error":"Unauthorized","statusCode":401}`
}

func TestSignUp(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	r := ts.do("POST", "/auth/signup-anonymous", "")
	require.Equal(t, 201, r.status)
	const dotted = `[\w-]+\.[\w-]+\.[\w-]+`
	require.Regexp(t, `^\{"user":\{"id":"c[a-z0-9]{25}","role":"user","tokenBalance":0\},"accessToken":"`+dotted+`"\}$`, r.body)
	require.Regexp(t, `^refresh_token=`+dotted+`; Max-Age=2592000; Path=/auth/refresh; HttpOnly; SameSite=Strict$`, r.header.Get("Set-Cookie"))
	u := ts.userOf(r)
	require.Equal(t, `{"tokenBalance":0}`, ts.do("GET", "/tokens/balance", "", u.bearer).body)
	require.NotEqual(t, u.id, ts.signUp(0).id)
}

func TestAccessTokenClaims(t *testing.T) {
	t.Parallel()
	clock := newClock()
	ts := start(t, Options{now: clock.now, TokenTTL: 10 * time.Minute})
	u := ts.signUp(0)
	var claims jwt.MapClaims
	token, err := jwt.ParseWithClaims(strings.TrimPrefix(u.bearer, "Authorization: Bearer "), &claims,
		func(*jwt.Token) (any, error) { return ts.tokens.secret, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithTimeFunc(clock.now))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"alg": "HS256", "typ": "JWT"}, token.Header)
	iat := float64(clock.now().Unix())
	require.Equal(t, jwt.MapClaims{"sub": u.id, "typ": "access", "role": "user", "iat": iat, "exp": iat + 600}, claims)
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	clock := newClock()
	ts := start(t, Options{now: clock.now})
	u := ts.signUp(0)
	clock.advance(time.Second)
	r := ts.do("POST", "/auth/refresh", "", u.cookie)
	require.Equal(t, 200, r.status)
	require.Regexp(t, `^\{"accessToken":"[\w.-]+"\}$`, r.body)
	require.Regexp(t, `^refresh_token=[\w.-]+; Max-Age=2592000; Path=/auth/refresh; HttpOnly; SameSite=Strict$`, r.header.Get("Set-Cookie"))
	require.NotEqual(t, u.cookie, "Cookie: "+cookieOf(r))
	access := "Authorization: Bearer " + strings.Split(r.body, `"`)[3]
	require.NotEqual(t, u.bearer, access)
	for _, bearer := range []string{u.bearer, access} {
		require.Equal(t, 200, ts.do("GET", "/tokens/balance", "", bearer).status, "the older one works to its end")
	}
	for range 3 { // and so on
		r = ts.do("POST", "/auth/refresh", `{"ignored":1}`, "Cookie: "+cookieOf(r))
		require.Equal(t, 200, r.status)
	}
	clock.advance(contract.RefreshTokenLife)
	r = ts.do("POST", "/auth/refresh", "", "Cookie: "+cookieOf(r))
	require.Equal(t, denied("Invalid or expired refresh token"), r.body)
}

func TestRefreshFailures(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	u, gone := ts.signUp(0), ts.signUp(0)
	require.NoError(t, ts.Remove(gone.id))
	access := strings.TrimPrefix(u.bearer, "Authorization: Bearer ")
	for _, tc := range []struct{ header, message string }{
		{"X-None: 1", "Missing refresh token"},
		{"Cookie: refresh_token=", "Missing refresh token"},
		{"Cookie: other=x", "Missing refresh token"},
		{u.bearer, "Missing refresh token"},
		{"Cookie: refresh_token=x", "Invalid or expired refresh token"},
		{"Cookie: a=b; refresh_token=x.", "Invalid or expired refresh token"},
		{"Cookie: refresh_token=" + access, "Invalid or expired refresh token"},
		{u.cookie + "x", "Invalid or expired refresh token"},
		{gone.cookie, "Invalid or expired refresh token"},
	} {
		r := ts.do("POST", "/auth/refresh", "", tc.header)
		require.Equal(t, 401, r.status, tc.header)
		require.Equal(t, denied(tc.message), r.body, tc.header)
		require.Empty(t, r.header.Get("Set-Cookie"))
	}
	require.Equal(t, 200, ts.do("POST", "/auth/refresh", "", u.cookie).status, "no harm was done")
}

func TestRefreshTokenThatIsUsedTwiceRevokesTheFamily(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	u, other := ts.signUp(0), ts.signUp(0)
	next := "Cookie: " + cookieOf(ts.do("POST", "/auth/refresh", "", u.cookie))
	for _, cookie := range []string{u.cookie, u.cookie, next, next} {
		r := ts.do("POST", "/auth/refresh", "", cookie)
		require.Equal(t, 401, r.status)
		require.Equal(t, denied("Refresh token reused"), r.body)
	}
	require.Equal(t, 200, ts.do("GET", "/tokens/balance", "", u.bearer).status, "the access token is not a session")
	require.Equal(t, 200, ts.do("POST", "/auth/refresh", "", other.cookie).status, "another family")
}

func TestConcurrentRefreshesRevokeTheFamily(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{Latency: 100 * time.Millisecond})
	u := ts.signUp(0)
	replies := make([]reply, 2)
	var wg sync.WaitGroup
	for i := range replies {
		wg.Go(func() { replies[i] = ts.do("POST", "/auth/refresh", "", u.cookie) })
	}
	wg.Wait()
	if replies[0].status != 200 {
		replies[0], replies[1] = replies[1], replies[0]
	}
	require.Equal(t, 200, replies[0].status)
	require.Equal(t, 401, replies[1].status)
	require.Equal(t, denied("Refresh token already used"), replies[1].body)
	r := ts.do("POST", "/auth/refresh", "", "Cookie: "+cookieOf(replies[0]))
	require.Equal(t, 401, r.status, "also with the token of the first refresh")
	require.Equal(t, denied("Refresh token reused"), r.body)
}

func TestRevokedAccessTokenNeedsARefresh(t *testing.T) {
	t.Parallel()
	clock := newClock()
	ts := start(t, Options{now: clock.now})
	u := ts.signUp(0)
	require.NoError(t, ts.RevokeAccess(u.id))
	require.Equal(t, unauthorizedBody, ts.do("GET", "/tokens/balance", "", u.bearer).body)
	r := ts.do("POST", "/auth/refresh", "", u.cookie)
	require.Equal(t, 200, r.status)
	require.Equal(t, 200, ts.do("GET", "/tokens/balance", "", "Authorization: Bearer "+strings.Split(r.body, `"`)[3]).status)
	require.EqualError(t, ts.RevokeAccess("x"), `there is no user "x"`)
}

func TestExpiredAccessTokensAreForgotten(t *testing.T) {
	t.Parallel()
	clock := newClock()
	tokens := newTokens(time.Minute, clock.now)
	u := &user{id: "c1"}
	for i := range 100 {
		_, err := tokens.issueAccess(u)
		require.NoError(t, err)
		require.LessOrEqual(t, len(u.access), 3, "after %d", i)
		clock.advance(30 * time.Second)
	}
	known := 0
	tokens.access.Range(func(any, any) bool { known++; return true })
	require.LessOrEqual(t, known, 3)
}

func TestOverlappingSignUpsAreDifferentUsers(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if r := ts.do("POST", "/auth/signup-anonymous", ""); r.status != 201 {
				t.Error(fmt.Sprint("sign-up: ", r.status, r.body))
			}
		})
	}
	wg.Wait()
	require.Len(t, ts.Users(), 50)
}
