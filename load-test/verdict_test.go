package loadtest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/standin"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// The limit of latency in these tests is ten times that of the plan, and defects are as much slower: several runs share two processors here.
const slack = 1000 // ms

// profile is one of a test's own: a scenario, its variables as NAME=value, and what it claims.
type profile struct {
	script    string
	variables []string
	claims    []evidence.Claim
}

func (p profile) with(variables ...string) profile {
	p.variables = append(append([]string{}, p.variables...), variables...)
	return p
}

func (p profile) claiming(claims ...evidence.Claim) profile {
	p.claims = claims
	return p
}

func claimUsers(least float64) evidence.Claim {
	return evidence.Claim{Kind: verdict.KindUsers, Least: least}
}

func claimLatency(operations ...string) evidence.Claim {
	return evidence.Claim{Kind: verdict.KindLatency, Operations: operations, WithinMs: slack}
}

var (
	claimMatch  = evidence.Claim{Kind: verdict.KindMatch, WithinMs: 3000} //nolint:gochecknoglobals // constant
	claimErrors = evidence.Claim{Kind: verdict.KindErrors, Below: 0.005}  //nolint:gochecknoglobals // constant
	claimTokens = evidence.Claim{Kind: verdict.KindTokens}                //nolint:gochecknoglobals // constant
)

// joins returns a profile in which users join and leave without matching.
func joins() profile {
	return profile{queueConcurrency, []string{
		"TARGET_VUS=80", "RAMP_UP=1s", "HOLD=10s", "RAMP_DOWN=1s", "QUEUE_MODE=isolated", "THINK_TIME_MIN=0.1", "THINK_TIME_MAX=0.3",
	}, []evidence.Claim{claimUsers(80), claimLatency("queue_join", "queue_leave"), claimErrors, claimTokens}}
}

// matches returns a profile in which users match and continue.
func matches() profile {
	return profile{queueConcurrency, []string{
		"TARGET_VUS=120", "RAMP_UP=1s", "HOLD=14s", "RAMP_DOWN=1s", "QUEUE_MODE=shared", "QUEUE_SHARDS=3", "THINK_TIME_MIN=0.1",
		"THINK_TIME_MAX=0.4", "TOKENS_PER_USER=100", "TOP_UP_TOKENS=100",
	}, []evidence.Claim{
		claimMatch, {Kind: verdict.KindWaiting, Least: 20}, claimLatency("queue_join"), claimErrors, claimTokens,
	}}
}

// holds returns a profile in which users hold sessions.
func holds() profile {
	return profile{videoSessionSustain, []string{
		"SESSION_VUS=120", "RAMP_UP=1s", "HOLD=15s", "RAMP_DOWN=1s", "QUEUE_MODE=shared", "QUEUE_SHARDS=6", "SESSION_HOLD_SECONDS=2",
		"THINK_TIME_MIN=0.1", "THINK_TIME_MAX=0.3",
	}, []evidence.Claim{
		{Kind: verdict.KindSessions, Least: 20, ForSeconds: 8, Below: 0.01}, claimMatch, claimLatency("queue_join"), claimErrors, claimTokens,
	}}
}

// sells returns a profile of webhook events.
func sells() profile {
	return profile{tokenPurchaseSpike, []string{
		"SEED_USER_COUNT=10", "TOKENS_PER_EVENT=5", "BASE_RATE=10", "SPIKE_RATE=100", "RAMP_UP=2s", "SPIKE_HOLD=8s", "RAMP_DOWN=1s",
	}, []evidence.Claim{
		{Kind: verdict.KindPurchases, WithinMs: slack, SendWithinMs: 1000}, claimLatency("stripe_webhook"), claimErrors, claimTokens,
	}}
}

// judged is a run of the profile small, with the folder of its reports and its verdict.
type judged struct {
	result

	dir     string
	verdict verdict.Verdict
}

// write writes a file with the profile small and returns its path.
func (p profile) write(t *testing.T) string {
	t.Helper()
	variables := map[string]string{}
	for _, variable := range p.variables {
		name, value, _ := strings.Cut(variable, "=")
		variables[name] = value
	}
	text, err := json.Marshal([]map[string]any{{
		"name": "small", "scenario": strings.TrimSuffix(p.script, ".js"), "shows": "a test", "variables": variables, "claims": p.claims,
	}})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "profiles.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

// command is a run of the profile against a target, with reports in a folder.
func (p profile) command(t *testing.T, target *target, dir string, variables ...string) command {
	t.Helper()
	// Without thresholds the exit code is that of the verdict alone.
	return k6Run(p.script, target, append([]string{"PROFILES_FILE=" + p.write(t), "PROFILE=small", "REPORT_DIR=" + dir}, variables...)...).
		flags("--no-thresholds")
}

// run runs the profile.
func (p profile) run(t *testing.T, target *target, variables ...string) judged {
	t.Helper()
	dir := t.TempDir()
	return judgedBy(t, p.command(t, target, dir, variables...).run(t), dir)
}

// decide runs the profile, and once more if the claim of this kind, or any claim if kind is "", is NOT PROVEN: on a busy machine that is
// no wrong verdict.
func (p profile) decide(t *testing.T, kind string, start func(*testing.T) *target) judged {
	t.Helper()
	j := p.run(t, start(t))
	open := slices.ContainsFunc(j.verdict.Claims, func(c verdict.Result) bool {
		return c.Status == verdict.NotProven && (kind == "" || c.Claim.Kind == kind)
	})
	if !open {
		return j
	}
	t.Logf("once more, as it is NOT PROVEN:\n%s", strings.Join(claimLines(j.stdout), ""))
	return p.run(t, start(t))
}

// judgedBy reads the evidence of a run back and requires that it gives the verdict and the exit code of the run itself.
func judgedBy(t *testing.T, r result, dir string) judged {
	t.Helper()
	file := filepath.Join(dir, "small"+evidence.Extension)
	shown := k6("x", "verity", "show", file).run(t)
	exit := r.exit
	if exit == exitcodes.ExternalAbort {
		exit = exitcodes.MarkedAsFailed // what a run proves that was stopped
	}
	require.Equal(t, exit, shown.exit, "show exits as the run did")
	j := judged{result: r, dir: dir}
	require.NoError(t, json.Unmarshal([]byte(k6("x", "verity", "show", "--json", file).run(t).stdout), &j.verdict))
	require.NotEmpty(t, j.verdict.Claims)
	require.Contains(t, r.stdout, "  █ VERITY small on ")
	require.Equal(t, claimLines(r.stdout), claimLines(shown.stdout), "the same verdict from the file")
	require.Len(t, claimLines(r.stdout), len(j.verdict.Claims))
	return j
}

// claimLines returns the lines of a summary with the results of the claims, without the heading.
func claimLines(text string) (lines []string) {
	_, after, _ := strings.Cut(text, "█ VERITY ")
	for line := range strings.Lines(after) {
		for _, status := range []string{"✓ PASS", "✗ FAIL", "? NOT PROVEN"} {
			if strings.HasPrefix(line, "    "+status+" ") {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// claim returns the result of the claim of this kind.
func (j judged) claim(t *testing.T, kind string) verdict.Result {
	t.Helper()
	for _, c := range j.verdict.Claims {
		if c.Claim.Kind == kind {
			return c
		}
	}
	require.Fail(t, "there is no claim of the kind "+kind)
	return verdict.Result{}
}

// requireFail requires that the run failed by the claim of this kind, and by no other than those.
func (j judged) requireFail(t *testing.T, kind, reason string, others ...string) {
	t.Helper()
	require.Equal(t, verdict.Fail, j.claim(t, kind).Status, j.claim(t, kind).Reason)
	require.Regexp(t, reason, j.claim(t, kind).Reason)
	require.Equal(t, exitcodes.ThresholdsHaveFailed, j.exit)
	require.Regexp(t, `(?m)^  █ VERITY small on \S+: FAIL$`, j.stdout)
	for _, c := range j.verdict.Claims {
		if c.Claim.Kind != kind {
			require.True(t, c.Status != verdict.Fail || slices.Contains(others, c.Claim.Kind), "%s is %s: %s", c.Claim.Kind, c.Status, c.Reason)
		}
	}
}

// requirePass requires that each claim is PASS, in the summary, the reports and the exit code.
func (j judged) requirePass(t *testing.T) {
	t.Helper()
	for _, c := range j.verdict.Claims {
		require.Equal(t, verdict.Pass, c.Status, "%s: %s; %s", c.Claim.Kind, c.Text, c.Reason)
	}
	require.Zero(t, j.exit)
	require.Regexp(t, `(?m)^  █ VERITY small on \S+: PASS$`, j.stdout)
	markdown, junit := readReport(t, j.dir, "small")
	inXML, err := os.ReadFile(filepath.Join(j.dir, "small.xml"))
	require.NoError(t, err)
	require.Regexp(t, `^# small: ✓ PASS\n`, markdown)
	for _, c := range j.verdict.Claims {
		require.Contains(t, markdown, "| ✓ PASS |")
		require.Contains(t, string(inXML), `name="claim: `+c.Claim.Kind+`"`)
	}
	require.Zero(t, junit.Failures)
}

// A healthy service passes each kind of claim.
func TestAHealthyServicePassesEachClaim(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		profile    profile
		conditions conditions
	}{
		"users wait alone":    {joins(), conditions{}},
		"users match":         {matches(), conditions{}},
		"users hold sessions": {holds(), whole},
		"events are sold":     {sells(), conditions{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.profile.decide(t, "", func(t *testing.T) *target { t.Helper(); return startStandin(t, c.conditions) }).requirePass(t)
		})
	}
}

// every selects one of every `of` requests: the last of each group.
type every struct {
	of int64
	n  atomic.Int64
}

func (e *every) next() bool { return e.n.Add(1)%e.of == 0 }

func isJoin(r *http.Request) bool {
	return r.URL.Path == "/queue/join" && r.Header.Get("Authorization") != ""
}

// since is how long ago the first request of the load was.
type since struct {
	once  sync.Once
	first time.Time
}

func (s *since) load() time.Duration {
	s.once.Do(func() { s.first = time.Now() })
	return time.Since(s.first)
}

// Each defect of the service fails the run, by a claim that names it.
func TestADefectFails(t *testing.T) {
	t.Parallel()
	standinWith := func(d standin.Defects) func(*testing.T) *target {
		return func(t *testing.T) *target {
			t.Helper()
			return startStandin(t, conditions{session: 3 * time.Second, defects: d})
		}
	}
	behind := func(fault func(w http.ResponseWriter, r *http.Request) bool) func(*testing.T) *target {
		return func(t *testing.T) *target {
			t.Helper()
			return before(t, startStandin(t, conditions{}), fault)
		}
	}
	short := []string{"MATCH_TIMEOUT=4"}
	var lostEvents, front every
	lostEvents.of, front.of = 50, 20
	for name, c := range map[string]struct {
		target  func(*testing.T) *target
		profile profile
		kind    string
		reason  string
		says    string // in the summary; "" for nothing more
		others  []string
	}{
		"10 % of the joins are slow": { // 6 % is too close to call with so few samples; TestTrials has it
			func(t *testing.T) *target { t.Helper(); return slowJoins(t, 10, (slack+300)*time.Millisecond) }, joins(), verdict.KindLatency, `of [0-9,]+ queue_join requests took longer than 1 s or failed`, "", nil,
		},
		"it stops answering": {
			func(t *testing.T) *target {
				t.Helper()
				var began since
				return before(t, startStandin(t, conditions{}), func(_ http.ResponseWriter, r *http.Request) bool {
					return isJoin(r) && began.load() > 6*time.Second && hang(r)
				})
			},
			joins(), verdict.KindLatency, `80 of [0-9,]+ queue_join requests took longer than 1 s or failed: 80 TimeoutError; from [0-9]+s into ` +
				`the judged part to its end most of them did`, "", []string{verdict.KindErrors},
		},
		"it loses match events": {
			standinWith(standin.Defects{LoseMatch: 0.3}), matches().with(short...), verdict.KindMatch,
			`waits for a match took longer than 3 s or failed.*[0-9]+ matched_unheard.*; [0-9,]+ users were matched by the service and heard nothing of it`,
			`unheard +[0-9,]+ waits for a match were in vain`, []string{verdict.KindErrors},
		},
		"it loses few match events": {
			standinWith(standin.Defects{LoseMatch: 0.05}), matches().with(short...), verdict.KindMatch,
			`[0-9]+ of [0-9,]+ waits for a match ended with a match that the user did not hear of .*; the service's events do not reach all sockets`,
			`unheard +[0-9,]+ waits for a match were in vain`, []string{verdict.KindErrors},
		},
		"it loses the starts of sessions": {
			standinWith(standin.Defects{LoseStart: 0.1}), holds(), verdict.KindSessions,
			`sessions that began were not held to their end .*: [0-9]+ no_start;`, "", nil,
		},
		"it crosses pairs": {
			standinWith(standin.Defects{CrossPairs: 0.2}), holds(), verdict.KindSessions,
			`sessions that began were not held to their end .*: [0-9]+ partner_wrong;`, "", nil,
		},
		"video is not configured": {
			standinWith(standin.Defects{TokenError: 0.2}), holds().with("TRIAL=0"), verdict.KindSessions,
			`sessions that began were not held to their end .*: [0-9]+ token_error;`, `token_error.*video is not configured`, nil,
		},
		"sessions end early": {
			standinWith(standin.Defects{EndEarly: 2 * time.Second}), holds(), verdict.KindSessions, `were not held to their end`, "",
			[]string{verdict.KindErrors},
		},
		"it drops sockets": {
			standinWith(standin.Defects{DropSocketsAfter: 4 * time.Second}), holds(), verdict.KindSessions,
			`sessions that began were not held to their end .*: [0-9]+ socket_lost;`, `sockets lost +[0-9]+ of `,
			[]string{verdict.KindErrors, verdict.KindMatch},
		},
		"its sockets fall silent": {
			standinWith(standin.Defects{MuteAfter: 8 * time.Second}), matches().with(short...), verdict.KindMatch,
			`waits for a match took longer than 3 s or failed`, "", []string{verdict.KindErrors},
		},
		"it credits an event twice": {
			func(t *testing.T) *target { t.Helper(); return startNode(t, conditions{}, "--double-credit") },
			sells().with("REPLAY_RATE=0.5"), verdict.KindTokens, `balances? (is|are) not what was bought less what was spent and lost, such as user`,
			"", []string{verdict.KindErrors, verdict.KindPurchases},
		},
		"it loses events": {
			behind(func(w http.ResponseWriter, r *http.Request) bool {
				if !isWebhook(r) || eventID(r) == "" || !lostEvents.next() {
					return false
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"received":true}`))
				return true
			}), sells(), verdict.KindPurchases, `balances? (is|are) not what was bought less what was spent and lost, such as user`,
			"", []string{verdict.KindErrors, verdict.KindTokens},
		},
		"a refund that is said to have come is lost": {
			func(t *testing.T) *target { t.Helper(); return withoutRefunds(t) }, joins(), verdict.KindTokens,
			`balances? (is|are) not what was bought less what was spent and lost, such as user`, "", []string{verdict.KindErrors},
		},
		"something in front refuses": {
			behind(func(w http.ResponseWriter, r *http.Request) bool {
				if !isJoin(r) || !front.next() {
					return false
				}
				w.Header().Set("Content-Type", "text/html")
				w.WriteHeader(http.StatusForbidden)
				_, _ = w.Write([]byte("<html>blocked</html>"))
				return true
			}), joins(), verdict.KindErrors, `HTTPError 403`,
			`in front +[0-9,]+ answers were 403 without the service's headers and JSON: queue_join [0-9,]+\. Something in front of the service answers 403, ` +
				`such as a web application firewall \(docs/verity-api\.md, How it is deployed\)`, []string{verdict.KindLatency},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := c.profile.decide(t, c.kind, c.target)
			j.requireFail(t, c.kind, c.reason, c.others...)
			require.Regexp(t, c.says, j.stdout)
		})
	}
}

// withoutRefunds returns a Verity that answers refunded, although every third reading of a balance is one token short.
func withoutRefunds(t *testing.T) *target {
	t.Helper()
	var asked every
	asked.of = 3
	behind := startStandin(t, conditions{})
	return before(t, behind, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/tokens/balance" || r.Header.Get("Authorization") == "" || !asked.next() {
			return false
		}
		header := http.Header{"Authorization": {r.Header.Get("Authorization")}}
		status, _, body := exchange(t, http.MethodGet, behind.url+"/tokens/balance", header, "")
		var balance struct {
			TokenBalance int `json:"tokenBalance"`
		}
		if status != http.StatusOK || json.Unmarshal(body, &balance) != nil {
			return false
		}
		balance.TokenBalance--
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(balance)
		return true
	})
}

// requireNotProven requires that the claim of this kind is NOT PROVEN for this check and reason.
func (j judged) requireNotProven(t *testing.T, kind, check, reason string) {
	t.Helper()
	c := j.claim(t, kind)
	require.Equal(t, verdict.NotProven, c.Status, "%s; %s", c.Text, c.Reason)
	require.Equal(t, check, c.Why)
	require.Regexp(t, reason, c.Reason)
	require.Regexp(t, `(?m)^  █ VERITY small on \S+: `+j.verdict.Status.String()+`$`, j.stdout)
	_, junit := readReport(t, j.dir, "small")
	require.Positive(t, junit.Failures)
	inXML, err := os.ReadFile(filepath.Join(j.dir, "small.xml"))
	require.NoError(t, err)
	require.Contains(t, string(inXML), `type="not proven"`)
}

// A claim that a run cannot prove is NOT PROVEN, with the reason.
func TestWhatIsNotProven(t *testing.T) {
	t.Parallel()
	var refusals every
	refusals.of = 10
	var began since
	for name, c := range map[string]struct {
		fault   func(w http.ResponseWriter, r *http.Request) bool
		profile profile
		kind    string
		check   string
		reason  string
	}{
		"few samples": {
			nil, joins().with("TARGET_VUS=1", "HOLD=2s", "THINK_TIME_MIN=0.5", "THINK_TIME_MAX=0.6").claiming(claimLatency("queue_join")),
			verdict.KindLatency, verdict.CheckSamples, `there are too few samples \([1-4]\): 59 are the least`,
		},
		"few samples of errors": {
			nil, joins().with("TARGET_VUS=1", "HOLD=2s", "THINK_TIME_MIN=30", "THINK_TIME_MAX=40").
				claiming(evidence.Claim{Kind: verdict.KindErrors, Below: 0.001}),
			verdict.KindErrors, verdict.CheckSamples, `there are too few samples \([0-9]\): 2,995 are the least`,
		},
		"too few VUs for the events": {
			func(_ http.ResponseWriter, r *http.Request) bool {
				if isWebhook(r) {
					time.Sleep(50 * time.Millisecond)
				}
				return false
			}, sells().with("PREALLOCATED_VUS=2", "MAX_VUS=2"), verdict.KindPurchases, verdict.CheckSendRate,
			`[0-9]+ of [0-9,]+ planned events were sent within 1 s of their time \([0-9.]+ %; 95 % needed\): give the runner more VUs`,
		},
		"throttled": {
			func(w http.ResponseWriter, r *http.Request) bool {
				return isJoin(r) && refusals.next() && refuse(w, http.StatusTooManyRequests, "ThrottlerException: Too Many Requests")
			}, joins(), verdict.KindLatency, verdict.CheckThrottled, `[0-9,]+ answers were 429, for the throttle is on for this runner`,
		},
		"the service restarted": {
			func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/health" || began.load() < 8*time.Second {
					return false
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"status":"ok","timestamp":"` + time.Now().UTC().Format(time.RFC3339Nano) + `","uptimeSeconds":2}`))
				return true
			}, joins(), verdict.KindLatency, verdict.CheckRestarted, `the service restarted during the run: it was up for 2s at the end of a run of 1[0-9]s`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := startStandin(t, conditions{})
			if c.fault != nil {
				target = before(t, target, c.fault)
			}
			j := c.profile.run(t, target)
			require.Equal(t, exitcodes.MarkedAsFailed, j.exit)
			j.requireNotProven(t, c.kind, c.check, c.reason)
		})
	}
}

// With failed sign-ups the planned level of users is not reached, and the verdict says so.
func TestSignUpsThatFailKeepTheLevelFromBeingReached(t *testing.T) {
	t.Parallel()
	var signed atomic.Int64
	few := before(t, startStandin(t, conditions{}), func(w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Path == "/auth/signup-anonymous" && r.ContentLength <= 0 && signed.Add(1) > 10 &&
			refuse(w, http.StatusInternalServerError, "Internal server error")
	})
	j := joins().run(t, few)
	j.requireFail(t, verdict.KindErrors, `[0-9]+ HTTPError 500`, verdict.KindLatency)
	j.requireNotProven(t, verdict.KindUsers, verdict.CheckLevel, `at most (9|10) of the 80 users were present at once: see the errors of auth_signup`)
	j.requireNotProven(t, verdict.KindTokens, verdict.CheckLevel, `at most (9|10) of the 80 planned users were present`)
}

// A run that should have been refused proves nothing, and a stopped run reports that it was stopped.
func TestAnOverriddenRunIsNotProven(t *testing.T) {
	t.Parallel()
	limited := before(t, startStandin(t, conditions{}), func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("X-RateLimit-Limit", "10")
		w.Header().Set("X-RateLimit-Remaining", "9")
		return false
	})
	j := joins().run(t, limited, "SKIP_PREFLIGHT=1")
	require.Equal(t, exitcodes.MarkedAsFailed, j.exit)
	j.requireNotProven(t, verdict.KindLatency, verdict.CheckOverridden, `the preflight would have refused the run and was overridden \(.*10 a minute allowed`)
	require.Equal(t, verdict.Pass, j.claim(t, verdict.KindUsers).Status, "a fact")
}

func TestAStoppedRunIsNotProven(t *testing.T) {
	t.Parallel()
	target, dir := startStandin(t, conditions{}), t.TempDir()
	p := joins().with("HOLD=60s").command(t, target, dir).start(t)
	time.Sleep(5 * time.Second)
	r, _ := p.interrupt(t)
	require.Equal(t, exitcodes.ExternalAbort, r.exit)
	j := judgedBy(t, r, dir)
	j.requireNotProven(t, verdict.KindLatency, verdict.CheckInterrupted, `the run ended before its time \(stopped by Ctrl-C after [0-9]+ s\)`)
}

// Answers from the time before a service died do not make a run pass.
func TestAServiceThatDiesNeverPasses(t *testing.T) {
	t.Parallel()
	target, dir := startNode(t, conditions{}), t.TempDir()
	p := joins().command(t, target, dir).start(t)
	time.Sleep(6 * time.Second)
	target.kill()
	p.command.target = nil // it sees nothing any more
	j := judgedBy(t, p.wait(t), dir)
	j.requireFail(t, verdict.KindLatency, `or failed.*ConnectionError`, verdict.KindErrors)
	require.NotEqual(t, verdict.Pass, j.claim(t, verdict.KindErrors).Status)
}

// Answers from the time before a service slowed down do not make a run pass.
func TestAServiceThatSlowsDownNeverPasses(t *testing.T) {
	t.Parallel()
	var began since
	slower := before(t, startStandin(t, conditions{}), func(_ http.ResponseWriter, r *http.Request) bool {
		if isJoin(r) {
			time.Sleep(time.Duration(began.load().Seconds() * float64(slack*time.Millisecond/8)))
		}
		return false
	})
	j := joins().run(t, slower)
	require.NotEqual(t, verdict.Pass, j.claim(t, verdict.KindLatency).Status)
	require.NotZero(t, j.exit)
	t.Log(j.claim(t, verdict.KindLatency).Reason)
}

// A run with fewer users than its profile makes none of the profile's claims, and is not named after it.
func TestFewerUsersThanTheProfileMakeNoClaim(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := joins().with("HOLD=3s").command(t, startStandin(t, conditions{}), dir, "TARGET_VUS=20").run(t)
	r.requirePassed(t)
	require.Contains(t, r.stdout, "█ VERITY queue-concurrency on ")
	require.Regexp(t, `(?m)^ +verdict +no claim is made: TARGET_VUS=20 asks less of the service than the profile small does$`, r.stdout)
	require.Empty(t, claimLines(r.stdout))
	for _, file := range []string{"queue-concurrency.md", "queue-concurrency.xml", "queue-concurrency" + evidence.Extension} {
		require.FileExists(t, filepath.Join(dir, file))
	}
	files, err := filepath.Glob(filepath.Join(dir, "*small*"))
	require.NoError(t, err)
	require.Empty(t, files)
	once := k6Run(queueConcurrency, startStandin(t, conditions{}), "USE_SIMPLE=1").flags("--vus", "1", "--iterations", "1").run(t)
	require.Contains(t, once.stdout, "no claim is made: ")
}

// Upgrades that are never answered are reported, if the trial match has not refused the run.
func TestUpgradesThatAreNeverAnswered(t *testing.T) {
	t.Parallel()
	silent := before(t, startStandin(t, conditions{}), func(_ http.ResponseWriter, r *http.Request) bool {
		return strings.HasPrefix(r.URL.Path, "/socket.io/") && hang(r)
	})
	j := matches().with("TARGET_VUS=20", "HOLD=6s").run(t, silent, "TRIAL=0")
	require.Regexp(t, `(?m)^    ! still waiting 20 users for their socket, [0-9]+\.[0-9] s at the longest$`, j.stdout)
	j.requireNotProven(t, verdict.KindMatch, verdict.CheckSamples, `there were no waits for a match in the judged part of the run; `+
		`still waiting at its end: 20 users for their socket`)
	require.NotZero(t, j.exit)
}

// With the matcher in a separate process, as the owners deploy it, a run is refused before its load. A run that overrides this reports the
// cause.
func TestAMatcherInAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	apart := conditions{defects: standin.Defects{SeparateMatcher: true}}
	refusal := `the service matched two users \(a leave was answered not_queued\), but no match event reached their sockets within 10s\. The usual cause: `
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		r := matches().command(t, startStandin(t, apart), t.TempDir(), "TRIAL=").run(t)
		require.Equal(t, exitcodes.ScriptException, r.exit)
		require.Regexp(t, `✗ +trial match +`+refusal, r.stdout)
		require.Zero(t, r.count("match_attempts"))
	})
	t.Run("preflight --trial", func(t *testing.T) {
		t.Parallel()
		target := startStandin(t, apart)
		run := preflightOf(target, "PROFILE=sessions-dry")
		run.args = append(run.args, "--trial")
		r := run.run(t)
		require.Equal(t, exitcodes.ScriptException, r.exit)
		require.Regexp(t, `✗ +trial match +`+refusal, r.stdout)
	})
	t.Run("TRIAL=0", func(t *testing.T) {
		t.Parallel()
		target := startStandin(t, apart)
		j := matches().with("TARGET_VUS=40", "MATCH_TIMEOUT=4").run(t, target, "TRIAL=0", "REDIS_URL="+target.redis)
		j.requireFail(t, verdict.KindMatch, `[0-9]+ matched_unheard.*; [0-9]+ users were matched by the service and heard nothing of it: its events do not reach the sockets`,
			verdict.KindErrors)
		require.Regexp(t, `unheard +[0-9]+ waits for a match were in vain, although the service had matched the users \(matched_unheard: .*; `+
			`Redis has the match of 10 of 10 that were looked for\. The events do not reach the sockets`, j.stdout)
		run, err := evidence.ReadFile(filepath.Join(j.dir, "small"+evidence.Extension))
		require.NoError(t, err)
		readings := 0
		for _, second := range run.Seconds {
			if _, isRead := second.Levels[evidence.LevelDepth]; isRead {
				readings++
			}
		}
		require.Greater(t, readings, 3, "the queue depth is evidence")
	})
}

// Without k6's summary there still is a verdict, and it decides the exit code.
func TestTheVerdictOfARunWithoutASummary(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		claim  evidence.Claim
		status verdict.Status
		exit   exitcodes.ExitCode
	}{
		"proven":          {claimLatency("queue_join"), verdict.Pass, 0},
		"too few samples": {evidence.Claim{Kind: verdict.KindErrors, Below: 0.0001}, verdict.NotProven, exitcodes.MarkedAsFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := joins().with("HOLD=2s").claiming(c.claim).command(t, startStandin(t, conditions{}), dir).flags("--summary-mode=disabled").run(t)
			require.NotContains(t, r.stdout, "TOTAL RESULTS")
			require.Equal(t, c.exit, r.exit)
			require.Equal(t, c.status, judgedBy(t, r, dir).verdict.Status)
		})
	}
}

// A run that cannot write its evidence goes on, and reports it.
func TestEvidenceThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for name, block := range map[string]func(path string) error{
		"a folder in its place": func(path string) error { return os.Mkdir(path, 0o700) },
		"a full disk":           func(path string) error { return os.Symlink("/dev/full", path) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, block(filepath.Join(dir, "small"+evidence.Extension)))
			r := joins().with("HOLD=7s").claiming(claimUsers(80), claimTokens).command(t, startStandin(t, conditions{}), dir).run(t)
			require.Zero(t, r.exit)
			require.Len(t, claimLines(r.stdout), 2)
			require.Contains(t, r.stdout, ": PASS\n")
			require.Regexp(t, `level=warning msg=".*evidence.*"`, r.stderr)
			require.Regexp(t, `! warning +(no file of the evidence|the file of the evidence is not whole): `, r.stdout)
		})
	}
}

// busyLoops keeps each processor busy with two processes until the test ends.
func busyLoops(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(suite)
	t.Cleanup(cancel)
	for range 2 * runtime.NumCPU() {
		busy := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
		require.NoError(t, busy.Start())
		t.Cleanup(func() {
			cancel()
			_ = busy.Wait() // it was killed
		})
	}
}

// starved runs a profile with a limit of 100 ms on a runner that has little of the processors, while the service has its share.
func (p profile) starved(t *testing.T, target *target) judged {
	t.Helper()
	busyLoops(t)
	dir := t.TempDir()
	c := p.command(t, target, dir)
	c.niceness = "15"
	return judgedBy(t, c.run(t), dir)
}

// The plan's own limit.
func tight() profile {
	within := claimLatency("queue_join", "queue_leave")
	within.WithinMs = 100
	return joins().claiming(claimUsers(80), within, claimErrors, claimTokens)
}

// A runner without enough processor time never leads to a FAIL of a healthy service.
func TestAStarvedRunnerNeverFailsAHealthyService(t *testing.T) {
	if testing.Short() {
		t.Skip("it starves the other tests")
	}
	j := tight().starved(t, startStandin(t, conditions{}))
	require.NotEqual(t, verdict.Fail, j.verdict.Status, "%v", claimLines(j.stdout))
	t.Log(claimLines(j.stdout))
}

// slowJoins returns a Verity that delays this percentage of the joins.
func slowJoins(t *testing.T, percent int64, late time.Duration) *target {
	t.Helper()
	var n atomic.Int64
	return before(t, startStandin(t, conditions{}), func(_ http.ResponseWriter, r *http.Request) bool {
		if isJoin(r) && n.Add(1)*percent%100 < percent {
			time.Sleep(late)
		}
		return false
	})
}
