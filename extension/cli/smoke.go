package cli

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"go.k6.io/k6/v2/cmd/state"

	"github.com/verity-app/xk6-verity/extension/campaign"
	"github.com/verity-app/xk6-verity/extension/standin"
	"github.com/verity-app/xk6-verity/extension/version"
)

// smokeScenario is one scenario at laptop scale.
type smokeScenario struct {
	name      string
	variables map[string]string
}

// smokeSession is the length of a session in a smoke run: long enough to be held, short enough for a smoke run of about a minute.
const smokeSession = 3 * time.Second

var smokeScenarios = []smokeScenario{ //nolint:gochecknoglobals // a constant table
	{"queue-concurrency", map[string]string{
		"TARGET_VUS": "50", "RAMP_UP": "5s", "HOLD": "8s", "RAMP_DOWN": "2s", "BALANCE_CHECK_EVERY": "3",
	}},
	{"video-session-sustain", map[string]string{
		"SESSION_VUS": "40", "RAMP_UP": "5s", "HOLD": "10s", "RAMP_DOWN": "2s", "SESSION_HOLD_SECONDS": "3",
	}},
	{"token-purchase-spike", map[string]string{
		"SEED_USER_COUNT": "10", "BASE_RATE": "5", "SPIKE_RATE": "60", "RAMP_UP": "4s", "SPIKE_HOLD": "6s", "RAMP_DOWN": "2s", "REPLAY_RATE": "0.2",
	}},
}

// smokeEnv are the only environment variables that a smoke run passes on: a scenario's variable or an option of k6 that is set for staging
// would change the test.
var smokeEnv = []string{ //nolint:gochecknoglobals // a constant table
	"HOME", "PATH", "TMPDIR", "TERM", "COLUMNS", "LANG", "NO_COLOR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME",
	"GOGC", "GOMEMLIMIT", "GOMAXPROCS", "K6_NO_COLOR", "K6_NO_USAGE_REPORT", state.AutoExtensionResolution,
}

func newSmokeCommand(gs *state.GlobalState, scripts fs.FS) *cobra.Command {
	var from, reportDir string
	cmd := &cobra.Command{
		Use:   "smoke",
		Short: "Run all scenarios against a stand-in, at laptop scale",
		Long: `Run all three scenarios at laptop scale against a stand-in on a free port of this machine, in about a minute. It is a
campaign (k6 x verity campaign) of small steps, and leaves the same log and reports.

The exit code is 0 only if everything passed; otherwise it is k6's, such as 99 for thresholds.`,
		Example: `  k6 x verity smoke
  k6 x verity smoke --from .`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return smoke(gs, scripts, from, reportDir) },
	}
	cmd.Flags().StringVar(&from, "from", "", "run the scenarios of this checkout (default: those in the binary)")
	cmd.Flags().StringVar(&reportDir, "report-dir", "", "the folder `DIR` for the log and the reports (default: a new one for temporary files)")
	return cmd
}

func smoke(gs *state.GlobalState, scripts fs.FS, from, reportDir string) error {
	ctx, kill, stop := interrupts(gs)
	defer stop()
	work, err := os.MkdirTemp("", "verity-smoke-scripts-")
	if err != nil {
		return fmt.Errorf("making a folder for the scenarios: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	dir, err := unpacked(scripts, "--from", from, work)
	if err != nil {
		return refused(err)
	}
	server, err := standin.Start(ctx, standin.Options{
		Addr: "127.0.0.1:0", WebhookSecret: standinSecret, Session: smokeSession,
	})
	if err != nil {
		return fmt.Errorf("starting the stand-in: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), standinCloseLimit)
		defer cancel()
		_ = server.Close(closing)
	}()
	engine, err := newSmoke(gs, dir, reportDir, server.URL(), kill)
	if err != nil {
		return refused(err)
	}
	defer func() { _ = engine.Folder.Close() }()
	return carryOut(ctx, gs, engine, "SCENARIO", started(gs.CmdArgs)+" x verity smoke")
}

// newSmoke makes the campaign of a smoke run: small steps against a stand-in. As load cannot harm a stand-in, a step runs even if the one
// before failed.
func newSmoke(gs *state.GlobalState, scripts, reportDir, target string, kill <-chan struct{}) (*campaign.Engine, error) {
	k6, err := newSteps(gs, scripts, campaignOptions{kill: kill})
	if err != nil {
		return nil, err
	}
	k6.environ = append(inherited(smokeEnv), "BASE_URL="+target, "STRIPE_WEBHOOK_SECRET="+standinSecret)
	if reportDir == "" {
		if reportDir, err = os.MkdirTemp("", "verity-smoke-"); err != nil {
			return nil, fmt.Errorf("making a folder for the reports: %w", err)
		}
	}
	folder, err := campaign.Create(reportDir, nil)
	if err != nil {
		return nil, err
	}
	asked := campaign.Asked{Tool: version.Version(), K6: version.K6(), Target: target, Plan: campaign.Plan{Name: "smoke"}}
	if asked.Build, err = campaign.BuildOf(k6.binary); err != nil {
		return nil, fmt.Errorf("reading this binary: %w", err)
	}
	for _, scenario := range smokeScenarios {
		step, err := scenario.step()
		if err != nil {
			return nil, err
		}
		asked.Plan.Steps = append(asked.Plan.Steps, step)
	}
	options := campaign.Options{KeepGoing: true, Who: who(), Resume: started(gs.CmdArgs) + " x verity smoke"}
	engine, err := newEngine(gs, k6, campaign.Service{BaseURL: target}, options)
	if err != nil {
		return nil, err
	}
	engine.Folder, engine.Record = folder, campaign.NewRecord(asked, time.Now())
	return engine, nil
}

// unpacked returns the folder that a flag names, or, without the flag, the work folder after copying this binary's scenarios into it.
func unpacked(scripts fs.FS, flag, from, work string) (string, error) {
	dir, err := scriptsFolder(scripts, flag, from)
	if dir != "" || err != nil {
		return dir, err
	}
	if err := os.CopyFS(work, scripts); err != nil {
		return "", fmt.Errorf("unpacking the scenarios: %w", err)
	}
	return work, nil
}

// scriptsFolder checks the folder that a flag names and returns its absolute path; "" without the flag.
func scriptsFolder(scripts fs.FS, flag, from string) (string, error) {
	if from == "" {
		return "", nil
	}
	for _, scenario := range smokeScenarios {
		if _, err := os.Stat(filepath.Join(from, scenario.path())); err != nil {
			return "", fmt.Errorf("%s must be a checkout of xk6-verity with %s, got %q: %w", flag, scenario.path(), from, err)
		}
		if _, err := fs.Stat(scripts, scenario.path()); err != nil {
			return "", fmt.Errorf("this binary lacks %s: %w", scenario.path(), err)
		}
	}
	return filepath.Abs(from)
}

func (s smokeScenario) path() string { return filepath.Join("load-test", s.name+".js") }

// step returns the scenario as a step of a campaign, without claims: a load of laptop scale proves nothing about the targets.
func (s smokeScenario) step() (campaign.Step, error) {
	outline, err := profile{Name: s.name, Scenario: s.name, Variables: s.variables}.outline()
	return campaign.Step{
		Name: s.name, Scenario: s.name, Dry: true, Users: outline.Users, LengthSeconds: outline.Length().Seconds(), Variables: s.variables,
	}, err
}

func inherited(names []string) []string {
	var env []string
	for _, name := range names {
		if value, isSet := os.LookupEnv(name); isSet {
			env = append(env, name+"="+value)
		}
	}
	return env
}
