package cli

import (
	"os"
	"path/filepath"
	"slices"
)

// dashboardConfig is the file in the working folder from which k6 reads the configuration of its dashboard.
const dashboardConfig = ".dashboard.json"

// DashboardConfig returns the path of the dashboard configuration beside the folder of the scenario that k6 is about to run, so that the
// dashboard is the same from any working folder. It returns "" if the working folder has its own, or if there is none.
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
