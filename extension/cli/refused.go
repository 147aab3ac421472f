package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.k6.io/k6/v2/errext"
	"go.k6.io/k6/v2/errext/exitcodes"
)

// refused gives an error the exit code of refused input, the one that k6 run uses for an invalid configuration.
func refused(err error) error { return errext.WithExitCodeIfNone(err, exitcodes.ScriptException) }

// refuseUsage makes a command and its subcommands refuse flags and arguments with that exit code.
func refuseUsage(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return refused(flagError(cmd, err)) })
	if takes := cmd.Args; takes != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error { return refused(takes(cmd, args)) }
	}
	for _, below := range cmd.Commands() {
		refuseUsage(below)
	}
}

// flagError rewrites an error of pflag so that it names the flag, the value given and the values accepted.
func flagError(cmd *cobra.Command, err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return fmt.Errorf("%w; `%s --help` lists the flags", unknown, cmd.CommandPath())
	}
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	takes, isKnown := map[string]string{
		"int": "a whole number", "float64": "a number", "bool": "true or false", "duration": "a duration such as 500ms, 45s or 1m30s",
	}[invalid.GetFlag().Value.Type()]
	if !isKnown {
		return err
	}
	return fmt.Errorf("--%s must be %s, got %q", invalid.GetFlag().Name, takes, invalid.GetValue())
}
