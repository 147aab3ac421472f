package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.k6.io/k6/v2/cmd/state"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/plan"
)

// profilesFile holds our profiles; the scenarios read the same file.
const profilesFile = "js/profiles.json"

// profile is a step of the safe execution plan: a scenario and the variables for it.
type profile struct {
	Name      string            `json:"name"`
	Scenario  string            `json:"scenario"`
	Shows     string            `json:"shows"`
	Dry       bool              `json:"dry,omitempty"` // a campaign begins it without asking
	Variables map[string]string `json:"variables"`
	Claims    []evidence.Claim  `json:"claims"`

	file string // the PROFILES_FILE that it comes from; "" for ours
}

func newProfilesCommand(gs *state.GlobalState, scripts fs.FS) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "profiles",
		Short: "List the steps of the safe execution plan, each a set of variables that PROFILE selects",
		Long: `List the steps of the safe execution plan in their order. Each is a scenario with a set of variables, which PROFILE
selects; a variable that is set besides wins over the profile's. load-test/README.md says what must be green before the
next step. With PROFILES_FILE the profiles of that file follow; one of the same name stands in place of ours.`,
		Example: `  k6 x verity profiles
  k6 x verity profiles --json
  k6 inspect -e PROFILE=queue-dry load-test/queue-concurrency.js`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			profiles, err := allProfiles(scripts, gs.Env[profilesFileVariable])
			if err != nil {
				return refused(err)
			}
			return refused(printProfiles(gs.Stdout, profiles, started(gs.CmdArgs), asJSON))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func readProfiles(scripts fs.FS) ([]profile, error) {
	text, err := fs.ReadFile(scripts, profilesFile)
	if err != nil {
		return nil, fmt.Errorf("reading the profiles: %w", err)
	}
	var profiles []profile
	if err := json.Unmarshal(text, &profiles); err != nil {
		return nil, fmt.Errorf("reading the profiles: %s: %w", profilesFile, err)
	}
	return profiles, nil
}

// profilesFileVariable is the environment variable with the path of a file of further profiles.
const profilesFileVariable = "PROFILES_FILE"

var absolutePath = regexp.MustCompile(`^(/|[A-Za-z]:\\)`)

// allProfiles returns our profiles and those of file, unless it is ""; a profile of the same name replaces ours. Its error messages are the
// same as those of js/profiles.js.
func allProfiles(scripts fs.FS, file string) ([]profile, error) {
	ours, err := readProfiles(scripts)
	if err != nil || file == "" {
		return ours, err
	}
	if !absolutePath.MatchString(file) {
		return nil, fmt.Errorf("%s must be an absolute path, got %q", profilesFileVariable, file)
	}
	text, err := os.ReadFile(file) // #nosec G304 G703 -- the user names it
	if err != nil {
		return nil, fmt.Errorf("%s must be a file with profiles, got %q, which cannot be read", profilesFileVariable, file)
	}
	if !json.Valid(text) {
		return nil, fmt.Errorf("%s must be a JSON array of profiles as in js/profiles.json: %s is not JSON", profilesFileVariable, file)
	}
	var more []profile
	err = json.Unmarshal(text, &more)
	if err != nil || more == nil || slices.ContainsFunc(more, func(p profile) bool { return p.Name == "" || p.Scenario == "" || p.Variables == nil }) {
		return nil, fmt.Errorf("%s must be a JSON array of profiles with name, scenario and variables, as in js/profiles.json: %s is not",
			profilesFileVariable, file)
	}
	for i := range more {
		more[i].file = file
		if at := slices.IndexFunc(ours, func(p profile) bool { return p.Name == more[i].Name }); at >= 0 {
			ours[at] = more[i]
		} else {
			ours = append(ours, more[i])
		}
	}
	return ours, nil
}

// outline returns the number of users at the peak, buyers for the purchase scenario, and the planned length of the run.
func (p profile) outline() (plan.Outline, error) {
	outline, err := plan.Outlined(p.Scenario, p.Variables)
	if wrong, ok := errors.AsType[*plan.VariableError](err); ok {
		return outline, fmt.Errorf("%s of profile %s: %w", wrong.Name, p.Name, wrong.Err)
	}
	if err != nil {
		return outline, fmt.Errorf("profile %s does not say how many users there are", p.Name)
	}
	return outline, nil
}

// command returns the shell command that runs the profile; k6 is the name or path of the binary.
func (p profile) command(k6 string) string {
	of := ""
	if p.file != "" {
		of = profilesFileVariable + "=" + quoted(p.file) + " "
	}
	return fmt.Sprintf("%sPROFILE=%s %s run load-test/%s.js", of, quoted(p.Name), k6, p.Scenario)
}

// listedProfile is a profile as the command prints it.
type listedProfile struct {
	profile

	Users         int     `json:"users,omitempty"`         // 0 if unknown: the scenario is not ours
	LengthSeconds float64 `json:"lengthSeconds,omitempty"` // likewise
	Command       string  `json:"command"`
}

func listed(profiles []profile, k6 string) ([]listedProfile, error) {
	list := make([]listedProfile, 0, len(profiles))
	for _, p := range profiles {
		if p.file != "" && !plan.Knows(p.Scenario) {
			list = append(list, listedProfile{profile: p, Command: p.command(k6)})
			continue
		}
		outline, err := p.outline()
		if err != nil {
			return nil, err
		}
		list = append(list, listedProfile{p, outline.Users, outline.Length().Seconds(), p.command(k6)})
	}
	return list, nil
}

func printProfiles(out io.Writer, profiles []profile, k6 string, asJSON bool) error {
	list, err := listed(profiles, k6)
	if err != nil {
		return err
	}
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(list)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "PROFILE\tSCENARIO\tUSERS\tLENGTH\tSHOWS THAT")
	for _, p := range list {
		users, length := strconv.Itoa(p.Users), minutes(p.LengthSeconds)
		if p.Users == 0 {
			users, length = "–", "–"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", p.Name, p.Scenario, users, length, p.Shows)
	}
	_, _ = fmt.Fprint(table, "\n`"+k6+" x verity campaign` runs them in this order, each when the one before has passed. By hand, with BASE_URL and\n"+
		"STRIPE_WEBHOOK_SECRET set, in the folder of load-test (`"+k6+" x verity init DIR` unpacks it):\n\n")
	for _, p := range list {
		_, _ = fmt.Fprintf(table, "  %s\n", p.Command)
	}
	return table.Flush()
}

// minutes writes 150 s as 2m30s and 300 s as 5m.
func minutes(seconds float64) string {
	text := (time.Duration(seconds) * time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		return strings.TrimSuffix(text, "0s")
	}
	return text
}
