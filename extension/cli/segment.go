package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"go.k6.io/k6/v2/cmd/state"
)

// jobIndex is the variable that Kubernetes sets to the index, from 0, of a pod of an Indexed Job.
const jobIndex = "JOB_COMPLETION_INDEX"

func newSegmentCommand(gs *state.GlobalState) *cobra.Command {
	return &cobra.Command{
		Use:   "segment [INDEX] COUNT",
		Short: "Print the two flags that make a k6 run one of several runners of a test",
		Long: `Print the two flags that make a k6 run one of COUNT runners of a test, each of which makes an equal part of it.

INDEX is which of them it is, from 0. It may be left out in a pod of an Indexed Job of Kubernetes, which has it in ` + jobIndex + `.

Keep the flags in a variable first, with && before k6 run, as in the examples. Within the command of k6 run a segment that is refused would
leave no flags, and that runner would carry the whole load.`,
		Example: `  segment=$(k6 x verity segment 0 4) && k6 run $segment load-test/queue-concurrency.js
  segment=$(k6 x verity segment 4) && k6 run $segment load-test/queue-concurrency.js    # in a pod of an Indexed Job`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			flags, err := segmentFlags(args, gs.Env[jobIndex])
			if err != nil {
				return refused(err)
			}
			_, err = fmt.Fprintln(gs.Stdout, flags)
			return err
		},
	}
}

// segmentFlags returns the flags exactly as k6-operator writes them.
func segmentFlags(args []string, fromJob string) (string, error) {
	given := args[0]
	if len(args) == 1 {
		if fromJob == "" {
			return "", fmt.Errorf("INDEX is missing, and %s is not set: give both, such as segment 0 %s", jobIndex, args[0])
		}
		given = fromJob
	}
	last := args[len(args)-1]
	count, err := strconv.Atoi(last)
	if err != nil || count < 1 || count > mostRunners {
		return "", fmt.Errorf("COUNT must be the number of runners, 1 to %d, got %q", mostRunners, last)
	}
	index, err := strconv.Atoi(given)
	if err != nil || index < 0 || index >= count {
		return "", fmt.Errorf("INDEX must be which of the %d runners this is, 0 to %d, got %q", count, count-1, given)
	}
	borders := make([]string, count+1)
	for i := range borders {
		borders[i] = fmt.Sprintf("%d/%d", i, count)
	}
	borders[0], borders[count] = "0", "1"
	return fmt.Sprintf("--execution-segment %s:%s --execution-segment-sequence %s",
		borders[index], borders[index+1], strings.Join(borders, ",")), nil
}
