package verdict_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	require.NoError(t, verdict.Check(nil))
	require.NoError(t, verdict.Check([]evidence.Claim{
		{Kind: "users", Least: 1000}, {Kind: "waiting", Least: 2000}, joinsWithin[0], matchWithin, fewErrors, allRight, sustained, purchased,
	}))
	operations := "auth_signup, auth_refresh, queue_join, queue_leave, tokens_balance, stripe_webhook"
	for _, test := range []struct {
		claim evidence.Claim
		want  string
	}{
		{evidence.Claim{Kind: "speed"}, `claim 1 ("speed"): there is no such kind of claim; there are users, waiting, latency, match, errors, tokens, sessions, purchases`},
		{evidence.Claim{Kind: "users"}, `claim 1 ("users"): it has no least; it takes a whole number from 1 on`},
		{evidence.Claim{Kind: "users", Least: 0.5}, `claim 1 ("users"): least is 0.5; it takes a whole number from 1 on`},
		{evidence.Claim{Kind: "users", Least: -1}, `claim 1 ("users"): least is -1; it takes a whole number from 1 on`},
		{evidence.Claim{Kind: "tokens", Least: 1}, `claim 1 ("tokens"): it has least, which only claims of the kind users, waiting, sessions take`},
		{evidence.Claim{Kind: "latency", WithinMs: 100}, `claim 1 ("latency"): it names no operations; there are ` + operations},
		{evidence.Claim{Kind: "latency", WithinMs: 100, Operations: []string{"queue_jion"}},
			`claim 1 ("latency"): there is no series for the operation "queue_jion"; there are ` + operations},
		{evidence.Claim{Kind: "latency", WithinMs: 100, Operations: []string{"queue_join", "queue_join"}},
			`claim 1 ("latency"): it names the operation "queue_join" twice`},
		{evidence.Claim{Kind: "match", Operations: []string{"queue_join"}, WithinMs: 3000},
			`claim 1 ("match"): it has operations, which only claims of the kind latency take`},
		{evidence.Claim{Kind: "match"}, `claim 1 ("match"): it has no withinMs; it takes milliseconds above 0 and up to an hour`},
		{evidence.Claim{Kind: "match", WithinMs: 4e6}, `claim 1 ("match"): withinMs is 4e+06; it takes milliseconds above 0 and up to an hour`},
		{evidence.Claim{Kind: "match", WithinMs: 3000, Quantile: 95}, `claim 1 ("match"): quantile is 95; it takes a share from 0.5 to less than 1, such as 0.95`},
		{evidence.Claim{Kind: "errors"}, `claim 1 ("errors"): it has no below; it takes a share between 0 and 1, such as 0.001`},
		{evidence.Claim{Kind: "errors", Below: 1}, `claim 1 ("errors"): below is 1; it takes a share between 0 and 1, such as 0.001`},
		{evidence.Claim{Kind: "sessions", Least: 900}, `claim 1 ("sessions"): it has no forSeconds; it takes whole seconds from 1 to 86,400`},
		{evidence.Claim{Kind: "purchases", WithinMs: 100}, `claim 1 ("purchases"): it has no sendWithinMs; it takes milliseconds above 0 and up to an hour`},
		{evidence.Claim{Kind: "purchases", WithinMs: 100, SendWithinMs: 1000, Sent: 95},
			`claim 1 ("purchases"): sent is 95; it takes a share above 0 and up to 1, such as 0.95`},
	} {
		t.Run(test.want, func(t *testing.T) {
			t.Parallel()
			require.EqualError(t, verdict.Check([]evidence.Claim{test.claim}), test.want)
		})
	}
}
