package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/campaign"
	"github.com/verity-app/xk6-verity/extension/plain"
	looked "github.com/verity-app/xk6-verity/extension/preflight"
	"github.com/verity-app/xk6-verity/extension/runner"
)

// killAfter is how long after it was told to end a step is killed. Before, it would have ended itself.
const killAfter = runner.LeashLimit + 10*time.Second

// lookLimit is how long a k6 that makes no load may take to end.
const lookLimit = 15 * time.Second

// steps carries out the steps of a campaign, each in a k6 of its own: this binary.
type steps struct {
	binary  string
	started string   // how the user started it
	scripts string   // the folder with load-test and js
	environ []string // of every step
	flags   []string // of every k6 run
	stdout  io.Writer
	stderr  io.Writer
	quiet   bool            // what a step prints is shown only where it failed
	kill    <-chan struct{} // closed when steps must end at once
}

// redisScenarios are those that take REDIS_URL, which the campaign itself reads too. Others would refuse it as one that they do not heed.
var redisScenarios = []string{"queue-concurrency", "video-session-sustain"} //nolint:gochecknoglobals // a constant table

// variablesOf are those that make a run this step.
func variablesOf(step campaign.Step) map[string]string {
	variables := maps.Clone(step.Variables)
	if variables == nil {
		variables = map[string]string{}
	}
	if step.Profile != "" {
		variables["PROFILE"] = step.Profile
	}
	return variables
}

func (s *steps) environOf(step campaign.Step, more ...string) []string {
	environ := slices.Clone(s.environ)
	if !slices.Contains(redisScenarios, step.Scenario) {
		environ = slices.DeleteFunc(environ, func(variable string) bool { return strings.HasPrefix(variable, "REDIS_URL=") })
	}
	for name, value := range variablesOf(step) {
		environ = append(environ, name+"="+value)
	}
	return append(environ, more...)
}

func (s *steps) script(step campaign.Step) string {
	return filepath.Join(s.scripts, "load-test", step.Scenario+".js")
}

// Command is how somebody would run the step in a checkout.
func (s *steps) Command(step campaign.Step, dir string) string {
	words := append(s.assignments(step, map[string]string{"REPORT_DIR": dir}), s.started, "run")
	words = append(words, shownFlags(s.flags)...)
	return strings.Join(append(words, "load-test/"+step.Scenario+".js"), " ")
}

// assignments are the variables of a step, and more, as a shell takes them in front of a command.
func (s *steps) assignments(step campaign.Step, more map[string]string) []string {
	variables := variablesOf(step)
	if file := s.profilesFile(); file != "" {
		variables[profilesFileVariable] = file
	}
	maps.Copy(variables, more)
	var words []string
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		words = append(words, name+"="+quoted(variables[name]))
	}
	return words
}

// profilesFile is the file with the user's own profiles; "" for none.
func (s *steps) profilesFile() string {
	for _, variable := range s.environ {
		if file, found := strings.CutPrefix(variable, profilesFileVariable+"="); found {
			return file
		}
	}
	return ""
}

// EvidenceDir is the step's own folder.
func (s *steps) EvidenceDir(_ campaign.Step, dir string) string { return dir }

// Check has k6 read the script with the variables of the step, as it does before a run.
func (s *steps) Check(ctx context.Context, step campaign.Step) error {
	said, code, err := s.k6(ctx, s.environOf(step), io.Discard, "inspect", "--include-system-env-vars", s.script(step))
	switch {
	case err != nil:
		return err
	case code != 0:
		return errors.New(messageOf(said))
	}
	return nil
}

// checkFlags has k6 read the flags of k6 run: it stops at --help, or at a flag before it that is wrong.
func (s *steps) checkFlags(ctx context.Context) error {
	said, code, err := s.k6(ctx, s.environ, io.Discard, slices.Concat([]string{"run"}, s.flags, []string{"--help"})...)
	switch {
	case err != nil:
		return err
	case code != 0:
		return fmt.Errorf("k6 run refuses what stands after --: %s", messageOf(said))
	}
	return nil
}

// k6 runs this binary to its end, and returns what it said on stderr and how it exited. It goes with this process.
func (s *steps) k6(ctx context.Context, environ []string, stdout io.Writer, args ...string) (said string, code int, err error) {
	cmd := exec.CommandContext(ctx, s.binary, args...) // #nosec G204 -- this binary
	cmd.Env = append(slices.Clone(environ), "K6_NO_COLOR=true", runner.LeashVariable+"=1")
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	ownGroup(cmd)
	leash, err := cmd.StdinPipe()
	if err != nil {
		return "", 0, err
	}
	cmd.Cancel, cmd.WaitDelay = leash.Close, lookLimit
	code, err = exitCode(cmd.Run())
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return stderr.String(), code, err
}

// Preflight runs k6 x verity preflight, with two users who match where the users of the step will: a service that cannot tell them so is
// found before the first step, and not with the first one that needs it.
func (s *steps) Preflight(ctx context.Context, step campaign.Step) (found []string, err error) {
	args := []string{"x", "verity", "preflight", "--json", "--from", s.scripts, "--scenario", step.Scenario}
	if !slices.Contains(s.environ, "TRIAL=0") {
		args = append(args, "--trial")
	}
	for _, flag := range passedFlags {
		if value, isGiven := FlagValue(s.flags, flag.name); isGiven {
			args = append(args, "--"+flag.name, value)
		}
	}
	var stdout bytes.Buffer
	said, code, err := s.k6(ctx, s.environOf(step), &stdout, args...)
	if err != nil {
		return nil, err
	}
	var printed struct {
		Checks []looked.Check `json:"checks"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &printed); err == nil {
		found = preflightLines(printed.Checks)
	}
	if code != 0 {
		return found, &campaign.StopError{Code: code, Reason: strings.TrimPrefix(plain.Text(messageOf(said)), "test aborted: ")}
	}
	return found, nil
}

// preflightLines are for the log: what passed in one line, and a line for each other check.
func preflightLines(checks []looked.Check) []string {
	var passed, lines []string
	for _, check := range checks {
		if check.Verdict == looked.Passed {
			passed = append(passed, check.Name)
			continue
		}
		lines = append(lines, fmt.Sprintf("%s %s: %s", check.Verdict.Mark(), check.Name, check.Found))
	}
	if len(passed) > 0 {
		lines = append([]string{looked.Passed.Mark() + " " + strings.Join(passed, ", ")}, lines...)
	}
	return lines
}

var loggedError = regexp.MustCompile(`level=error msg=("(?:[^"\\]|\\.)*")`)

// messageOf is the error that k6 logged, without the form of its log.
func messageOf(said string) string {
	if match := loggedError.FindStringSubmatch(said); match != nil {
		if message, err := strconv.Unquote(match[1]); err == nil {
			return plainly(message)
		}
	}
	return plainly(said)
}

// Run runs the step in a process that ends when this one lets go of it or is gone, and that a Ctrl-C at the terminal does not reach.
func (s *steps) Run(ctx context.Context, step campaign.Step, dir string, _ func(campaign.Kind, string)) (int, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return 0, err
	}
	args := slices.Concat([]string{"run"}, s.flags)
	if s.quiet {
		args = append(args, "--quiet")
	}
	cmd := exec.Command(s.binary, append(args, s.script(step))...) //nolint:noctx,gosec // this binary; it is let go of, so that its users leave
	cmd.Env = s.environOf(step, "REPORT_DIR="+dir, runner.LeashVariable+"=1")
	cmd.Stdout, cmd.Stderr = s.stdout, s.stderr
	var said *os.File
	if s.quiet {
		if said, err = os.CreateTemp("", "verity-step-"); err != nil {
			return 0, fmt.Errorf("keeping what the step prints: %w", err)
		}
		defer func() { _ = errors.Join(said.Close(), os.Remove(said.Name())) }()
		cmd.Stdout, cmd.Stderr = said, said
	}
	ownGroup(cmd)
	leash, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("starting k6: %w", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	code, err := s.await(ctx, cmd.Process, leash, exited)
	if said != nil && code != 0 {
		_, _ = said.Seek(0, io.SeekStart) // nothing is shown where it fails
		_, _ = io.Copy(s.stderr, said)
	}
	return code, err
}

// await waits for the end of a process, which it lets go of when ctx ends.
func (s *steps) await(ctx context.Context, process *os.Process, leash io.Closer, exited <-chan error) (int, error) {
	done, kill := ctx.Done(), s.kill
	var tooLate <-chan time.Time
	for {
		select {
		case err := <-exited:
			return exitCode(err)
		case <-done:
			_ = leash.Close() // of a process that is gone already it fails
			done, tooLate = nil, time.After(killAfter)
		case <-tooLate:
			_ = process.Kill()
			tooLate = nil
		case <-kill:
			_ = process.Kill()
			kill = nil
		}
	}
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
