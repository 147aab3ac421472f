package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.k6.io/k6/v2/errext"

	"github.com/verity-app/xk6-verity/extension/campaign"
)

// remoteSteps runs steps on runners that the user starts elsewhere: it prints the commands to start them, and judges the evidence they write.
type remoteSteps struct {
	*steps

	dir     string // the evidence arrives here, in one folder per step
	count   int    // of runners
	wait    time.Duration
	resumes bool // the campaign is resumed: evidence that exists already may belong to the interrupted step
	target  string
	width   int
	out     io.Writer
	startAt map[string]string // when the runners of a step begin, by its name
}

const (
	// leadTime is the time left to start the runners before they begin together.
	leadTime = 3 * time.Minute
	// mostShown is the number of runners up to which a command is printed for each.
	mostShown = 16
)

// newRemoteSteps returns the remoteSteps for --runners, after checking its flags.
func newRemoteSteps(k6 *steps, target string, width int, o campaignOptions) (*remoteSteps, error) {
	if o.runnerCount < 1 || o.runnerCount > mostRunners {
		return nil, fmt.Errorf("--runners needs --runner-count, the number of runners, 1 to %d, got %d", mostRunners, o.runnerCount)
	}
	if o.runnerWait < time.Minute || o.runnerWait > 24*time.Hour {
		return nil, fmt.Errorf("--runner-wait must be 1m to 24h, got %s", o.runnerWait)
	}
	dir, err := filepath.Abs(o.runners)
	if err != nil {
		return nil, err
	}
	if reports, err := filepath.Abs(o.reportDir); err != nil || reports == dir {
		return nil, errors.Join(errors.New("--runners must be another folder than --report-dir: the runners write into it"), err)
	}
	return &remoteSteps{k6, dir, o.runnerCount, o.runnerWait, o.resume, target, width, os.Stdout, map[string]string{}}, nil
}

// Check also refuses a step whose evidence folder holds evidence of an earlier run, unless the campaign is resumed.
func (r *remoteSteps) Check(ctx context.Context, step campaign.Step) error {
	from := r.EvidenceDir(step, "")
	if found, err := evidenceFiles(from); err == nil && len(found) > 0 && !r.resumes {
		return fmt.Errorf("there is evidence already in %s; move it away, or give another folder as --runners", from)
	}
	return r.steps.Check(ctx, step)
}

// Preflight checks nothing: this machine is not a runner, and each runner makes its own preflight.
func (r *remoteSteps) Preflight(context.Context, campaign.Step) ([]string, error) {
	return []string{"left to the runners: each looks at the service and at its own machine before its load"}, nil
}

// Command is that of the first runner. Those of the others, which differ in the segment, are in the log too.
func (r *remoteSteps) Command(step campaign.Step, _ string) string {
	return r.commands(step, shownFlags(r.flags))[0]
}

// commands has one for each runner. Where there are many it is one for all, in which a shell puts the number of the runner for INDEX; it runs
// nothing where the segment cannot be made, for a runner without one would carry the whole load.
func (r *remoteSteps) commands(step campaign.Step, flags []string) []string {
	if r.count > mostShown {
		segment := fmt.Sprintf("segment=$(%s x verity segment INDEX %d) && ", r.started, r.count)
		return []string{segment + r.command(step, "$segment", flags)}
	}
	commands := make([]string, r.count)
	for i := range commands {
		segment, _ := segmentFlags([]string{strconv.Itoa(i), strconv.Itoa(r.count)}, "") // the count was checked
		commands[i] = r.command(step, segment, flags)
	}
	return commands
}

func (r *remoteSteps) command(step campaign.Step, segment string, flags []string) string {
	words := r.assignments(step, map[string]string{"START_AT": r.begins(step), "REPORT_DIR": filepath.Join(r.dir, step.Name)})
	words = slices.Concat(words, []string{r.started, "run", segment}, flags, []string{"load-test/" + step.Scenario + ".js"})
	return strings.Join(words, " ")
}

// begins is when the runners of a step begin together: so much after it is asked for first that somebody can start them.
func (r *remoteSteps) begins(step campaign.Step) string {
	if r.startAt[step.Name] == "" {
		r.startAt[step.Name] = time.Now().UTC().Add(leadTime + time.Minute).Truncate(time.Minute).Format("2006-01-02T15:04:05Z")
	}
	return r.startAt[step.Name]
}

// EvidenceDir is where the runners write.
func (r *remoteSteps) EvidenceDir(step campaign.Step, _ string) string {
	return filepath.Join(r.dir, step.Name)
}

// Run prints how to start the runners, waits for their evidence, and merges and judges it.
func (r *remoteSteps) Run(ctx context.Context, step campaign.Step, dir string, say func(campaign.Kind, string)) (int, error) {
	from := r.EvidenceDir(step, dir)
	if err := os.MkdirAll(from, 0o755); err != nil { // #nosec G301 -- other users' runners may write into it
		return 0, err
	}
	if err := r.tell(step); err != nil {
		return 0, err
	}
	for i, command := range r.commands(step, shownFlags(r.flags)) {
		if i > 0 {
			say(campaign.KindStep, fmt.Sprintf("runner %d of %d: ", i+1, r.count)+"`"+command+"`")
		}
	}
	limit := leadTime + step.Needs() + r.wait
	if err := r.await(ctx, from, limit, say); err != nil {
		return 0, err
	}
	return r.judge(step, from, dir)
}

// tell prints how to start the runners.
func (r *remoteSteps) tell(step campaign.Step) error {
	var text strings.Builder
	fmt.Fprintf(&text, "\nStart the runners of %s, with BASE_URL=%s and the secret in their environment. They begin together at START_AT, which may be\n"+
		"another time, the same for all. Their evidence has to come to %s.\n\n", step.Name, r.target, r.EvidenceDir(step, ""))
	flags := make([]string, len(r.flags))
	for i, flag := range r.flags {
		flags[i] = quoted(flag)
	}
	for _, command := range r.commands(step, flags) {
		fmt.Fprintf(&text, "  %s\n", command)
	}
	if r.count > mostShown {
		fmt.Fprintf(&text, "\nINDEX is the number of the runner, from 0 to %d.\n", r.count-1)
	}
	fmt.Fprintf(&text, "\nOn Kubernetes put these variables into run.env of build/kubernetes, with parallelism and completions %d and this scenario, and bring\n"+
		"the evidence here; its README says how.\n\n", r.count)
	_, err := io.WriteString(r.out, text.String())
	return err
}

// await waits for the evidence of all runners until the limit. In a resumed campaign, evidence that arrived in the meantime counts too.
func (r *remoteSteps) await(ctx context.Context, from string, limit time.Duration, say func(campaign.Kind, string)) error {
	w := newEvidenceWait([]string{from}, r.count, lines(func(line string) { say(campaign.KindWait, line) }))
	if !r.resumes {
		w.began = time.Now()
	}
	err := w.until(ctx, limit)
	if ctx.Err() != nil {
		say(campaign.KindNext, "end the runners: Ctrl-C on each of them, or kubectl delete job")
	}
	return err
}

// lines is an io.Writer that calls a function with each line.
type lines func(line string)

// Write calls l with each line of text, without its line break.
func (l lines) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		l(strings.TrimSuffix(line, "\n"))
	}
	return len(text), nil
}

// judge merges the evidence into the step's folder and prints the verdict. It returns the exit code that one runner with the whole load
// would have had.
func (r *remoteSteps) judge(step campaign.Step, from, dir string) (int, error) {
	o := mergeOptions{out: dir, expect: r.count}
	run, parts, err := readAndMerge([]string{from}, o)
	if err == nil && (strings.TrimSuffix(run.Header.Target, "/") != r.target || run.Header.Profile != step.Profile && run.Header.NoClaims == "") {
		err = fmt.Errorf("it is of the profile %q on %s, and should be of %q on %s", run.Header.Profile, run.Header.Target, step.Profile, r.target)
	}
	if err != nil {
		return 0, &campaign.StopError{Code: campaign.ExitRefused, Reason: fmt.Sprintf("the evidence in %s: %s", from, err)}
	}
	err = conclude(r.out, run, parts, r.width, o)
	var coded errext.HasExitCode
	switch {
	case err == nil:
		return campaign.ExitPassed, nil
	case errors.As(err, &coded):
		return int(coded.ExitCode()), nil
	default:
		return 0, err
	}
}
