package cli

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.k6.io/k6/v2/cmd/state"

	"github.com/verity-app/xk6-verity/extension/evidence"
	"github.com/verity-app/xk6-verity/extension/report"
	"github.com/verity-app/xk6-verity/extension/verdict"
)

func newReportCommand(gs *state.GlobalState) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "report FILE...",
		Short: "Make the reports of evidence files again: a page with charts, Markdown and JUnit XML",
		Long: `Make the reports of evidence files again: NAME.html, a page with charts that needs nothing else, NAME.md and NAME.xml (JUnit).

The claims are those that the run made, and are judged anew. A file of a run that is going on, or was killed, has a report of what there is.`,
		Example: `  k6 x verity report reports/queue-dry.evidence.jsonl.gz
  k6 x verity report --out /tmp/reports reports/*.evidence.jsonl.gz`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return refused(makeReports(gs.Stdout, args, dir))
		},
	}
	cmd.Flags().StringVar(&dir, "out", "", "the folder to write to (default: that of each file)")
	return cmd
}

func makeReports(out io.Writer, files []string, dir string) error {
	names := map[string]string{}
	for _, file := range files {
		run, err := evidence.ReadFile(file)
		if err != nil {
			return err
		}
		judged := verdict.Judge(run, run.Header.Claims)
		found := report.Of(run, judged)
		to := dir
		if to == "" {
			to = filepath.Dir(file)
		}
		if other, isTaken := names[filepath.Join(to, found.Name)]; isTaken {
			return fmt.Errorf("%s and %s are both of %s, and their reports would have the same names: give --out another folder for each", other,
				file, found.Name)
		}
		names[filepath.Join(to, found.Name)] = file
		paths, err := found.Write(to, run)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, path := range paths {
			if _, err := fmt.Fprintln(out, path); err != nil {
				return err
			}
		}
	}
	return nil
}
