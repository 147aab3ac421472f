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

// killAfter is the time after which a step that was asked to end is killed. It exceeds the time within which a step ends by itself.
const killAfter = runner.LeashLimit + 10*time.Second

// lookLimit is how long a k6 without load may take to end after it was cancelled.
const lookLimit = 15 * time.Second

// steps runs each step of a campaign in a process of its own, of this binary.
type steps struct {
	binary       string
	started      string   // the command with which the user started the binary
	scripts      string   // the folder that contains load-test and js
	profilesFile string   // the user's own profiles; "" for none
	environ      []string // the environment of every step
	flags        []string // the flags of every k6 run
	stdout       io.Writer
	stderr       io.Writer
	quiet        bool            // the output of a step is shown only if it failed
	kill         <-chan struct{} // closed when steps must end at once
}

// redisScenarios are the scenarios that accept REDIS_URL, which the campaign itself reads too. The others would refuse it as unknown to them.
var redisScenarios = []string{"queue-concurrency", "video-session-sustain"} //nolint:gochecknoglobals // a constant table

// variablesOf returns the variables of a step, with PROFILE and PROFILES_FILE.
func (s *steps) variablesOf(step campaign.Step) map[string]string {
	variables := maps.Clone(step.Variables)
	if variables == nil {
		variables = map[string]string{}
	}
	if step.Profile != "" {
		variables["PROFILE"] = step.Profile
	}
	if s.profilesFile != "" {
		variables[profilesFileVariable] = s.profilesFile
	}
	return variables
}

func (s *steps) environOf(step campaign.Step, more ...string) []string {
	environ := slices.Clone(s.environ)
	if !slices.Contains(redisScenarios, step.Scenario) {
		environ = slices.DeleteFunc(environ, func(variable string) bool { return strings.HasPrefix(variable, "REDIS_URL=") })
	}
	for name, value := range s.variablesOf(step) {
		environ = append(environ, name+"="+value)
	}
	return append(environ, more...)
}

func (s *steps) script(step campaign.Step) string {
	return filepath.Join(s.scripts, "load-test", step.Scenario+".js")
}

// Command returns the command that runs the step in a checkout.
func (s *steps) Command(step campaign.Step, dir string) string {
	words := append(s.assignments(step, map[string]string{"REPORT_DIR": dir}), s.started, "run")
	words = append(words, shownFlags(s.flags)...)
	return strings.Join(append(words, "load-test/"+step.Scenario+".js"), " ")
}

// assignments are the variables of a step, and more, as a shell takes them in front of a command.
func (s *steps) assignments(step campaign.Step, more map[string]string) []string {
	variables := s.variablesOf(step)
	maps.Copy(variables, more)
	words := make([]string, 0, len(variables))
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		words = append(words, name+"="+quoted(variables[name]))
	}
	return words
}

// EvidenceDir returns the step's own folder.
func (s *steps) EvidenceDir(_ campaign.Step, dir string) string { return dir }

// Check lets k6 inspect the script with the variables of the step, and returns the error that a run would begin with.
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

// checkFlags lets k6 run parse the flags, followed by --help: it fails at the first invalid flag, and otherwise prints its help.
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

// k6 runs this binary to its end, and returns its stderr and its exit code. The child ends when this process does.
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

// Preflight runs k6 x verity preflight with its trial, in which two users match: a service that does not notify matched users is found
// before the first step, not in the first step that needs it.
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

// preflightLines returns the lines for the log: one line names all checks that passed, and each other check has its own.
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

// messageOf returns the message of the first error that k6 logged, without the format of the log.
func messageOf(said string) string {
	if match := loggedError.FindStringSubmatch(said); match != nil {
		if message, err := strconv.Unquote(match[1]); err == nil {
			return plainly(message)
		}
	}
	return plainly(said)
}

// Run runs the step in a process that a Ctrl-C at the terminal does not reach, and that ends when this process closes its leash or exits.
func (s *steps) Run(ctx context.Context, step campaign.Step, dir string, _ func(campaign.Kind, string)) (int, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return 0, err
	}
	args := slices.Concat([]string{"run"}, s.flags)
	if s.quiet {
		args = append(args, "--quiet")
	}
	//nolint:noctx // not killed with ctx, so that its users leave
	cmd := exec.Command(s.binary, append(args, s.script(step))...) // #nosec G204 G702 -- this binary
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
		_, _ = said.Seek(0, io.SeekStart) // if it fails, nothing is shown
		_, _ = io.Copy(s.stderr, said)
	}
	return code, err
}

// await waits for a process to end. When ctx ends it writes the reason to the leash and closes it, at which the process ends by itself; one
// that does not is killed.
func (s *steps) await(ctx context.Context, process *os.Process, leash io.WriteCloser, exited <-chan error) (int, error) {
	done, kill := ctx.Done(), s.kill
	var tooLate <-chan time.Time
	for {
		select {
		case err := <-exited:
			return exitCode(err)
		case <-done:
			// Both fail if the process has already ended.
			_, _ = io.WriteString(leash, whyEnded(ctx))
			_ = leash.Close()
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

// whyEnded returns the reason for which ctx ended, for the report of the step.
func whyEnded(ctx context.Context) string {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return "the campaign ended the step: " + cause.Error()
	}
	return "Ctrl-C on the campaign"
}

// exitCode returns the exit code of a child; a child killed by a signal counts as aborted from outside.
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
