// Package verity registers the k6 extension for Verity: the JavaScript module k6/x/verity, and the subcommand verity
// (k6 x verity …). xk6 builds it into k6.
package verity

import (
	"embed"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.k6.io/k6/v2/cmd/state"
	"go.k6.io/k6/v2/ext"
	"go.k6.io/k6/v2/js/modules"
	"go.k6.io/k6/v2/subcommand"

	"github.com/verity-app/xk6-verity/extension/cli"
	"github.com/verity-app/xk6-verity/extension/jsapi"
	"github.com/verity-app/xk6-verity/extension/run"
	"github.com/verity-app/xk6-verity/extension/runner"
	"github.com/verity-app/xk6-verity/extension/version"
)

// scripts are the scenarios, their shared modules, the examples, the types and the pages that their READMEs link to, so that the binary
// alone can run and unpack them.
//
//go:embed js/*.js js/*.json load-test/*.js load-test/README.md examples/*.js examples/*.ts examples/README.md index.d.ts jsconfig.json .dashboard.json docs/*.md docs/*.json build/bench/README.md
var scripts embed.FS

func init() {
	stayOffline()
	setUnlessSet("K6_WEB_DASHBOARD_TAGS", dashboardTags)
	if config := cli.DashboardConfig(os.Args); config != "" {
		setUnlessSet("XK6_DASHBOARD_CONFIG", config)
	}
	leash := runner.TakeLeash()
	module := jsapi.New(os.Stdout)
	modules.Register(jsapi.Name, module)
	subcommand.RegisterExtension(cli.Name, func(gs *state.GlobalState) *cobra.Command {
		// k6 calls this function for every command, k6 run included.
		module.SetOutput(gs.Stdout, cli.Width(gs))
		showProgress(module, gs)
		module.SetCommand(command(gs.CmdArgs))
		if note := cli.ScriptNote(gs.CmdArgs, os.Stdin); note != "" {
			_, _ = fmt.Fprintln(gs.Stderr, note)
		}
		module.SetSegment(option("execution-segment", gs.CmdArgs, gs.Env), option("execution-segment-sequence", gs.CmdArgs, gs.Env))
		module.SetSecretSources(func() []string { return gs.Flags.SecretSource })
		module.SetInterrupter(leash.Reason)
		if leash != nil {
			gs.SignalNotify, gs.SignalStop = leash.Notify(gs.SignalNotify), leash.Stop(gs.SignalStop)
		}
		exit := gs.OSExit
		gs.OSExit = func(code int) { exit(module.ExitCode(code)) }
		return cli.New(gs, scripts)
	})
	nameVersion()
}

// showProgress makes runs show their progress. In a terminal the line is above k6's progress bars, which k6 writes directly to the
// writer below its output.
func showProgress(module *jsapi.RootModule, gs *state.GlobalState) {
	var bars *run.Bars
	if gs.Stdout.IsTTY {
		bars = run.NewBars(gs.Stdout.Writer, func() int { return cli.TerminalWidth(gs) })
		gs.Stdout.Writer = bars
	}
	module.ShowProgress(bars, func() bool { return gs.Flags.Quiet })
}

// nameVersion makes `k6 version` show this build's version; k6 shows (devel) for an extension built from a folder.
func nameVersion() {
	ext.Get(ext.JSExtension)[jsapi.Name].Version = "v" + version.Version()
	ext.Get(ext.SubcommandExtension)[cli.Name].Version = "v" + version.Version()
}

// stayOffline disables the two network requests that k6 makes by itself, unless the user has set their variables: the usage
// report, and the lookup in its extension catalogue before every k6 x.
func stayOffline() {
	for name, value := range map[string]string{
		"K6_NO_USAGE_REPORT":          "true",
		state.AutoExtensionResolution: "false",
	} {
		setUnlessSet(name, value)
	}
}

// dashboardTags are the tags by which k6's dashboard separates series; its default is the group only. .dashboard.json shows
// operations, and failures by kind.
const dashboardTags = "group,name,kind"

func setUnlessSet(name, value string) {
	if _, isSet := os.LookupEnv(name); !isSet {
		_ = os.Setenv(name, value) // fails only for an invalid name
	}
}

// option is the value of a flag of k6, or else of its variable, such as K6_EXECUTION_SEGMENT; "" where neither is given.
func option(flag string, args []string, env map[string]string) string {
	if value, isGiven := cli.FlagValue(args, flag); isGiven {
		return value
	}
	return env["K6_"+strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))]
}

// command returns the k6 command with a script in the arguments, or "". It need not be first, as flags and their values may
// precede it.
func command(args []string) string {
	for _, arg := range args[1:] {
		switch arg {
		case "run", "inspect", "archive", "cloud":
			return arg
		}
	}
	return ""
}
