package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.k6.io/k6/v2/cmd/state"
	"go.k6.io/k6/v2/errext"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

// mostRunners bounds --expect.
const mostRunners = 10_000

// mergeOptions are the flags of the command.
type mergeOptions struct {
	out    string
	expect int
	wait   time.Duration
	asJSON bool
}

func newMergeCommand(gs *state.GlobalState) *cobra.Command {
	var o mergeOptions
	cmd := &cobra.Command{
		Use:   "merge DIR|FILE...",
		Short: "Merge the evidence of several runners of one test into one summary and one verdict",
		Long: `Merge the evidence of several runners of one test into what one runner would have given: one summary, one verdict, one exit code.

A folder stands for all *` + evidence.Extension + ` in it, but for those that are merged already (*` + evidence.MergedExtension + `).
Percentiles are those of all samples in one pool, and the series per second add up on the target's clock. A runner that is missing, was
killed or began late is named, and no claim is proven that it could have broken.

With --wait the command can be started together with the runners: it waits until the evidence of all of them is whole, and at the end of
that time merges what there is. A runner whose evidence has not grown for 5 minutes counts as killed.

The exit code is 0 for PASS, 99 for FAIL or where a runner crossed a threshold, 110 for NOT PROVEN, also where the evidence of a runner is
missing or ends early, and 107 for evidence that is refused: of other runs or plans, of the same runner twice, of overlapping segments.`,
		Example: `  k6 x verity merge reports
  k6 x verity merge --expect 4 --out merged runner-1/reports runner-2/reports runner-3/reports runner-4/reports
  k6 x verity merge --expect 4 --wait 45m --out merged reports`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := waitForRunners(gs, args, o); err != nil {
				return errext.WithExitCodeIfNone(err, exitcodes.ScriptException)
			}
			return merge(gs.Stdout, args, Width(gs), o)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.out, "out", "", "also write the merged evidence and its reports into this folder `DIR`")
	flags.IntVar(&o.expect, "expect", 0, "how many runners `N` there were (default: as many as --execution-segment-sequence has parts)")
	flags.DurationVar(&o.wait, "wait", 0, "wait for the evidence of all runners, for `TIME` at most, such as 45m")
	flags.BoolVar(&o.asJSON, "json", false, "print the verdict as JSON")
	return cmd
}

// waitForRunners waits for the evidence of all runners if --wait is given.
func waitForRunners(gs *state.GlobalState, args []string, o mergeOptions) error {
	if o.wait < 0 || o.wait > longestWait {
		return fmt.Errorf("--wait must be a time such as 45m, %s at most, got %s", longestWait, o.wait)
	}
	if o.wait == 0 {
		return nil
	}
	if err := checkOptions(o); err != nil {
		return err
	}
	ctx, stop := untilInterrupted(gs)
	defer stop()
	w := newEvidenceWait(args, o.expect, gs.Stderr)
	w.began = time.Now()
	return w.until(ctx, o.wait)
}

func merge(stdout io.Writer, args []string, width int, o mergeOptions) error {
	run, parts, err := readAndMerge(args, o)
	if err != nil {
		return refused(err)
	}
	return conclude(stdout, run, parts, width, o)
}

// conclude judges a merged run, writes and prints its reports, and returns an error with the exit code.
func conclude(stdout io.Writer, run *evidence.Run, parts []evidence.Part, width int, o mergeOptions) error {
	judged := verdict.Judge(run, run.Header.Claims)
	found := report.Merged(run, parts, judged)
	written, err := writeMerged(o.out, run, found)
	if err != nil {
		return err
	}
	if err := tell(stdout, judged, found, width, o.asJSON); err != nil {
		return err
	}
	if len(written) > 0 && !o.asJSON {
		line := report.Finding{Title: "report", Text: "written to " + strings.Join(written, ", ")}
		if _, err := io.WriteString(stdout, line.Terminal(width)); err != nil {
			return err
		}
	}
	if err := exitOf(judged, found); err != nil || !report.Incomplete(run) {
		return err
	}
	return errext.WithExitCodeIfNone(errors.New("the run proves nothing: "+found.Ending), exitcodes.MarkedAsFailed)
}

// checkOptions refuses an impossible --expect, and an --out folder that cannot be written to.
func checkOptions(o mergeOptions) error {
	if o.expect < 0 || o.expect > mostRunners {
		return fmt.Errorf("--expect must be the number of runners, 1 to %d, got %d", mostRunners, o.expect)
	}
	if o.out != "" {
		if err := report.Prepare(o.out); err != nil {
			return fmt.Errorf("--out %w", err)
		}
	}
	return nil
}

// readAndMerge returns the merged evidence of all runners, and the evidence of each.
func readAndMerge(args []string, o mergeOptions) (*evidence.Run, []evidence.Part, error) {
	if err := checkOptions(o); err != nil {
		return nil, nil, err
	}
	parts, err := readParts(args)
	if err != nil {
		return nil, nil, err
	}
	run, err := evidence.Merge(parts...)
	if err != nil {
		return nil, nil, err
	}
	if o.expect > 0 && o.expect < len(run.Runners) {
		return nil, nil, fmt.Errorf("--expect %d, and there is the evidence of %d runners in %s: leave out what is of another run, or expect %d",
			o.expect, len(run.Runners), names(parts), len(run.Runners))
	}
	for i := range run.Runners {
		run.Runners[i].Count = max(run.Runners[i].Count, o.expect)
	}
	return run, parts, nil
}

func names(parts []evidence.Part) string {
	list := make([]string, len(parts))
	for i, part := range parts {
		list[i] = part.Name
	}
	return strings.Join(list, ", ")
}

func readParts(args []string) ([]evidence.Part, error) {
	var parts []evidence.Part
	for _, arg := range args {
		paths, err := evidenceFiles(arg)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			run, err := evidence.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("%w; without this file its runner counts as missing", err)
			}
			parts = append(parts, evidence.Part{Name: path, Run: run})
		}
	}
	return parts, nil
}

// evidenceFiles returns the evidence files in a folder, without merged ones. For a path that is a file it returns that path.
func evidenceFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		if name := entry.Name(); strings.HasSuffix(name, evidence.Extension) && !strings.HasSuffix(name, evidence.MergedExtension) {
			files = append(files, filepath.Join(path, name))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: there is no *%s in it; give the folder that the runners had as REPORT_DIR", path, evidence.Extension)
	}
	return files, nil
}

// writeMerged writes the reports and the evidence of a merged run into dir and returns their paths. Without dir it does nothing.
func writeMerged(dir string, run *evidence.Run, found *report.Report) ([]string, error) {
	if dir == "" {
		return nil, nil
	}
	paths, err := found.Write(dir, run)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, found.Name+evidence.Extension)
	return slices.Concat(paths, []string{path}), writeRun(path, run)
}

// writeRun replaces a file atomically: a concurrent reader gets the old file or the complete new one.
func writeRun(path string, run *evidence.Run) error {
	temporary := path + ".part"
	file, err := os.Create(temporary) // #nosec G304 -- the user names its folder
	if err != nil {
		return err
	}
	err = errors.Join(run.Write(file), file.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return fmt.Errorf("writing the merged evidence: %w", errors.Join(err, os.Remove(temporary)))
	}
	return nil
}
