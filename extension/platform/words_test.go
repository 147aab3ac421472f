package platform_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/platform"
)

// A message of the service is shown in terminals and logs.
func TestAMessageOfTheServiceIsMadePrintable(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"message":"\u001b[2J\u001b[31mall passed\u0000"}`: `\x1b[2J\x1b[31mall passed\x00`,
		`{"message":["\u202edessap","one\r\ntwo"]}`:         `\u202edessap, one two`,
		`{"message":"` + strings.Repeat("x", 300) + `"}`:    strings.Repeat("x", 200) + "…",
	} {
		require.Equal(t, want, platform.ServiceMessage([]byte(body)))
	}
	verity := newFakeVerity()
	user := verity.signUp(t)
	verity.on(platform.OpJoin, says(403, `{"message":"\u001b]0;owned\u0007"}`))
	_, err := user.Join(t.Context(), nil)
	require.EqualError(t, err, `queue_join was answered 403: \x1b]0;owned\x07`)
	verity.on(platform.OpBalance, fails(errors.New("malformed MIME header line: \x1b[31m"+strings.Repeat("x", 1000))))
	_, err = user.Balance(t.Context())
	require.EqualError(t, err, `tokens_balance got no answer: malformed MIME header line: \x1b[31m`+strings.Repeat("x", 367)+"…")
}

func TestAnAnswerThatCannotBeUsedIsAProtocolError(t *testing.T) {
	t.Parallel()
	verity := newFakeVerity()
	user := verity.signUp(t)
	tooLarge := errors.New("the answer is larger than 1 MB")
	verity.on(platform.OpJoin, fails(platform.UnusableAnswer(tooLarge)))
	_, err := user.Join(t.Context(), nil)
	require.EqualError(t, err, "queue_join: the answer is larger than 1 MB; is this a Verity, and of a version that this tool knows?")
	require.ErrorIs(t, err, tooLarge)
	var typed *platform.Error
	require.ErrorAs(t, err, &typed)
	require.Equal(t, platform.ProtocolError, typed.Name)
	require.True(t, user.MayBeQueued(), "the service may have queued the user")
}

func TestAnInvalidIDIsRefused(t *testing.T) {
	t.Parallel()
	for _, id := range []string{`c\u001b[2J`, `c 1`, `<b>`, strings.Repeat("c", 200)} {
		verity := newFakeVerity()
		verity.on(platform.OpSignUp, says(201, `{"user":{"id":"`+id+`","tokenBalance":0},"accessToken":"x"}`))
		_, err := platform.NewService("http://verity.test", nil).SignUp(t.Context(), verity)
		require.EqualError(t, err, "auth_signup was answered 201, but user.id is not an id of letters, digits, _ and -; "+
			"is this a Verity, and of a version that this tool knows?", id)
	}
}

func TestTheHealthOfAServiceIsToldInPlainWords(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"message":"\u001b[31mno"}`))
	}))
	t.Cleanup(server.Close)
	_, err := platform.CheckHealth(t.Context(), server.Client(), server.URL)
	require.EqualError(t, err, server.URL+` is not a healthy Verity: GET /health was answered 503 with the message "\\x1b[31mno"; check BASE_URL`)
}
