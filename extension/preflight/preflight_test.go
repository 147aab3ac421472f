package preflight_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/verity-app/xk6-verity/extension/payments"
	"github.com/verity-app/xk6-verity/extension/platform"
	"github.com/verity-app/xk6-verity/extension/preflight"
)

const secret = "whsec_test"

// whole returns a plan with this rate of requests to every route, within the limits of able.
func whole(perMinute float64) preflight.Plan {
	plan := preflight.Plan{Requests: map[string]preflight.Load{}, Connections: 10, ClosedPerMinute: 2}
	for _, operation := range preflight.Operations() {
		plan.Requests[operation] = preflight.Load{PerMinute: perMinute, Arithmetic: "of a test"}
	}
	return plan
}

var able = preflight.Machine{Files: 1 << 20, Ports: 28232, Sources: 1} //nolint:gochecknoglobals // constant

func healthy() platform.Health {
	now := time.Now()
	return platform.Health{Uptime: 90*time.Second + 1, Date: now.UTC().Format(http.TimeFormat), Asked: now, Answered: now}
}

// reply is a service's answer to a request to one route.
type reply struct {
	status int
	header map[string]string
	body   string
}

// verity answers as in the contract, except for replies, by method and path.
func verity(t *testing.T, seen *[]string, replies map[string]reply) *httptest.Server {
	t.Helper()
	usual := map[string]reply{
		"POST /auth/signup-anonymous": {400, nil, `{"message":["property preflight should not exist"],"error":"Bad Request","statusCode":400}`},
		"POST /auth/refresh":          {401, nil, `{"message":"Missing refresh token","error":"Unauthorized","statusCode":401}`},
		"POST /queue/join":            {401, nil, `{"message":"Unauthorized","statusCode":401}`},
		"DELETE /queue/leave":         {401, nil, `{"message":"Unauthorized","statusCode":401}`},
		"GET /tokens/balance":         {401, nil, `{"message":"Unauthorized","statusCode":401}`},
		"POST /webhooks/stripe":       {200, nil, `{"received":true}`},
	}
	maps.Copy(usual, replies)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Method + " " + r.URL.Path
		if seen != nil {
			body, _ := io.ReadAll(r.Body)
			*seen = append(*seen, strings.TrimSpace(fmt.Sprintf("%s %s", name, body)))
		}
		for header, value := range usual[name].header {
			w.Header().Set(header, value)
		}
		w.WriteHeader(usual[name].status)
		_, _ = w.Write([]byte(usual[name].body))
	}))
	t.Cleanup(server.Close)
	return server
}

func look(t *testing.T, server *httptest.Server, plan preflight.Plan, machine preflight.Machine) []preflight.Check {
	t.Helper()
	signer, err := payments.NewSigner(secret)
	require.NoError(t, err)
	service := preflight.Service{BaseURL: server.URL, Health: healthy(), Signer: signer, Addresses: 1}
	return preflight.Look(t.Context(), server.Client(), service, plan, machine)
}

func show(checks []preflight.Check) string {
	var b strings.Builder
	for _, c := range checks {
		fmt.Fprintf(&b, "%s %s: %s\n", c.Verdict.Mark(), c.Name, c.Found)
	}
	return b.String()
}

func find(t *testing.T, checks []preflight.Check, name string) preflight.Check {
	t.Helper()
	at := slices.IndexFunc(checks, func(c preflight.Check) bool { return c.Name == name })
	require.GreaterOrEqual(t, at, 0, name)
	return checks[at]
}

func TestAPlanWithinTheLimitsPasses(t *testing.T) {
	t.Parallel()
	var seen []string
	got := show(look(t, verity(t, &seen, nil), whole(1234.2), able))
	const unlimited = "no X-RateLimit-Limit, so no limit; 1,235 a minute planned (of a test)"
	want := "✓ target: a healthy Verity, up for 1m30s\n" +
		"✓ clock: 0 s behind the target's; a signature may be 300 s old\n" +
		"✓ webhook secret: accepted, with an event that credits nothing\n" +
		"✓ auth_signup: " + unlimited + "\n" +
		"✓ stripe_webhook: " + unlimited + "\n" +
		"✓ queue_join: " + unlimited + "\n" +
		"✓ queue_leave: " + unlimited + "\n" +
		"✓ tokens_balance: " + unlimited + "\n" +
		"✓ auth_refresh: " + unlimited + "\n" +
		"✓ file descriptors: 1,048,576 allowed, 74 needed (10 connections and 64 for k6 itself)\n" +
		"✓ ports: 28,232 there, 12 needed (10 connections and 2 that were closed within a minute)\n"
	require.Equal(t, want, got)
	require.Len(t, seen, 6, "each route is asked once")
	require.Contains(t, seen, `POST /auth/signup-anonymous {"preflight":true}`)
	require.Contains(t, seen, "POST /queue/join {}")
}

// No request is sent to a route that is not in the plan.
func TestOnlyPlannedRoutesAreAsked(t *testing.T) {
	t.Parallel()
	var seen []string
	plan := preflight.Plan{Requests: map[string]preflight.Load{platform.OpBalance: {PerMinute: 1}}}
	look(t, verity(t, &seen, nil), plan, able)
	require.Equal(t, []string{"GET /tokens/balance"}, seen)
}

func TestTheEventIsSignedAndCreditsNothing(t *testing.T) {
	t.Parallel()
	var request *http.Request
	var body []byte
	client := clientFunc(func(r *http.Request) (*http.Response, error) {
		request = r
		body, _ = io.ReadAll(r.Body)
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"received":true}`))}, nil
	})
	signer, err := payments.NewSigner(secret)
	require.NoError(t, err)
	plan := preflight.Plan{Requests: map[string]preflight.Load{platform.OpWebhook: {}}}
	preflight.Look(t.Context(), client, preflight.Service{BaseURL: "http://verity", Signer: signer, Addresses: 1}, plan, able)
	require.Equal(t, "http://verity/webhooks/stripe", request.URL.String())
	require.NoError(t, webhook.ValidatePayload(body, request.Header.Get("Stripe-Signature"), secret))
	require.Contains(t, string(body), `"type":"customer.created"`)
	require.False(t, bytes.Contains(body, []byte("checkout")))
}

type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestClocks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		behind  time.Duration // how far the runner's clock is behind
		verdict preflight.Verdict
		want    string
	}{
		{0, preflight.Passed, "0 s behind the target's; a signature may be 300 s old"},
		{-2 * time.Second, preflight.Passed, "2 s ahead of the target's"},
		{59 * time.Second, preflight.Passed, "59 s behind the target's; a signature may be 300 s old"},
		{60 * time.Second, preflight.Warning, "60 s behind the target's; webhooks are refused from 301 s on: set this machine's clock"},
		{-60 * time.Second, preflight.Warning, "60 s ahead of the target's: set this machine's clock"},
		{-2 * time.Hour, preflight.Warning, "7200 s ahead of the target's: set this machine's clock"},
		{300 * time.Second, preflight.Warning, "300 s behind the target's; webhooks are refused from 301 s on: set this machine's clock"},
		{301 * time.Second, preflight.Failed, "301 s behind the target's, and webhooks are refused once their signature is more than " +
			"300 s old: set this machine's clock"},
	} {
		middle := time.Date(2026, 11, 24, 12, 0, 0, 400e6, time.UTC)
		health := platform.Health{
			Date:  middle.Add(tc.behind).Format(http.TimeFormat),
			Asked: middle.Add(-2 * time.Second), Answered: middle.Add(2 * time.Second), // a slow answer does not matter
		}
		checks := preflight.Look(t.Context(), nil, preflight.Service{Health: health, Addresses: 1}, preflight.Plan{}, able)
		require.Equal(t, preflight.Check{Name: "clock", Verdict: tc.verdict, Found: tc.want}, checks[1])
	}
	for date, want := range map[string]string{
		"":          "the answer to GET /health has no Date, so the clocks cannot be compared",
		"yesterday": `the Date "yesterday" in the answer to GET /health is none, so the clocks cannot be compared`,
	} {
		service := preflight.Service{Health: platform.Health{Date: date}, Addresses: 1}
		checks := preflight.Look(t.Context(), nil, service, preflight.Plan{}, able)
		require.Equal(t, preflight.Check{Name: "clock", Verdict: preflight.Warning, Found: want}, checks[1])
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	limit := func(limit, remaining, reset string) map[string]string {
		header := map[string]string{"X-RateLimit-Limit": limit}
		if remaining != "" {
			header["X-RateLimit-Remaining"] = remaining
		}
		if reset != "" {
			header["X-RateLimit-Reset"] = reset
		}
		return header
	}
	const unauthorized = `{"message":"Unauthorized","statusCode":401}`
	for name, tc := range map[string]struct {
		planned float64
		reply   reply
		verdict preflight.Verdict
		want    string
	}{
		"broken":      {240_000, reply{401, limit("120", "119", "60"), unauthorized}, preflight.Failed, "120 a minute allowed, 240,000 planned (of a test)"},
		"kept":        {119, reply{401, limit("120", "119", "60"), unauthorized}, preflight.Passed, "120 a minute allowed, 119 planned (of a test)"},
		"a fraction":  {119.0000000001, reply{401, limit("120", "119", "60"), unauthorized}, preflight.Passed, "120 a minute allowed, 119 planned (of a test)"},
		"one too few": {120, reply{401, limit("120", "119", "60"), unauthorized}, preflight.Failed, "120 a minute allowed, of which this look leaves 119 for 60 s, 120 planned (of a test)"},
		"used up":     {60, reply{401, limit("120", "20", "43"), unauthorized}, preflight.Failed, "120 a minute allowed, of which this look leaves 20 for 43 s, 60 planned (of a test)"},
		"used up, who knows for how long": {
			60, reply{401, limit("120", "20", "soon"), unauthorized}, preflight.Failed,
			"120 a minute allowed, of which this look leaves 20, 60 planned (of a test)",
		},
		"no remaining": {120, reply{401, limit("120", "", ""), unauthorized}, preflight.Passed, "120 a minute allowed, 120 planned (of a test)"},
		"no number": {
			60, reply{401, limit("many", "", ""), unauthorized}, preflight.Warning,
			`X-RateLimit-Limit is "many", not a number, so the limit is unknown; 60 a minute planned (of a test)`,
		},
		"blocked": {
			60, reply{429, map[string]string{"Retry-After": "42"}, `{"statusCode":429,"message":"ThrottlerException: Too Many Requests"}`},
			preflight.Failed, "this runner is blocked already (429), for another 42 s",
		},
		"not found": {
			60, reply{404, nil, `{"message":"Cannot POST /queue/join","error":"Not Found","statusCode":404}`}, preflight.Failed,
			"POST /queue/join was answered 404 (Cannot POST /queue/join) instead of 401",
		},
		"broken down": {
			60, reply{503, limit("120", "119", "60"), "<html>"}, preflight.Failed,
			"POST /queue/join was answered 503 (a page of HTML) instead of 401",
		},
		"another status": {
			60, reply{403, limit("120", "119", "60"), `{"message":"Forbidden"}`}, preflight.Warning,
			"POST /queue/join was answered 403 (Forbidden) instead of 401; 120 a minute allowed, 60 planned (of a test)",
		},
		"another status and a limit that is broken": {
			600, reply{201, limit("120", "119", "60"), `{"status":"queued"}`}, preflight.Failed,
			"POST /queue/join was answered 201 (a body of 19 bytes without a message) instead of 401; 120 a minute allowed, " +
				"600 planned (of a test)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checks := look(t, verity(t, nil, map[string]reply{"POST /queue/join": tc.reply}), whole(tc.planned), able)
			require.Equal(t, preflight.Check{Name: "queue_join", Verdict: tc.verdict, Found: tc.want}, find(t, checks, "queue_join"))
			require.Equal(t, preflight.Passed, find(t, checks, "queue_leave").Verdict)
		})
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		reply         reply
		secret, limit string
	}{
		"refused": {
			reply{500, map[string]string{"X-RateLimit-Limit": "120", "X-RateLimit-Remaining": "119"}, `{"statusCode":500,"message":"Internal server error"}`},
			"✗ webhook secret: a signed event that credits nothing was answered 500: STRIPE_WEBHOOK_SECRET is not the service's, " +
				"or the clocks differ",
			"✓ stripe_webhook: 120 a minute allowed, 60 planned (of a test)",
		},
		"another answer": {
			reply{400, nil, `{"message":"Missing Stripe signature","error":"Bad Request","statusCode":400}`},
			"✗ webhook secret: a signed event that credits nothing was answered 400 (Missing Stripe signature) instead of 200",
			"✓ stripe_webhook: no X-RateLimit-Limit, so no limit; 60 a minute planned (of a test)",
		},
		"another 200": {
			reply{200, nil, `<html>`},
			`! webhook secret: a signed event that credits nothing was answered 200, but not {"received":true}`,
			"✓ stripe_webhook: no X-RateLimit-Limit, so no limit; 60 a minute planned (of a test)",
		},
		"blocked": {
			reply{429, map[string]string{"Retry-After": "7"}, ""},
			"– webhook secret: not known: the signed event got no answer that tells",
			"✗ stripe_webhook: this runner is blocked already (429), for another 7 s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checks := look(t, verity(t, nil, map[string]reply{"POST /webhooks/stripe": tc.reply}), whole(60), able)
			require.Contains(t, show(checks), tc.secret+"\n")
			require.Contains(t, show(checks), tc.limit+"\n")
			require.NotContains(t, show(checks), secret)
		})
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer server.Close()
	checks := show(look(t, server, whole(60), able))
	require.Contains(t, checks, "– webhook secret: not known: the signed event got no answer that tells\n")
	require.Contains(t, checks, "✗ queue_leave: DELETE /queue/leave got no answer: EOF\n")
	require.NotContains(t, checks, server.URL)
}

func TestTheLookEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	client := clientFunc(func(r *http.Request) (*http.Response, error) {
		cancel()
		<-r.Context().Done()
		return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: r.Context().Err()}
	})
	plan := preflight.Plan{Requests: map[string]preflight.Load{platform.OpJoin: {}}}
	checks := preflight.Look(ctx, client, preflight.Service{BaseURL: "http://verity", Addresses: 1}, plan, able)
	require.Equal(t, "POST /queue/join got no answer: context canceled", find(t, checks, "queue_join").Found)
}

func TestMachines(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		machine   preflight.Machine
		plan      preflight.Plan
		addresses int
		files     string
		ports     string
	}{
		"enough": {
			preflight.Machine{Files: 10_064, Ports: 28_232, Sources: 1}, preflight.Plan{Connections: 10_000, ClosedPerMinute: 18_232}, 1,
			"✓ file descriptors: 10,064 allowed, 10,064 needed (10,000 connections and 64 for k6 itself)",
			"✓ ports: 28,232 there, 28,232 needed (10,000 connections and 18,232 that were closed within a minute)",
		},
		"one too few": {
			preflight.Machine{Files: 10_063, Ports: 28_232, Sources: 1}, preflight.Plan{Connections: 10_000, ClosedPerMinute: 18_233}, 1,
			"✗ file descriptors: 10,063 allowed, 10,064 needed (10,000 connections and 64 for k6 itself): raise the limit with " +
				"`ulimit -n 10064`",
			"✗ ports: 28,232 there, 28,233 needed (10,000 connections and 18,233 that were closed within a minute): widen " +
				"net.ipv4.ip_local_port_range, or use several runners",
		},
		"several addresses": {
			preflight.Machine{Files: 1 << 63, Ports: 100, Sources: 2}, preflight.Plan{Connections: 600}, 3,
			"✓ file descriptors: no limit; 664 needed (600 connections and 64 for k6 itself)",
			"✓ ports: 100 × 2 from this machine's addresses × 3 to the target's = 600 there, 600 needed (600 connections and 0 that " +
				"were closed within a minute)",
		},
		"another system": {
			preflight.Machine{Sources: 1}, preflight.Plan{Connections: 600}, 1,
			"– file descriptors: not known on this system; 664 needed (600 connections and 64 for k6 itself)",
			"– ports: not known on this system; 600 needed (600 connections and 0 that were closed within a minute)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checks := show(preflight.Look(t.Context(), nil, preflight.Service{Addresses: tc.addresses}, tc.plan, tc.machine))
			require.Contains(t, checks, tc.files+"\n")
			require.Contains(t, checks, tc.ports+"\n")
		})
	}
}
