package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.k6.io/k6/v2/cmd/state"
	"go.k6.io/k6/v2/errext"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// preflightEnv are the variables of k6 that a preflight passes on: those on how to connect. Others would make it generate load, or write
// the results of a run without load.
var preflightEnv = []string{ //nolint:gochecknoglobals // a constant table
	"K6_BLACKLIST_IPS", "K6_BLOCK_HOSTNAMES", "K6_DNS", "K6_HOSTS", "K6_INSECURE_SKIP_TLS_VERIFY", "K6_LOCAL_IPS", "K6_TLSAUTH",
	"K6_TLS_CIPHER_SUITES", "K6_USER_AGENT", "K6_NO_USAGE_REPORT", state.AutoExtensionResolution,
}

// passedFlags are the flags of k6 run that a preflight accepts too: this runner's part of the test, and the source of the secret.
var passedFlags = []struct{ name, usage string }{ //nolint:gochecknoglobals // a constant table
	{"execution-segment", "this runner's part of the test, as for k6 run"},
	{"execution-segment-sequence", "the parts of all runners, as for k6 run"},
	{"secret-source", "where STRIPE_WEBHOOK_SECRET is, as for k6 run"},
}

type preflightOptions struct {
	scenario, from string
	asJSON, trial  bool
	passed         []string // flags for k6 run
}

func newPreflightCommand(gs *state.GlobalState, scripts fs.FS) *cobra.Command {
	var options preflightOptions
	cmd := &cobra.Command{
		Use:   "preflight",
		Short: "Look whether a run could say anything, before it: clock, secret, rate limits, descriptors, ports",
		Long: `Look once, without any load and creating nothing, whether a run could say anything about the service: whether BASE_URL is a
Verity whose clock and webhook secret are this runner's, whether the plan would break a rate limit, and whether this
machine has the file descriptors and ports that it takes. Each run looks at the same before it begins.

The plan is that of a scenario with the variables of the environment, PROFILE among them. The exit code is 0 if nothing is
marked ✗, 107 if something is or the configuration was refused, and 108 if the target is no Verity.`,
		Example: `  PROFILE=queue-full k6 x verity preflight
  k6 x verity preflight --scenario token-purchase-spike --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, flag := range passedFlags {
				if value := cmd.Flag(flag.name).Value.String(); value != "" {
					options.passed = append(options.passed, "--"+flag.name, value)
				}
			}
			return preflight(gs, scripts, options)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&options.scenario, "scenario", "", "the scenario whose plan it is (default: that of PROFILE)")
	flags.StringVar(&options.from, "from", "", "use the scenarios of this checkout (default: those in the binary)")
	flags.BoolVar(&options.asJSON, "json", false, "print JSON")
	flags.BoolVar(&options.trial, "trial", false, "let two users match in a queue key of their own, as each run with sockets does (makes two accounts)")
	for _, flag := range passedFlags {
		flags.String(flag.name, "", flag.usage)
	}
	return cmd
}

func preflight(gs *state.GlobalState, scripts fs.FS, options preflightOptions) error {
	work, err := os.MkdirTemp("", "verity-preflight-")
	if err != nil {
		return fmt.Errorf("making a folder for the preflight: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	dir, err := unpacked(scripts, "--from", options.from, work)
	if err != nil {
		return refused(err)
	}
	scenario, err := scenarioOf(os.DirFS(dir), options.scenario, os.Getenv("PROFILE"), os.Getenv(profilesFileVariable))
	if err != nil {
		return refused(err)
	}
	ctx, stop := untilInterrupted(gs)
	defer stop()
	return runPreflight(ctx, gs, filepath.Join(dir, "load-test", scenario+".js"), options)
}

// scenarioOf returns the scenario named by --scenario, or else the scenario of the profile.
func scenarioOf(scripts fs.FS, name, profileName, profilesFile string) (string, error) {
	names := make([]string, len(smokeScenarios))
	for i, s := range smokeScenarios {
		names[i] = s.name
	}
	if name != "" {
		if !slices.Contains(names, name) {
			return "", fmt.Errorf("--scenario must be %s, got %q", strings.Join(names, " or "), name)
		}
		return name, nil
	}
	profiles, err := allProfiles(scripts, profilesFile)
	if err != nil {
		return "", err
	}
	var known []string
	for _, p := range profiles {
		if p.Name == profileName && !slices.Contains(names, p.Scenario) {
			return "", fmt.Errorf("PROFILE=%s is of %s.js, and a preflight is of %s: that script looks by itself when it is run",
				p.Name, p.Scenario, strings.Join(names, ", "))
		}
		if p.Name == profileName {
			return p.Scenario, nil
		}
		known = append(known, p.Name)
	}
	if profileName == "" {
		return "", fmt.Errorf("set PROFILE (%s) or --scenario (%s)", strings.Join(known, ", "), strings.Join(names, ", "))
	}
	return "", fmt.Errorf("PROFILE must be %s, got %q", strings.Join(known, " or "), profileName)
}

// runPreflight runs this binary again in preflight-only mode: the scripts read the variables, and k6 run itself reads the secret sources, the
// options of TLS, DNS and hosts, and the execution segment. The child prints what it finds; if it fails, the error holds its message.
func runPreflight(ctx context.Context, gs *state.GlobalState, script string, options preflightOptions) error {
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this k6: %w", err)
	}
	form := "table"
	if options.asJSON {
		form = "json"
	}
	args := slices.Concat([]string{"run", "--quiet", "--no-color", "--no-teardown", "--summary-mode=disabled", "--log-format=raw"},
		options.passed, []string{script})
	cmd := exec.CommandContext(ctx, binary, args...) // #nosec G204 G702 -- this binary, its own flags
	cmd.Env = append(preflightEnviron(os.Environ()), "PREFLIGHT_ONLY="+form, "SKIP_PREFLIGHT=")
	if options.trial {
		cmd.Env = append(cmd.Env, "TRIAL=1")
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = gs.Stdout, &said
	code, err := exitCode(cmd.Run())
	switch {
	case ctx.Err() != nil:
		return errext.WithExitCodeIfNone(errors.New("the preflight was interrupted"), exitcodes.ExternalAbort)
	case err != nil:
		return err
	case code != 0:
		return errext.WithExitCodeIfNone(errors.New(plainly(said.String())), exitcodes.ExitCode(code)) // #nosec G115 -- an exit code fits a byte
	default:
		return nil
	}
}

// preflightEnviron removes the variables of k6 that are not in preflightEnv.
func preflightEnviron(environ []string) []string {
	return slices.DeleteFunc(environ, func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return strings.HasPrefix(name, "K6_") && !slices.Contains(preflightEnv, name)
	})
}

// plainly returns an error message of k6 without the script's stack trace.
func plainly(message string) string {
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(message), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "\tat ") || strings.TrimSpace(line) == ""
	})
	return strings.TrimPrefix(strings.TrimPrefix(strings.Join(lines, "; "), "Go"), "Error: ")
}
