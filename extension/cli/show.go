package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"go.k6.io/k6/v2/cmd/state"
	"go.k6.io/k6/v2/errext"
	"go.k6.io/k6/v2/errext/exitcodes"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

func newShowCommand(gs *state.GlobalState) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Print the summary and the verdict of an evidence file again",
		Long: `Print the summary and the verdict of an evidence file again. The claims are those that the run made, and are judged anew.

The exit code is that of the run: 0 for PASS, 99 for FAIL or a crossed threshold, 110 for NOT PROVEN. Two kinds of runs
have another: one that was stopped by Ctrl-C exited with 105, and one of several runners does not exit with 110, as the merge decides.`,
		Example: `  k6 x verity show reports/queue-dry.evidence.jsonl.gz
  k6 x verity show --json reports/queue-dry.evidence.jsonl.gz`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			run, err := evidence.ReadFile(args[0])
			if err != nil {
				return refused(err)
			}
			return show(gs.Stdout, run, Width(gs), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the verdict as JSON")
	return cmd
}

func show(out io.Writer, run *evidence.Run, width int, asJSON bool) error {
	judged := verdict.Judge(run, run.Header.Claims)
	found := report.Of(run, judged)
	if err := tell(out, judged, found, width, asJSON); err != nil {
		return err
	}
	return exitOf(judged, found)
}

// tell prints the summary as text, or the verdict as JSON.
func tell(out io.Writer, judged verdict.Verdict, found *report.Report, width int, asJSON bool) error {
	if !asJSON {
		_, err := io.WriteString(out, found.Terminal(width))
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(judged); err != nil {
		return fmt.Errorf("writing the verdict as JSON: %w", err)
	}
	return nil
}

// exitOf returns an error with the exit code of a run with this result, or nil if it passed.
func exitOf(judged verdict.Verdict, found *report.Report) error {
	crossed, _ := found.CrossedThresholds()
	switch {
	case judged.Status == verdict.NoClaim && len(crossed) == 0 && found.Ending != "":
		return errext.WithExitCodeIfNone(errors.New("the run did not end as planned"), exitcodes.MarkedAsFailed)
	case judged.Status == verdict.Fail || len(crossed) > 0:
		return errext.WithExitCodeIfNone(errors.New("the run failed"), exitcodes.ThresholdsHaveFailed)
	case judged.Status == verdict.NotProven:
		return errext.WithExitCodeIfNone(errors.New("the run proves nothing"), exitcodes.MarkedAsFailed)
	}
	return nil
}
