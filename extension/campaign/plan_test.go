package campaign

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// profileNamed is a Lookup of two profiles.
func profileNamed(name string, variables map[string]string) (Step, error) {
	if name != "queue-dry" && name != "match-full" {
		return Step{}, fmt.Errorf("the profile must be queue-dry or match-full, got %q", name)
	}
	return Step{Name: name, Profile: name, Scenario: "queue-concurrency", Users: 1000, LengthSeconds: 60, Variables: variables}, nil
}

func TestAPlanFile(t *testing.T) {
	t.Parallel()
	plan, err := ParsePlan([]byte(`
name: evening
limits:
  - { name: database, query: 'max(pg_up)', below: 1, for: 10s }
steps:
  - profile: queue-dry
  - profile: match-full
    name: match-half
    variables: { TARGET_VUS: 2500, QUEUE_REGION: "no" }
    dry: true
    accept-not-proven: true
    limits:
      - { name: cpu, query: max(cpu), above: 0.9 }
`), profileNamed)
	require.NoError(t, err)
	database := Limit{Name: "database", Query: "max(pg_up)", Below: new(1.0), ForSeconds: 10}
	require.Equal(t, Plan{Name: "evening", Steps: []Step{
		{Name: "queue-dry", Profile: "queue-dry", Scenario: "queue-concurrency", Users: 1000, LengthSeconds: 60, Limits: []Limit{database}},
		{
			Name: "match-half", Profile: "match-full", Scenario: "queue-concurrency", Users: 1000, LengthSeconds: 60, Dry: true, AcceptNotProven: true,
			Variables: map[string]string{"TARGET_VUS": "2500", "QUEUE_REGION": "no"},
			Limits:    []Limit{database, {Name: "cpu", Query: "max(cpu)", Above: new(0.9)}},
		},
	}}, plan)
}

func TestRefusedPlanFiles(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ text, want string }{
		{"", `it is empty; it takes "steps", such as steps: [{ profile: queue-dry }]`},
		{"name: x", `there are no steps; it takes "steps", such as steps: [{ profile: queue-dry }]`},
		{"steps: []", `there are no steps; it takes "steps", such as steps: [{ profile: queue-dry }]`},
		{"- a", "line 1: a plan takes the keys name, limits, steps, got a list"},
		{"a", `line 1: a plan takes the keys name, limits, steps, got "a"`},
		{"steps: [\n", "no YAML: line 1: did not find expected node content"},
		{"name: x\nstep: []", `line 2: a plan takes no key "step"; it takes name, limits, steps`},
		{"name: x\nname: y", `line 2: the key "name" is there twice`},
		{"name:", `line 1: name of a plan must be a text of one line, got ""`},
		{"name: [x]", "line 1: name of a plan must be a text of one line, got a list"},
		{"steps: queue-dry", `line 1: steps of a plan must be a list of at most 100 steps, got "queue-dry"`},
		{"steps:\n  - queue-dry", `line 2: a step takes the keys profile, name, variables, dry, accept-not-proven, limits, got "queue-dry"`},
		{"steps:\n  - profil: queue-dry", `line 2: a step takes no key "profil"; it takes profile, name, variables, dry, accept-not-proven, limits`},
		{"steps:\n  - name: x", `line 2: a step takes "profile", the name of one that k6 x verity profiles lists or PROFILES_FILE has`},
		{"steps:\n  - profile: queue-try", `line 2: the profile must be queue-dry or match-full, got "queue-try"`},
		{"steps:\n  - profile: queue-dry\n    dry: maybe", `line 3: dry of a step must be true or false, got "maybe"`},
		{"steps:\n  - profile: queue-dry\n    accept-not-proven: 1", `line 3: accept-not-proven of a step must be true or false, got "1"`},
		{"steps:\n  - profile: queue-dry\n    name: ../x", `the name of a step must be letters, digits, dots, - and _, for its folder is called so; got "../x"`},
		{"steps:\n  - profile: queue-dry\n  - profile: queue-dry", `two steps are called "queue-dry"; give one of them another "name", for their folders are called so`},
		{"steps:\n  - profile: queue-dry\n  - { profile: queue-dry, name: Queue-Dry }", `two steps are called "Queue-Dry"; give one of them another "name", for their folders are called so`},
		{"steps:\n  - profile: queue-dry\n    variables: 7", `line 3: variables of a step must be a map of variables of the scenario, such as { TARGET_VUS: 200 }, got "7"`},
		{"steps:\n  - profile: queue-dry\n    variables:\n      target: 7", `line 4: the name of a variable is such as TARGET_VUS, got "target"`},
		{"steps:\n  - profile: queue-dry\n    variables:\n      HOLD: [1m]", "line 4: HOLD must be a text of one line, got a list"},
		{"steps:\n  - profile: queue-dry\n    variables:\n      HOLD: 1m\n      HOLD: 2m", "line 5: the variable HOLD is there twice"},
		{"steps:\n  - profile: queue-dry\n    variables: { STRIPE_WEBHOOK_SECRET: whsec_x }", "line 3: a plan does not set STRIPE_WEBHOOK_SECRET; it is a secret: set it in the environment"},
		{"steps:\n  - profile: queue-dry\n    variables: { K6_VUS: 3 }", "line 3: a plan does not set K6_VUS, a variable of k6; set it in the environment, or give k6's flag after --"},
		{"limits: [{ name: x }]", `line 1: a limit takes "name" and "query", an expression of PromQL`},
		{"limits: [{ name: x, query: up }]", `line 1: the limit "x" takes "above" or "below", a number, and not both`},
		{"limits: [{ name: x, query: up, above: 1, below: 2 }]", `line 1: the limit "x" takes "above" or "below", a number, and not both`},
		{"limits: [{ name: x, query: up, above: NaN }]", `line 1: above of a limit must be a number, got "NaN"`},
		{"limits: [{ name: x, query: up, above: 1, for: 2 }]", `line 1: for of a limit must be a duration of at most 1h such as 30s, got "2"`},
		{"limits: [{ name: x, query: up, over: 1 }]", `line 1: a limit takes no key "over"; it takes name, query, above, below, for`},
		{"x: &a [1]\nsteps: *a", `line 1: a plan takes no key "x"; it takes name, limits, steps`},
		{strings.Repeat("#", mostBytes+1), "longer than 1048576 bytes; no plan is"},
	} {
		_, err := ParsePlan([]byte(tc.text), profileNamed)
		require.EqualError(t, err, tc.want, "%.200s", tc.text)
	}
}

func TestStepsAreSelected(t *testing.T) {
	t.Parallel()
	plan := Plan{Name: "x", Steps: []Step{stepNamed("a"), stepNamed("b"), stepNamed("c")}}
	for _, tc := range []struct {
		wanted     Selection
		want, fail string
	}{
		{Selection{}, "a, b, c", ""},
		{Selection{From: "b"}, "b, c", ""},
		{Selection{Until: "b"}, "a, b", ""},
		{Selection{From: "b", Until: "b"}, "b", ""},
		{Selection{Only: []string{"c", "a"}}, "a, c", ""},
		{Selection{From: "c", Until: "a"}, "", "--from c comes after --until a; the steps are a, b, c"},
		{Selection{From: "d"}, "", `--from must be one of the steps a, b, c, got "d"`},
		{Selection{Until: "d"}, "", `--until must be one of the steps a, b, c, got "d"`},
		{Selection{Only: []string{"a", "A"}}, "", `--only must be one of the steps a, b, c, got "A"`},
		{Selection{Only: []string{"a"}, From: "a"}, "", "--only excludes --from and --until: it names the steps itself"},
	} {
		selected, err := plan.Select(tc.wanted)
		if tc.fail != "" {
			require.EqualError(t, err, tc.fail)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, tc.want, selected.names())
		require.Equal(t, "x", selected.Name)
	}
	require.Len(t, plan.Steps, 3, "the plan itself is left as it is")
}

func FuzzParsePlan(f *testing.F) {
	for _, seed := range []string{
		"steps: [{ profile: queue-dry }]", "name: x\nlimits: [{ name: a, query: up, above: 1, for: 5s }]\nsteps:\n- profile: match-full\n  dry: true\n",
		"steps: [{ profile: queue-dry, variables: { HOLD: 1m } }]", "a: &a [*a]", "? [x]\n: y", "steps: !!binary x", "<<: {}", "\x00", "---\n---\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		plan, err := ParsePlan(text, profileNamed)
		if err != nil {
			require.NotContains(t, err.Error(), "\n", "a message is one line")
			return
		}
		require.NotEmpty(t, plan.Steps)
		for _, step := range plan.Steps {
			require.Regexp(t, stepName, step.Name)
			for _, limit := range step.Limits {
				require.NotEqual(t, limit.Above == nil, limit.Below == nil)
			}
		}
	})
}
