package loadtest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// The limit of latency in these tests is five times that of the plan, and defects are as much slower: several runs share two processors here.
const slack = 500 // ms

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

func claimUsers(least float64) evidence.Claim { return evidence.Claim{Kind: verdict.KindUsers, Least: least} }

func claimLatency(operations ...string) evidence.Claim {
	return evidence.Claim{Kind: verdict.KindLatency, Operations: operations, WithinMs: slack}
}

var (
	claimMatch  = evidence.Claim{Kind: verdict.KindMatch, WithinMs: 3000} //nolint:gochecknoglobals // constant
	claimErrors = evidence.Claim{Kind: verdict.KindErrors, Below: 0.001}  //nolint:gochecknoglobals // constant
	claimTokens = evidence.Claim{Kind: verdict.KindTokens}                //nolint:gochecknoglobals // constant
)

// joins is a profile whose users join and leave alone.
func joins() profile {
	return profile{queueConcurrency, []string{
		"TARGET_VUS=80", "RAMP_UP=1s", "HOLD=10s", "RAMP_DOWN=1s", "QUEUE_MODE=isolated", "THINK_TIME_MIN=0.1", "THINK_TIME_MAX=0.3",
	}, []evidence.Claim{claimUsers(80), claimLatency("queue_join", "queue_leave"), claimErrors, claimTokens}}
}

// matches is one whose users match and go on.
func matches() profile {
	return profile{queueConcurrency, []string{
		"TARGET_VUS=120", "RAMP_UP=1s", "HOLD=14s", "RAMP_DOWN=1s", "QUEUE_MODE=shared", "QUEUE_SHARDS=8", "THINK_TIME_MIN=0.1",
		"THINK_TIME_MAX=0.4", "TOKENS_PER_USER=100", "TOP_UP_TOKENS=100",
	}, []evidence.Claim{claimMatch, claimLatency("queue_join"), claimErrors, claimTokens}}
}

// holds is one whose users hold sessions.
func holds() profile {
	return profile{videoSessionSustain, []string{
		"SESSION_VUS=120", "RAMP_UP=1s", "HOLD=15s", "RAMP_DOWN=1s", "QUEUE_MODE=shared", "QUEUE_SHARDS=6", "SESSION_HOLD_SECONDS=2",
		"THINK_TIME_MIN=0.1", "THINK_TIME_MAX=0.3",
	}, []evidence.Claim{
		{Kind: verdict.KindSessions, Least: 20, ForSeconds: 8}, claimMatch, claimLatency("queue_join"), claimErrors, claimTokens,
	}}
}

// sells is one of webhooks.
func sells() profile {
	return profile{tokenPurchaseSpike, []string{
		"SEED_USER_COUNT=10", "TOKENS_PER_EVENT=5", "BASE_RATE=10", "SPIKE_RATE=100", "RAMP_UP=2s", "SPIKE_HOLD=8s", "RAMP_DOWN=1s",
	}, []evidence.Claim{
		{Kind: verdict.KindPurchases, WithinMs: slack, SendWithinMs: 1000}, claimLatency("stripe_webhook"), claimErrors, claimTokens,
	}}
}

// judged is a run whose profile is called small, its reports, and its verdict.
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
	return k6Run(p.script, target, append([]string{"PROFILES_FILE=" + p.write(t), "PROFILE=small", "REPORT_DIR=" + dir}, variables...)...)
}

// run runs the profile.
func (p profile) run(t *testing.T, target *target, variables ...string) judged {
	t.Helper()
	dir := t.TempDir()
	return judgedBy(t, p.command(t, target, dir, variables...).run(t), dir)
}

// judgedBy reads the evidence of a run back and requires that it gives the verdict and the exit code of the run itself.
func judgedBy(t *testing.T, r result, dir string) judged {
	t.Helper()
	file := filepath.Join(dir, "small"+evidence.Extension)
	shown := k6("x", "verity", "show", file).run(t)
	if r.exit != exitcodes.ExternalAbort {
		require.Equal(t, r.exit, shown.exit, "show exits as the run did")
	}
	j := judged{result: r, dir: dir}
	require.NoError(t, json.Unmarshal([]byte(k6("x", "verity", "show", "--json", file).run(t).stdout), &j.verdict))
	require.NotEmpty(t, j.verdict.Claims)
	require.Contains(t, r.stdout, "  █ VERITY small on ")
	require.Equal(t, claimLines(r.stdout), claimLines(shown.stdout), "the same verdict from the file")
	require.Len(t, claimLines(r.stdout), len(j.verdict.Claims))
	return j
}

// claimLines are the lines of a summary that say what became of the claims, the heading left out.
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

// claim returns what became of the claim of this kind.
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
			require.True(t, c.Status != verdict.Fail || contains(others, c.Claim.Kind), "%s is %s: %s", c.Claim.Kind, c.Status, c.Reason)
		}
	}
}

func contains(list []string, text string) bool {
	for _, item := range list {
		if item == text {
			return true
		}
	}
	return false
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
	waiting := joins().claiming(append(joins().claims, evidence.Claim{Kind: verdict.KindWaiting, Least: 20})...)
	for name, c := range map[string]struct {
		profile    profile
		conditions conditions
	}{
		"users wait alone":    {waiting, conditions{}},
		"users match":         {matches(), conditions{}},
		"users hold sessions": {holds(), whole},
		"events are sold":     {sells(), conditions{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.profile.run(t, startStandin(t, c.conditions)).requirePass(t)
		})
	}
}
