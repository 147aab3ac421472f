package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.k6.io/k6/v2/cmd/state"
)

func newInitCommand(gs *state.GlobalState, scripts fs.FS) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Unpack the scenarios of this binary into a folder, to run and to change them",
		Long: `Unpack the scenarios of this binary into a folder: load-test/ with its README, js/ with what they share, examples/, docs/,
and the types of k6/x/verity for an editor. A folder with files in it is refused, unless --force overwrites those of the same name.`,
		Example: `  k6 x verity init verity-load
  k6 x verity init --force verity-load`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] != "" {
				return nil
			}
			err := fmt.Errorf("name one folder for the scenarios, such as `k6 x verity init verity-load`; got %d", len(args))
			return refused(err)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := unpack(scripts, args[0], force); err != nil {
				return refused(err)
			}
			return printNextCommands(gs.Stdout, args[0], startedAnywhere(gs.CmdArgs))
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "write into a folder that is not empty, over files of the same name")
	return cmd
}

// unpack writes the files of scripts into a folder, which it creates.
func unpack(scripts fs.FS, dir string, force bool) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("looking into the folder for the scenarios: %w", err)
	case len(entries) > 0 && !force:
		return fmt.Errorf("%s is not empty; name another folder, or overwrite files of the same name in it with --force", dir)
	}
	return fs.WalkDir(scripts, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.FromSlash(path))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o750)
		}
		text, err := fs.ReadFile(scripts, path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o600)
	})
}

func printNextCommands(out io.Writer, dir, k6 string) error {
	_, err := fmt.Fprintf(out, `The scenarios are in %[1]s. Try them on this machine:

  cd %[2]s
  %[3]s x verity smoke --from .

Take a staging system through the safe execution plan, step by step (load-test/README.md says how, and what to arrange first):

  export BASE_URL=https://staging.example.com STRIPE_WEBHOOK_SECRET=whsec_…
  %[3]s x verity campaign --scripts .
`, dir, quoted(dir), k6)
	return err
}
