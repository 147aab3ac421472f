package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"go.k6.io/k6/v2/cmd/state"

	"github.com/verity-app/xk6-verity/extension/queue"
)

func newPlanCommand(gs *state.GlobalState) *cobra.Command {
	load := queue.Load{
		HoldSeconds: 45, ThinkSeconds: 1, MaxWaitSeconds: queue.DefaultMaxWaitSeconds,
		TickMs: queue.DefaultTickMs, PairsPerTick: queue.DefaultPairsPerTick,
	}
	var shards int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say how many queue keys a number of users needs, and what the matcher makes of it",
		Long: `Say how many queue keys (shards) a number of users needs for the wanted wait, how many pairs a second and sessions at
once can be expected then, and what limits them. With --shards, predict that number instead.`,
		Example: `  k6 x verity plan --users 2000
  k6 x verity plan --users 2000 --shards 1
  k6 x verity plan --users 10000 --hold 0 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("users") {
				return refused(errors.New("--users must be given: the users of the whole test, 2 or more"))
			}
			return printPlan(gs.Stdout, load, shards, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.IntVar(&load.Users, "users", 0, "users of the whole test (required)")
	flags.IntVar(&shards, "shards", 0, "predict this number of queue keys (default: plan it)")
	flags.Float64Var(&load.HoldSeconds, "hold", load.HoldSeconds, "seconds that a session is held; 0: users go on after the match")
	flags.Float64Var(&load.ThinkSeconds, "think", load.ThinkSeconds, "mean seconds before the next join")
	flags.Float64Var(&load.MaxWaitSeconds, "max-wait", load.MaxWaitSeconds, "wanted wait: seconds that 95 % of the matches may take")
	flags.Float64Var(&load.ArriveSeconds, "arrive", 0, "seconds over which the users arrive; 0 leaves the ramp out")
	flags.IntVar(&load.TickMs, "tick-ms", load.TickMs, "time between two rounds of the matcher")
	flags.IntVar(&load.PairsPerTick, "pairs-per-tick", load.PairsPerTick, "pairs that a round makes per key, at most")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// prediction is the JSON that the command prints, with the names that planQueue has in index.d.ts.
type prediction struct {
	Users             int     `json:"users"`
	Shards            int     `json:"shards"`
	Sessions          int     `json:"sessions"`
	PairsPerSecond    float64 `json:"pairsPerSecond"`
	MedianWaitSeconds float64 `json:"medianWaitSeconds"`
	WaitSeconds       float64 `json:"waitSeconds"`
	RampWaitSeconds   float64 `json:"rampWaitSeconds"`
	DrainSeconds      float64 `json:"drainSeconds"`
	Limit             string  `json:"limit"`
	Explanation       string  `json:"explanation"`
}

func printPlan(out io.Writer, load queue.Load, shards int, asJSON bool) error {
	predicted, err := predict(load, shards)
	if err != nil {
		return refused(err)
	}
	p := prediction{
		Users: load.Users, Shards: predicted.Shards, Sessions: predicted.Sessions, PairsPerSecond: predicted.PairsPerSecond,
		MedianWaitSeconds: predicted.MedianWaitSeconds, WaitSeconds: predicted.WaitSeconds,
		RampWaitSeconds: predicted.RampWaitSeconds,
		DrainSeconds:    predicted.DrainSeconds, Limit: predicted.Limit, Explanation: predicted.Explanation,
	}
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(p)
	}
	_, err = fmt.Fprintf(out, `users             %d
shards            %d
sessions at once  %d
pairs a second    %.1f
wait for a match  %.1f s median, %.1f s p95; %.1f s p95 while users arrive
all at once       matched in %.1f s
limited by        %s

%s
`, p.Users, p.Shards, p.Sessions, p.PairsPerSecond, p.MedianWaitSeconds, p.WaitSeconds, p.RampWaitSeconds, p.DrainSeconds, p.Limit, p.Explanation)
	return err
}

func predict(load queue.Load, shards int) (queue.Plan, error) {
	if shards == 0 {
		return queue.PlanQueue(load)
	}
	return queue.Predict(load, shards)
}
