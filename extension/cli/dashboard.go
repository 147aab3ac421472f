package cli

import (
	"os"
	"path/filepath"
	"slices"
)

// dashboardConfig is the name under which k6 looks for a configuration of its dashboard, in the working folder.
const dashboardConfig = ".dashboard.json"

// DashboardConfig returns the configuration of k6's dashboard that lies beside the folder of a scenario that k6 is about to run, so that a run
// has it from any working folder; "" where the working folder has one itself, or there is none.
func DashboardConfig(args []string) string {
	if _, err := os.Stat(dashboardConfig); err == nil || !slices.Contains(args, "run") {
		return ""
	}
	for _, arg := range args[1:] {
		config := filepath.Join(filepath.Dir(arg), "..", dashboardConfig)
		if _, err := os.Stat(config); err != nil || filepath.Ext(arg) != ".js" || !hasImports(arg) {
			continue
		}
		if absolute, err := filepath.Abs(config); err == nil {
			return absolute
		}
	}
	return ""
}
