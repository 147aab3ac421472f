package cli

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"
	"go.k6.io/k6/v2/cmd/state"

	"github.com/verity-app/xk6-verity/extension/version"
)

func newVersionCommand(gs *state.GlobalState) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of xk6-verity, and of the k6 and the Go that it was built with",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return printVersion(gs.Stdout) },
	}
}

func printVersion(out io.Writer) error {
	_, err := fmt.Fprintf(out, "xk6-verity %s (k6 %s, %s, %s/%s)\n",
		version.Version(), version.K6(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
