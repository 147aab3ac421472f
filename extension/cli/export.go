package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"go.k6.io/k6/v2/cmd/state"

	"github.com/verity-app/xk6-verity/extension/evidence"
)

func newExportCommand(gs *state.GlobalState) *cobra.Command {
	var metric, label string
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the latencies in an evidence file as an interval log of HdrHistogram, for its plotters",
		Long: `Write the latencies in an evidence file to stdout, in HdrHistogram's own log format: an interval for each second, in ns, of
what was answered as asked. Its plotters and log processors read it.

With --metric, and --label where it has several, the log has that one series. Otherwise it has all that are left, and each
line has a tag with the name of its series.`,
		Example: `  k6 x verity export reports/queue-dry.evidence.jsonl.gz --metric request --label queue_join >queue_join.hlog
  k6 x verity export reports/queue-dry.evidence.jsonl.gz >all.hlog`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return refused(export(gs.Stdout, gs.Stderr, args[0], metric, label))
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&metric, "metric", "", "only this metric, such as request or match (default: all)")
	flags.StringVar(&label, "label", "", "only this label of it, such as queue_join (default: all)")
	return cmd
}

func export(out, notes io.Writer, path, metric, label string) error {
	run, err := evidence.ReadFile(path)
	if err != nil {
		return err
	}
	if run.Truncated {
		_, _ = fmt.Fprintf(notes, "%s: the file ends in the middle of a record, which is left out\n", path)
	}
	series, err := chosen(run.Series(), metric, label)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	buffered := bufio.NewWriter(out)
	if err := run.WriteLog(buffered, series...); err != nil {
		return err
	}
	return buffered.Flush()
}

// chosen returns the series with a metric and a label; "" matches any. No match is an error.
func chosen(all []evidence.Series, metric, label string) ([]evidence.Series, error) {
	var found []evidence.Series
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.String()
		if (metric == "" || metric == string(s.Metric)) && (label == "" || label == s.Label) {
			found = append(found, s)
		}
	}
	switch {
	case len(all) == 0:
		return nil, errors.New("there are no latencies in it, for nothing was answered as asked")
	case len(found) == 0:
		return nil, fmt.Errorf("--metric %q, --label %q: there are no such latencies in it; there are %s", metric, label, strings.Join(names, ", "))
	}
	return found, nil
}
