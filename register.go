// Package verity registers the k6 extension of Verity: the JavaScript module k6/x/verity, and the subcommand verity
// (k6 x verity …). xk6 builds it into a k6.
package verity

import (
	"embed"
	"os"

	"github.com/spf13/cobra"
	"go.k6.io/k6/v2/cmd/state"
	"go.k6.io/k6/v2/ext"
	"go.k6.io/k6/v2/js/modules"
	"go.k6.io/k6/v2/subcommand"

	"github.com/verity-app/xk6-verity/extension/cli"
	"github.com/verity-app/xk6-verity/extension/jsapi"
	"github.com/verity-app/xk6-verity/extension/version"
)

// scripts are the scenarios, what they share, the examples and the types, so that the binary alone can run and unpack them.
//
//go:embed js/*.js js/*.json load-test/*.js load-test/README.md examples/*.js examples/*.ts examples/README.md index.d.ts jsconfig.json
var scripts embed.FS

func init() {
	stayOffline()
	module := jsapi.New(os.Stdout)
	modules.Register(jsapi.Name, module)
	subcommand.RegisterExtension(cli.Name, func(gs *state.GlobalState) *cobra.Command {
		// k6 makes its commands for every call, k6 run included.
		module.SetOutput(gs.Stdout)
		module.SetCommand(command(gs.CmdArgs))
		return cli.New(gs, scripts)
	})
	nameVersion()
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
		if _, isSet := os.LookupEnv(name); !isSet {
			_ = os.Setenv(name, value) // it fails for an invalid name only
		}
	}
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
