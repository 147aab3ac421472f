package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheConfigurationOfTheDashboard(t *testing.T) {
	unpacked, elsewhere := t.TempDir(), t.TempDir()
	require.NoError(t, unpack(scriptsForInit(), unpacked, false))
	script := filepath.Join(unpacked, "load-test", "a.js")
	require.NoError(t, os.WriteFile(script, nil, 0o600))
	other := filepath.Join(elsewhere, "load-test", "a.js")
	require.NoError(t, os.Mkdir(filepath.Dir(other), 0o750))
	require.NoError(t, os.WriteFile(other, nil, 0o600))
	config := filepath.Join(unpacked, dashboardConfig)
	require.NoError(t, os.WriteFile(config, nil, 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(unpacked, "js"), 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(unpacked, "js", "config.js"), nil, 0o600))

	t.Chdir(elsewhere)
	require.Equal(t, config, DashboardConfig([]string{"k6", "run", "--vus", "2", script}))
	require.Empty(t, DashboardConfig([]string{"k6", "run", other}), "a script without a configuration beside it")
	require.Empty(t, DashboardConfig([]string{"k6", "inspect", script}))
	require.Empty(t, DashboardConfig([]string{"k6"}))
	t.Chdir(unpacked)
	require.Empty(t, DashboardConfig([]string{"k6", "run", script}), "k6 finds it itself")
}
