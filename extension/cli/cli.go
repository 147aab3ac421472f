// Package cli is k6 x verity: one file a subcommand. Results go to stdout, everything else to stderr.
package cli

import (
	"io/fs"

	"github.com/spf13/cobra"
	"go.k6.io/k6/v2/cmd/state"
)

// Name is the name of the subcommand under k6 x.
const Name = "verity"

// New returns the command. scripts holds the folders js, load-test and examples.
func New(gs *state.GlobalState, scripts fs.FS) *cobra.Command {
	cmd := &cobra.Command{
		Use:   Name,
		Short: "Load-test a Verity: a local stand-in, a smoke run, plans, profiles, a preflight, the scenarios, results of a run",
		Long: `Load-test a Verity.

The scenarios themselves are run with k6 run; these commands go with them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newStandinCommand(gs), newSmokeCommand(gs, scripts), newCampaignCommand(gs, scripts), newPlanCommand(gs), newProfilesCommand(gs, scripts),
		newPreflightCommand(gs, scripts), newInitCommand(gs, scripts), newShowCommand(gs), newReportCommand(gs), newExportCommand(gs),
		newMergeCommand(gs), newSegmentCommand(gs), newVersionCommand(gs))
	refuseUsage(cmd)
	return cmd
}
