package preflight_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/payments"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/preflight"
	"github.com/verity-app/xk6-verity/extension/sessions"
	"github.com/verity-app/xk6-verity/extension/standin"
)

func trialOf(baseURL string, limit time.Duration) preflight.Trial {
	return preflight.Trial{
		Service: platform.NewService(baseURL, func() (*payments.Signer, error) { return payments.NewSigner(secret) }),
		Client:  http.DefaultClient,
		Socket:  sessions.Options{URL: baseURL},
		Body:    preflight.TrialBody(), Limit: limit,
	}
}

func TestTrialOfADeployment(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options standin.Options
		verdict preflight.Verdict
		found   string // a regular expression
	}{
		"that is well": {
			standin.Options{}, preflight.Passed, `^two users matched in \d\.\d s, and both heard match and session:start$`,
		},
		"whose matcher runs in another process": {
			standin.Options{Defects: standin.Defects{SeparateMatcher: true}}, preflight.Failed,
			`^the service matched two users \(a leave was answered not_queued\), but no match event reached their sockets within 2s\. The usual ` +
				`cause: the matcher runs in another process than the API, and no Socket.IO adapter joins them, as in the owners' deployment template ` +
				`\(docs/verity-api\.md, How it is deployed\)\. Run matching and API in one process, or add the adapter$`,
		},
		"without a matcher": {
			standin.Options{Tick: time.Minute}, preflight.Failed,
			`^two users in a queue key of their own were not matched within 2s: see whether the matcher runs$`,
		},
		"without video": {
			standin.Options{Defects: standin.Defects{TokenError: 1}}, preflight.Failed,
			`^the session ended at once with token_error: video is not configured on the service$`,
		},
		"that loses session:start": {
			standin.Options{Defects: standin.Defects{LoseStart: 1}}, preflight.Failed, `^match came, but no session:start within 2s$`,
		},
		"that loses a partner's match": {
			standin.Options{Defects: standin.Defects{LoseMatch: 1}}, preflight.Failed, `^the service matched two users \(a leave was answered`,
		},
		"with another secret": {
			standin.Options{WebhookSecret: "whsec_other"}, preflight.Failed, `^a user could not buy tokens: stripe_webhook was answered 500`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.options.WebhookSecret == "" {
				test.options.WebhookSecret = secret
			}
			server, err := standin.Start(t.Context(), test.options)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, server.Close(context.Background())) })
			check := trialOf(server.URL(), 2*time.Second).Run(t.Context())
			require.Equal(t, "trial match", check.Name)
			require.Equal(t, test.verdict, check.Verdict, check.Found)
			require.Regexp(t, test.found, check.Found)
		})
	}
}

func TestTrialOfATargetThatIsGone(t *testing.T) {
	t.Parallel()
	check := trialOf("http://127.0.0.1:1", time.Second).Run(t.Context())
	require.Equal(t, preflight.Failed, check.Verdict)
	require.Regexp(t, `^a user could not sign up: auth_signup .*connection refused$`, check.Found)
}

func TestEachTrialHasAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	first, second := preflight.TrialBody(), preflight.TrialBody()
	require.NotEqual(t, first, second)
}
