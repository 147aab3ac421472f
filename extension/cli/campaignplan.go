package cli

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/verity-app/xk6-verity/extension/campaign"
)

// readPlan returns the plan in planFile, or the safe execution plan if planFile is "", and the known profiles: ours, and those of
// profilesFile, which replace ours of the same name.
func readPlan(scripts fs.FS, planFile, profilesFile string) (plan campaign.Plan, known []profile, err error) {
	ours, err := readProfiles(scripts)
	if err != nil {
		return plan, nil, err
	}
	known, err = allProfiles(scripts, profilesFile)
	if err != nil {
		return plan, nil, err
	}
	lookup := func(name string, variables map[string]string) (campaign.Step, error) {
		return stepOf(scripts, known, name, variables)
	}
	if planFile == "" {
		plan, err = safePlan(ours, lookup)
		return plan, known, err
	}
	text, err := os.ReadFile(planFile) // #nosec G304 -- the user names it
	if err != nil {
		return plan, nil, fmt.Errorf("--plan: %w", err)
	}
	if plan, err = campaign.ParsePlan(text, lookup); err != nil {
		return plan, nil, fmt.Errorf("--plan %s: %w", planFile, err)
	}
	if plan.Name == "" {
		plan.Name = strings.TrimSuffix(filepath.Base(planFile), filepath.Ext(planFile))
	}
	return plan, known, nil
}

// safePlan returns the safe execution plan: one step for each of our profiles.
func safePlan(ours []profile, lookup campaign.Lookup) (campaign.Plan, error) {
	var plan campaign.Plan
	for _, p := range ours {
		step, err := lookup(p.Name, nil)
		if err != nil {
			return campaign.Plan{}, err
		}
		plan.Steps = append(plan.Steps, step)
	}
	return plan, nil
}

// stepOf makes a step from a profile; the given variables override the profile's.
func stepOf(scripts fs.FS, known []profile, name string, variables map[string]string) (campaign.Step, error) {
	at := slices.IndexFunc(known, func(p profile) bool { return p.Name == name })
	if at < 0 {
		names := make([]string, len(known))
		for i, p := range known {
			names[i] = p.Name
		}
		return campaign.Step{}, fmt.Errorf("the profile must be %s, got %q", strings.Join(names, " or "), name)
	}
	p := known[at]
	script := path.Join("load-test", p.Scenario+".js")
	if _, err := fs.Stat(scripts, script); err != nil || p.Scenario == "" {
		return campaign.Step{}, fmt.Errorf("the profile %s is of the scenario %q, and there is no %s", name, p.Scenario, script)
	}
	merged := p
	merged.Variables = map[string]string{}
	maps.Copy(merged.Variables, p.Variables)
	maps.Copy(merged.Variables, variables)
	outline, err := merged.outline()
	if err != nil {
		return campaign.Step{}, err
	}
	return campaign.Step{
		Name: name, Profile: name, Scenario: p.Scenario, Shows: p.Shows, Dry: p.Dry && !asksMore(variables), Users: outline.Users,
		LengthSeconds: outline.Length().Seconds(), Variables: variables, Claims: p.Claims,
	}, nil
}

// loadVariables are those that say how large a load is.
var loadVariables = []string{"TARGET_VUS", "USERS_PER_VU", "SESSION_VUS", "BASE_RATE", "SPIKE_RATE"} //nolint:gochecknoglobals // a constant table

// asksMore reports whether a step may be larger than its profile, so that it does not begin without a question.
func asksMore(variables map[string]string) bool {
	return slices.ContainsFunc(loadVariables, func(name string) bool { return variables[name] != "" })
}

// listSteps prints the steps of a plan.
func listSteps(out io.Writer, plan campaign.Plan) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "STEP\tSCENARIO\tUSERS\tLENGTH\tBEGINS\tSHOWS THAT")
	for _, step := range plan.Steps {
		begins := "after a yes"
		if step.Dry {
			begins = "by itself"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\n", step.Name, step.Scenario, step.Users, minutes(step.LengthSeconds), begins, step.Shows)
	}
	_, _ = fmt.Fprintf(table, "\n%s of load; a window must have room for each step and %s beside it.\n",
		minutes(plan.Length().Seconds()), minutes(campaign.StepMargin.Seconds()))
	return table.Flush()
}

// notInACampaign are variables that would change the run of every step, and why each is refused.
var notInACampaign = []struct{ name, why string }{ //nolint:gochecknoglobals // a constant table
	{"PROFILE", "each step has its own; name steps with --only"},
	{"START_AT", "a step begins when the one before has passed; give --window"},
	{"USE_SIMPLE", "the profile of a step says how many users there are"},
	{"PREFLIGHT_ONLY", "no step would make a load"},
	{"K6_VUS", "the profile of a step says how many users there are"},
	{"K6_DURATION", "the profile of a step says how long it is"},
	{"K6_ITERATIONS", "the profile of a step says how long it is"},
	{"K6_STAGES", "the profile of a step says how long it is"},
	{"K6_EXECUTION_SEGMENT", "the campaign gives it to each runner itself; see --runners"},
	{"K6_EXECUTION_SEGMENT_SEQUENCE", "the campaign gives it to each runner itself; see --runners"},
	{"K6_PAUSED", "each step would wait for somebody to resume it"},
	{"K6_LINGER", "no step would end"},
}

// checkEnvironment refuses environment variables that would change the steps of the plan.
func checkEnvironment(getenv func(string) string, plan []campaign.Step, known []profile) error {
	for _, variable := range notInACampaign {
		if value := getenv(variable.name); value != "" && value != "0" {
			return fmt.Errorf("%s is set, and a campaign takes none: %s; unset it", variable.name, variable.why)
		}
	}
	for _, step := range plan {
		at := slices.IndexFunc(known, func(p profile) bool { return p.Name == step.Profile })
		if at < 0 {
			continue // the profile is gone: Record.Resume refuses the changed plan
		}
		of := known[at].Variables
		for _, name := range slices.Sorted(maps.Keys(of)) {
			_, isOverridden := step.Variables[name]
			if value := getenv(name); value != "" && value != of[name] && !isOverridden {
				return fmt.Errorf("%s=%s is set, and would make another step of %s, which has %s; unset it, or make a step of your own in a plan file (--plan)",
					name, value, step.Name, of[name])
			}
		}
	}
	return nil
}
