package contract_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// TestThePageHasTheFacts searches docs/verity-api.md for each fact.
func TestThePageHasTheFacts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/verity-api.md")
	require.NoError(t, err)
	page := strings.Join(strings.Fields(string(text)), " ")
	for _, fact := range append(httpFacts(), otherFacts()...) {
		require.Contains(t, page, fact)
	}
}

// code formats a list of names as the page does.
func code(names ...string) string { return "`" + strings.Join(names, "`, `") + "`" }

func httpFacts() []string {
	facts := []string{
		fmt.Sprintf("sign-up %d, refresh %d, every other route %d each", contract.RouteSignUp.PerMinute, contract.RouteRefresh.PerMinute,
			contract.RouteJoin.PerMinute),
		fmt.Sprintf("sliding %.0f s", contract.ThrottleWindow.Seconds()),
		code(contract.HeaderLimit, contract.HeaderRemaining, contract.HeaderReset) + " (s)",
		fmt.Sprintf(`{"statusCode":429,"message":%q}`, contract.SaysThrottled) + "` with " + code(contract.HeaderRetryAfter) + " (s)",
		fmt.Sprintf("401 `{\"message\":%q,\"statusCode\":401}`", contract.SaysUnauthorized),
		fmt.Sprintf("`{\"statusCode\":500,\"message\":%q}`", contract.SaysServerError),
		fmt.Sprintf("Body over %d KB: 413", contract.MaxBody/1024),
		fmt.Sprintf("`Keep-Alive: timeout=%.0f`", contract.KeepAlive.Seconds()),
		"`Authorization: " + contract.Bearer + "<access token>`",
		fmt.Sprintf("%.0f s. A 17-minute run outlives it", contract.AccessTokenLife.Seconds()),
		fmt.Sprintf("`%s=<JWT>%s`", contract.RefreshCookie, contract.RefreshCookieAttributes),
		fmt.Sprintf("Max-Age=%.0f;", contract.RefreshTokenLife.Seconds()),
		code(contract.SaysMissingRefresh, contract.SaysInvalidRefresh, contract.SaysReusedRefresh, contract.SaysUsedRefresh),
		"400 `" + contract.SaysNoTokens + "`", "401 `" + contract.SaysSuspended + "`", "409 `" + contract.SaysQueueBusy + "`",
		"400 `" + contract.SaysNoSignature + "`", "400 `" + contract.SaysSessionNotEnded + "`",
		`{"status":"` + string(contract.JoinQueued) + `"`, "`" + string(contract.JoinAlreadyQueued) + "` with the first key",
		`{"status":"` + string(contract.LeaveLeft) + `"`, `{"status":"` + string(contract.LeaveNotQueued) + `"`,
		`{"status":"` + string(contract.LeaveAlreadyMatched) + `"`,
		fmt.Sprintf(`{"choice":%q|%q}`, contract.ChoiceMatch, contract.ChoicePass),
		fmt.Sprintf(`{"status":%q,`, contract.ChoicePending),
		fmt.Sprintf(`{"status":%q,"outcome":%q|%q`, contract.ChoiceResolved, contract.OutcomeMutual, contract.OutcomeNonMutual),
	}
	for _, route := range []contract.Route{
		contract.RouteHealth, contract.RouteSignUp, contract.RouteRefresh, contract.RouteJoin, contract.RouteLeave, contract.RouteBalance,
		contract.RouteWebhook, contract.RouteChoice, contract.RouteDelete,
	} {
		facts = append(facts, "`"+route.Method+" "+route.Path+"`")
	}
	return facts
}

func otherFacts() []string {
	facts := []string{
		fmt.Sprintf("t up to %.0f s old", contract.SignatureTolerance.Seconds()),
		fmt.Sprintf("`%s: t=<unix s>", strings.ToLower(contract.SignatureHeader)),
		fmt.Sprintf(`"type":%q`, contract.CheckoutCompleted), fmt.Sprintf(`"payment_status":%q`, contract.Paid),
		"`" + contract.Unpaid + "`, metadata missing", "Answer 200 `" + contract.WebhookReceived + "`",
		fmt.Sprintf("Packs: %s %d, %s %d, %s %d;", contract.PackStarter, contract.StarterTokens, contract.PackPlus, contract.PlusTokens,
			contract.PackPro, contract.ProTokens),
		"One " + strings.Replace(contract.Tick.String(), "ms", " ms", 1) + " timer",
		fmt.Sprintf("at most %d pairs per key", contract.PairsPerTick),
		fmt.Sprintf("sessions of %.0f s", contract.Session.Seconds()),
		fmt.Sprintf("%d to %d ms around the match", contract.StartGapLeast/time.Millisecond, contract.StartGapMost/time.Millisecond),
		"reason " + code(contract.EndTimeout, contract.EndEnded) + " or " + code(contract.EndTokenError),
	}
	for event, namespace := range map[string]string{
		contract.EventStatus: contract.QueueNamespace, contract.EventMatch: contract.QueueNamespace,
		contract.EventStart: contract.VideoNamespace, contract.EventEnd: contract.VideoNamespace, contract.EventMutual: contract.VideoNamespace,
	} {
		facts = append(facts, fmt.Sprintf("`42%s,[%q,…]`", namespace, event))
	}
	facts = append(facts, fmt.Sprintf("`[%q,…]`", contract.EventNonMutual))
	for key, follows := range map[string]string{
		contract.RedisQueue: "<queueKey>", contract.RedisUser: "<userId>", contract.RedisUserLock: "<userId>", contract.RedisMatched: "<userId>",
		contract.RedisSession: "<sessionId>", contract.RedisActive: "<userId>", contract.RedisEnded: "<sessionId>",
		contract.RedisSessionLock: "<sessionId>", contract.RedisChoices: "<sessionId>", contract.RedisChoicesDeadline: "<sessionId>",
		contract.RedisDecision: "<sessionId>", contract.RedisQueueKeys: "",
	} {
		facts = append(facts, "`"+key+follows+"`")
	}
	return append(facts,
		fmt.Sprintf("`%s<userId>` | string | %.0f s |", contract.RedisUserLock, contract.RedisUserLockLife.Seconds()),
		fmt.Sprintf("`%s<userId>` | string, session id | %.0f h |", contract.RedisMatched, contract.RedisMatchLife.Hours()),
		fmt.Sprintf("`%s<sessionId>` | string | %.0f s |", contract.RedisSessionLock, contract.RedisSessionLockLife.Seconds()),
		fmt.Sprintf("until the deadline / %.0f h / %.0f h", contract.RedisDecisionLife.Hours(), contract.RedisDecisionLife.Hours()),
	)
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	for status, routes := range map[int][]contract.Route{
		200: {contract.RouteHealth, contract.RouteRefresh, contract.RouteLeave, contract.RouteBalance, contract.RouteWebhook},
		201: {contract.RouteSignUp, contract.RouteJoin, contract.RouteChoice},
	} {
		for _, route := range routes {
			require.Equal(t, status, route.Status, route.Path)
		}
	}
}

func TestChoicePath(t *testing.T) {
	t.Parallel()
	require.Equal(t, "/sessions/c1/choice", contract.ChoicePath("c1"))
	require.Equal(t, "/sessions/a%2Fb%3F/choice", contract.ChoicePath("a/b?"))
	for path, want := range map[string]string{
		"/sessions/c1/choice": "c1", "/sessions//choice": "", "/sessions/a/b/choice": "", "/sessions/c1": "", "/sessions/choice": "",
		"/x/c1/choice": "", "": "",
	} {
		id, ok := contract.SessionOfChoice(path)
		require.Equal(t, want != "", ok, path)
		if ok {
			require.Equal(t, want, id, path)
		}
	}
}

// The hashes are those of: printf s1:u2 | sha256sum.
func TestAnonymousID(t *testing.T) {
	t.Parallel()
	require.Equal(t, "anon_eabb99a6dec1", contract.AnonymousID("s1", "u2"))
	require.Equal(t, "anon_262490d78507", contract.AnonymousID("cm5x0sessionid", "cm5x0userid"))
}
