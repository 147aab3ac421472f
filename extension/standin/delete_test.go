package standin

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnAccountIsDeletedOnce(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	u, other := ts.signUp(3), ts.signUp(1)
	require.Equal(t, 401, ts.do("DELETE", "/users/me", "").status)
	r := ts.do("DELETE", "/users/me", "", u.bearer)
	require.Equal(t, 204, r.status)
	require.Empty(t, r.body)

	const gone = `{"message":"User not found","error":"Not Found","statusCode":404}`
	for _, request := range [][2]string{{"DELETE", "/users/me"}, {"GET", "/tokens/balance"}} {
		r = ts.do(request[0], request[1], "", u.bearer)
		require.Equal(t, 404, r.status, "the access token still works")
		require.Equal(t, gone, r.body)
	}
	require.Equal(t, 401, ts.do("POST", "/auth/refresh", "", u.cookie).status)
	require.Equal(t, 500, ts.buy(u.id, 1).status)
	require.Equal(t, 200, ts.do("GET", "/tokens/balance", "", other.bearer).status)
}

func TestWhoIsDeletedWithoutLeavingStaysInTheQueue(t *testing.T) {
	t.Parallel()
	ts := start(t, Options{})
	u := ts.signUp(1)
	require.Equal(t, 201, ts.do("POST", "/queue/join", `{"preferences":{"mine":1}}`, u.bearer).status)
	require.Equal(t, 204, ts.do("DELETE", "/users/me", "", u.bearer).status)
	require.EqualValues(t, 1, ts.Stats().Tokens.Queued)
}
