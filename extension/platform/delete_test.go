package platform_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/platform"
)

func TestAUserDeletesItsAccount(t *testing.T) {
	t.Parallel()
	const gone = `{"message":"User not found","error":"Not Found","statusCode":404}`
	for _, tc := range []struct {
		name    string
		status  int
		body    string
		wasGone bool
		want    string
	}{
		{"200", 200, `{"deleted":true}`, false, ""},
		{"204", 204, "", false, ""},
		{"gone already", 404, gone, true, ""},
		{"the token of a user who is gone", 401, `{"message":"Unauthorized","statusCode":401}`, true, ""},
		{
			"a service without the route", 404, `{"message":"Cannot DELETE /users/me","error":"Not Found","statusCode":404}`, false,
			"users_me_delete was answered 404: Cannot DELETE /users/me",
		},
		{"an ingress that knows no such service", 404, "<html>", false, "users_me_delete was answered 404: a page of HTML"},
		{
			"suspended", 401, `{"message":"Account is temporarily suspended","statusCode":401}`, false,
			"users_me_delete was answered 401: Account is temporarily suspended; sign up again",
		},
		{"an error of the service", 500, `{"message":"Internal server error","statusCode":500}`, false, "users_me_delete was answered 500: Internal server error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeVerity()
			user := f.signUp(t)
			f.on(platform.OpDelete, says(tc.status, tc.body))
			wasGone, err := user.Delete(t.Context())
			require.Equal(t, tc.wasGone, wasGone)
			if tc.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, tc.want)
			}
			request := f.requests[1]
			require.Equal(t, "DELETE", request.Method)
			require.Equal(t, "http://verity.test/users/me", request.URL)
			require.Contains(t, request.Header.Get("Authorization"), "Bearer ")
		})
	}
}

func TestAUserWhoMayBeQueuedLeavesBeforeItsAccountIsDeleted(t *testing.T) {
	t.Parallel()
	f := newFakeVerity()
	user := f.signUp(t)
	f.on(platform.OpDelete, says(204, ""))
	_, err := user.Join(t.Context(), []byte(`{}`))
	require.NoError(t, err)
	_, err = user.Delete(t.Context())
	require.NoError(t, err)
	require.Equal(t, "auth_signup queue_join queue_leave users_me_delete", f.sent())

	_, err = user.Join(t.Context(), []byte(`{}`))
	require.NoError(t, err)
	f.on(platform.OpLeave, says(500, `{"message":"Internal server error","statusCode":500}`))
	_, err = user.Delete(t.Context())
	require.EqualError(t, err, "queue_leave was answered 500: Internal server error", "nobody is deleted who is queued")
}

func TestAUserWhoseSessionIsLostIsNotTakenForGone(t *testing.T) {
	t.Parallel()
	f := newFakeVerity()
	f.lifetime = 1 // its access token is used for half a second
	user := f.signUp(t)
	time.Sleep(600 * time.Millisecond)
	f.on(platform.OpRefresh, says(401, `{"message":"Refresh token reused","statusCode":401}`))
	wasGone, err := user.Delete(t.Context())
	require.False(t, wasGone)
	require.EqualError(t, err, "auth_refresh was answered 401: Refresh token reused; sign up again")
}

func TestANewUserIsTold(t *testing.T) {
	t.Parallel()
	f := newFakeVerity()
	service := platform.NewService("http://verity", nil)
	var told []string
	service.NotifySignUps(func(user *platform.User) { told = append(told, user.ID()) })
	_, err := service.SignUp(t.Context(), f)
	require.NoError(t, err)
	f.on(platform.OpSignUp, says(500, ""))
	_, err = service.SignUp(t.Context(), f)
	require.Error(t, err)
	require.Equal(t, []string{"c1"}, told)
}

// failing is a client whose requests get no answer.
type failing struct{ err error }

func (f failing) Do(*http.Request) (*http.Response, error) { return nil, f.err }

func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodDelete || r.URL.Path != "/users/me" || r.Header.Get("Authorization") != "Bearer x" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		http.SetCookie(w, &http.Cookie{Name: "refresh_token", Value: "y"})
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	request := platform.Request{Method: http.MethodDelete, URL: server.URL + "/users/me", Header: http.Header{"Authorization": {"Bearer x"}}}
	answer, err := platform.NewPlainHTTP(server.Client()).Do(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, 204, answer.Status)
	require.Equal(t, map[string]string{"refresh_token": "y"}, answer.Cookies)

	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hanging.Close()
	_, err = platform.NewPlainHTTP(&http.Client{Timeout: 50 * time.Millisecond}).Do(t.Context(), platform.Request{Method: "GET", URL: hanging.URL})
	require.ErrorIs(t, err, platform.ErrTimeout)
	broken := errors.New("connection reset")
	_, err = platform.NewPlainHTTP(failing{broken}).Do(t.Context(), request)
	require.ErrorIs(t, err, broken)
}
