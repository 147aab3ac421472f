package platform_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/platform"
)

func TestRequestNamesLeaveOutIDs(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/users/me":        "GET /users/me",
		"/matches?limit=5": "GET /matches",
		"/sessions/c0123456789abcdefghijklmn/choice":  "GET /sessions/:id/choice",
		"/users/0b9f6a52-6f5b-4bd4-9a6c-2f3d1f1c0a11": "GET /users/:id",
		"/pages/17":                  "GET /pages/:id",
		"/api/v1/two-factor":         "GET /api/v1/two-factor",
		"/notification-preferences/": "GET /notification-preferences/",
	} {
		require.Equal(t, want, platform.RequestName("GET", path))
	}
}

func TestARequestKeepsTheTokenAndTheHost(t *testing.T) {
	t.Parallel()
	verity := newFakeVerity()
	user := verity.signUp(t)
	verity.on("profile", says(200, `{"ok":true}`))
	answer, err := user.Request(t.Context(), platform.Request{
		Operation: "profile", Method: "PATCH", URL: "/profile?x=1", Body: []byte(`{}`), Expected: []int{200},
	})
	require.NoError(t, err)
	require.Equal(t, 200, answer.Status)
	sent := verity.requests[len(verity.requests)-1]
	require.Equal(t, "http://verity.test/profile?x=1", sent.URL)
	require.Equal(t, "application/json", sent.Header.Get("Content-Type"))
	require.Equal(t, 1, tokenNumber(t, sent))
	before := len(verity.requests)
	_, err = user.Request(t.Context(), platform.Request{Operation: "profile", URL: "http://evil.example/"})
	require.ErrorContains(t, err, "requests go to the service alone")
	require.Len(t, verity.requests, before, "nothing was sent")
}

func TestAChoiceThatViolatesTheContract(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`[]`:                                  "the body is not the JSON of a choice",
		`{"status":"done"}`:                   `its status is "done" and its outcome ""; it is pending, or resolved with mutual or non_mutual`,
		`{"status":"resolved","outcome":"x"}`: `its status is "resolved" and its outcome "x"; it is pending, or resolved with mutual or non_mutual`,
	} {
		verity := newFakeVerity()
		user := verity.signUp(t)
		verity.on(platform.OpChoice, says(201, body))
		_, err := user.Choose(t.Context(), "s/1", contract.ChoiceMatch)
		require.EqualError(t, err, "session_choice was answered 201, but "+want+"; is this a Verity, and of a version that this tool knows?")
		require.Equal(t, "http://verity.test/sessions/s%2F1/choice", verity.requests[len(verity.requests)-1].URL)
	}
}

// A request with any accepted path goes to the service.
func FuzzCheckPath(f *testing.F) {
	for _, seed := range []string{"/a", "//b", "/\\b", "http://b", "/a/../b", "/a?b=//c", "/@b", "/a#b", "/%2e%2e/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if platform.CheckPath(path) != nil {
			return
		}
		u, err := url.Parse("http://verity.test:3000" + path)
		require.NoError(t, err)
		require.Equal(t, "verity.test:3000", u.Host)
		require.Nil(t, u.User)
		require.NotContains(t, strings.Split(u.Path, "/"), "..")
	})
}
