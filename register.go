// Package verity registers the k6 extension of Verity: the JavaScript module k6/x/verity, and the subcommand verity
// (k6 x verity …). xk6 builds it into a k6.
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
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/subcommand"

	"github.com/verity-app/xk6-verity/extension/cli"
	"github.com/verity-app/xk6-verity/extension/jsapi"
	"github.com/verity-app/xk6-verity/extension/run"
	"github.com/verity-app/xk6-verity/extension/version"
)

// scripts are the scenarios, what they share, the examples and the types, so that the binary alone can run and unpack them.
//
//go:embed js/*.js js/*.json load-test/*.js load-test/README.md examples/*.js examples/*.ts examples/README.md index.d.ts jsconfig.json .dashboard.json
var scripts embed.FS

func init() {
	stayOffline()
	setUnlessSet("K6_WEB_DASHBOARD_TAGS", dashboardTags)
	if config := cli.DashboardConfig(os.Args); config != "" {
		setUnlessSet("XK6_DASHBOARD_CONFIG", config)
	}
	module := jsapi.New(os.Stdout)
	modules.Register(jsapi.Name, module)
	subcommand.RegisterExtension(cli.Name, func(gs *state.GlobalState) *cobra.Command {
		// k6 makes its commands for every call, k6 run included.
		module.SetOutput(gs.Stdout, cli.Width(gs))
		showProgress(module, gs)
		module.SetCommand(command(gs.CmdArgs))
		if note := cli.ScriptNote(gs.CmdArgs, os.Stdin); note != "" {
			_, _ = fmt.Fprintln(gs.Stderr, note)
		}
		module.SetShare(share(gs.CmdArgs, gs.Env))
		module.SetSecretSources(func() []string { return gs.Flags.SecretSource })
		exit := gs.OSExit
		gs.OSExit = func(code int) { exit(module.ExitCode(code)) }
		return cli.New(gs, scripts)
	})
	nameVersion()
}

// showProgress has runs tell how they go on. At a terminal the line stands above k6's bars, which k6 writes past its own output: to the
// writer below it.
func showProgress(module *jsapi.RootModule, gs *state.GlobalState) {
	var bars *run.Bars
	if gs.Stdout.IsTTY {
		bars = run.NewBars(gs.Stdout.Writer, func() int { return cli.TerminalWidth(gs) })
		gs.Stdout.Writer = bars
	}
	module.ShowProgress(bars, func() bool { return gs.Flags.Quiet })
}

// nameVersion has k6 version show this build's version: k6 itself shows (devel) for an extension built from a folder.
func nameVersion() {
	ext.Get(ext.JSExtension)[jsapi.Name].Version = "v" + version.Version()
	ext.Get(ext.SubcommandExtension)[cli.Name].Version = "v" + version.Version()
}

// stayOffline turns off, unless the user has set them, the two things that k6 does on the network of its own accord: it
// sends a usage report, and looks up its extension catalogue before every k6 x. Load tests run where neither is wanted.
func stayOffline() {
	for name, value := range map[string]string{
		"K6_NO_USAGE_REPORT":          "true",
		state.AutoExtensionResolution: "false",
	} {
		setUnlessSet(name, value)
	}
}

// dashboardTags are the tags by which k6's dashboard tells series apart; without the variable it knows groups only. .dashboard.json asks
// for operations, and for failures by their kind.
const dashboardTags = "group,name,kind"

func setUnlessSet(name, value string) {
	if _, isSet := os.LookupEnv(name); !isSet {
		_ = os.Setenv(name, value) // it fails for an invalid name only
	}
}

// share is the part of the test that this runner makes, as --execution-segment or K6_EXECUTION_SEGMENT says: 1 for the whole, and
// for what is no segment, which k6 refuses.
func share(args []string, env map[string]string) float64 {
	const flag = "--execution-segment"
	text := env["K6_EXECUTION_SEGMENT"]
	for i, arg := range args {
		if value, isGiven := strings.CutPrefix(arg, flag+"="); isGiven {
			text = value
		}
		if arg == flag && i+1 < len(args) {
			text = args[i+1]
		}
	}
	segment, err := lib.NewExecutionSegmentFromString(text)
	if err != nil || segment == nil {
		return 1
	}
	return segment.FloatLength()
}

// command returns which of k6's commands that take a script is in its arguments. It need not come first, for flags and
// their values may stand before it.
func command(args []string) string {
	for _, arg := range args[1:] {
		switch arg {
		case "run", "inspect", "archive", "cloud":
			return arg
		}
	}
	return ""
}
