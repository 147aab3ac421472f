package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.k6.io/k6/v2/cmd/state"
	"go.k6.io/k6/v2/errext"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/standin"
)

// smokeScenario is one scenario at laptop scale.
type smokeScenario struct {
	name      string
	variables []string
}

// smokeSession is the length of a session in a smoke run: long enough to be held, short enough for a minute in all.
const smokeSession = 3 * time.Second

var smokeScenarios = []smokeScenario{ //nolint:gochecknoglobals // a constant table
	{"queue-concurrency", []string{
		"TARGET_VUS=50", "RAMP_UP=5s", "HOLD=8s", "RAMP_DOWN=2s", "BALANCE_CHECK_EVERY=3",
	}},
	{"video-session-sustain", []string{
		"SESSION_VUS=40", "RAMP_UP=5s", "HOLD=10s", "RAMP_DOWN=2s", "SESSION_HOLD_SECONDS=3",
	}},
	{"token-purchase-spike", []string{
		"SEED_USER_COUNT=10", "BASE_RATE=5", "SPIKE_RATE=60", "RAMP_UP=4s", "SPIKE_HOLD=6s", "RAMP_DOWN=2s", "REPLAY_RATE=0.2",
	}},
}

// smokeEnv is what a smoke run takes over from the environment. Nothing else is: a variable of a scenario or an option of
// k6 that is set for staging would make it another test.
var smokeEnv = []string{ //nolint:gochecknoglobals // a constant table
	"HOME", "PATH", "TMPDIR", "TERM", "COLUMNS", "LANG", "NO_COLOR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME",
	"GOGC", "GOMEMLIMIT", "GOMAXPROCS", "K6_NO_COLOR", "K6_NO_USAGE_REPORT", state.AutoExtensionResolution,
}

// smokeResult is how one scenario ended.
type smokeResult struct {
	scenario   string
	exitCode   int
	thresholds int
	crossed    int
}

func newSmokeCommand(gs *state.GlobalState, scripts fs.FS) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "smoke",
		Short: "Run all scenarios against a stand-in, at laptop scale",
		Long: `Run all three scenarios at laptop scale against a stand-in on a free port of this machine, in about a minute.

The exit code is 0 only if everything passed; otherwise it is k6's, such as 99 for thresholds.`,
		Example: `  k6 x verity smoke
  k6 x verity smoke --from .`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return smoke(gs, scripts, from) },
	}
	cmd.Flags().StringVar(&from, "from", "", "run the scenarios of this checkout (default: those in the binary)")
	return cmd
}

func smoke(gs *state.GlobalState, scripts fs.FS, from string) error {
	ctx, stop := context.WithCancel(gs.Ctx)
	defer stop()
	work, err := os.MkdirTemp("", "verity-smoke-")
	if err != nil {
		return fmt.Errorf("making a folder for the smoke run: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	dir, err := unpacked(scripts, from, work)
	if err != nil {
		return err
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
	return runSmoke(ctx, gs, dir, work, server.URL())
}

// unpacked returns the folder of --from, or without one the work folder with the scenarios of this binary in it.
func unpacked(scripts fs.FS, from, work string) (string, error) {
	dir, err := scriptsFolder(scripts, from)
	if err != nil {
		return "", refused(err)
	}
	if dir != "" {
		return dir, nil
	}
	if err := os.CopyFS(work, scripts); err != nil {
		return "", fmt.Errorf("unpacking the scenarios: %w", err)
	}
	return work, nil
}

// scriptsFolder checks the folder of --from, and returns "" without one.
func scriptsFolder(scripts fs.FS, from string) (string, error) {
	if from == "" {
		return "", nil
	}
	for _, scenario := range smokeScenarios {
		if _, err := os.Stat(filepath.Join(from, scenario.path())); err != nil {
			return "", fmt.Errorf("--from must be a checkout of xk6-verity with %s, got %q: %w", scenario.path(), from, err)
		}
		if _, err := fs.Stat(scripts, scenario.path()); err != nil {
			return "", fmt.Errorf("this binary lacks %s: %w", scenario.path(), err)
		}
	}
	return filepath.Abs(from)
}

func (s smokeScenario) path() string { return filepath.Join("load-test", s.name+".js") }

func runSmoke(ctx context.Context, gs *state.GlobalState, dir, work, url string) error {
	signals := make(chan os.Signal, 2)
	gs.SignalNotify(signals, os.Interrupt, syscall.SIGTERM)
	defer gs.SignalStop(signals)

	results := make([]smokeResult, 0, len(smokeScenarios))
	interrupted := false
	for i, scenario := range smokeScenarios {
		if interrupted {
			break
		}
		if !gs.Flags.Quiet {
			_, _ = fmt.Fprintf(gs.Stdout, "\n▶ %d of %d: %s\n", i+1, len(smokeScenarios), scenario.name)
		}
		var result smokeResult
		var err error
		result, interrupted, err = runScenario(ctx, scenario, dir, work, url, signals, gs.Flags.Quiet)
		if err != nil {
			return err
		}
		results = append(results, result)
	}
	writeSmokeTable(gs.Stdout, url, results)
	return smokeError(results, interrupted)
}

// runScenario runs a scenario as a child in a process group of its own, so that a Ctrl-C at the terminal reaches it once:
// from here.
func runScenario(
	ctx context.Context, scenario smokeScenario, dir, work, url string, signals <-chan os.Signal, quiet bool,
) (result smokeResult, interrupted bool, err error) {
	result.scenario = scenario.name
	binary, err := os.Executable()
	if err != nil {
		return result, false, fmt.Errorf("finding this k6: %w", err)
	}
	export := filepath.Join(work, scenario.name+".json")
	cmd := exec.CommandContext(ctx, binary, "run", "--summary-export", export, filepath.Join(dir, scenario.path())) // #nosec G204 -- this binary
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	var said bytes.Buffer // with --quiet, shown where the scenario failed
	if quiet {
		cmd.Args = append(cmd.Args, "--quiet")
		cmd.Stdout, cmd.Stderr = &said, &said
	}
	cmd.Env = append(inherited(smokeEnv), "BASE_URL="+url, "STRIPE_WEBHOOK_SECRET="+standinSecret)
	cmd.Env = append(cmd.Env, scenario.variables...)
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return result, false, fmt.Errorf("starting %s: %w", scenario.name, err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			interrupted = true
			_ = cmd.Process.Signal(sig) // it fails for a child that is gone
		case waitErr := <-exited:
			result.exitCode, err = exitCode(waitErr)
			result.thresholds, result.crossed = readThresholds(export)
			if !result.passed() {
				_, _ = said.WriteTo(os.Stderr)
			}
			return result, interrupted, err
		}
	}
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

// exitCode reads how a child ended; one killed by a signal counts as aborted from outside.
func exitCode(waitErr error) (int, error) {
	var exit *exec.ExitError
	switch {
	case waitErr == nil:
		return 0, nil
	case !errors.As(waitErr, &exit):
		return 0, fmt.Errorf("waiting for k6: %w", waitErr)
	case exit.ExitCode() < 0:
		return int(exitcodes.ExternalAbort), nil
	default:
		return exit.ExitCode(), nil
	}
}

// readThresholds counts the thresholds in a summary export of k6, where true means crossed. A run that was refused has
// none.
func readThresholds(path string) (all, crossed int) {
	text, err := os.ReadFile(path) // #nosec G304 -- of this run's own folder
	if err != nil {
		return 0, 0
	}
	var export struct {
		Metrics map[string]struct {
			Thresholds map[string]bool `json:"thresholds"`
		} `json:"metrics"`
	}
	if json.Unmarshal(text, &export) != nil {
		return 0, 0
	}
	for _, metric := range export.Metrics {
		for _, isCrossed := range metric.Thresholds {
			all++
			if isCrossed {
				crossed++
			}
		}
	}
	return all, crossed
}

func writeSmokeTable(out io.Writer, url string, results []smokeResult) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "\nSCENARIO\tTARGET\tRESULT\tTHRESHOLDS")
	for _, r := range results {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%d of %d passed\n", r.scenario, url, r.verdict(), r.thresholds-r.crossed, r.thresholds)
	}
	_ = table.Flush()
}

// passed reports whether a scenario ended well and had its thresholds judged.
func (r smokeResult) passed() bool { return r.exitCode == 0 && r.thresholds > 0 }

func (r smokeResult) verdict() string {
	switch {
	case r.passed():
		return "✓ passed"
	case r.exitCode == 0:
		return "✗ no threshold was judged"
	case r.exitCode == int(exitcodes.ThresholdsHaveFailed):
		return "✗ thresholds crossed (exit 99)"
	default:
		return fmt.Sprintf("✗ failed (exit %d)", r.exitCode)
	}
}

func smokeError(results []smokeResult, interrupted bool) error {
	if interrupted {
		return errext.WithExitCodeIfNone(errors.New("the smoke run was interrupted"), exitcodes.ExternalAbort)
	}
	for _, r := range results {
		if !r.passed() {
			code := exitcodes.ThresholdsHaveFailed
			if r.exitCode != 0 {
				code = exitcodes.ExitCode(r.exitCode) // #nosec G115 -- an exit code fits a byte
			}
			return errext.WithExitCodeIfNone(fmt.Errorf("the smoke run failed in %s", r.scenario), code)
		}
	}
	return nil
}
