package evidence

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// commands matches the commands of the page, each with its output.
var commands = regexp.MustCompile("(?s)\n```sh\n(.*?)\n```\n(?:\n```text\n(.*?)\n```\n)?")

func TestEveryCommandOfThePagePrintsItsOutput(t *testing.T) {
	t.Parallel()
	needJq(t)
	page, err := os.ReadFile("../../docs/evidence.md")
	require.NoError(t, err)
	dir := t.TempDir()
	sample(t, filepath.Join(dir, "match-dry"+Extension))
	ran := 0
	for _, found := range commands.FindAllStringSubmatch(string(page), -1) {
		command, want := found[1], found[2]
		if strings.HasPrefix(command, "./k6 ") {
			continue // tested in package cli
		}
		bash := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", command) //nolint:gosec // the page's own command
		bash.Dir = dir
		got, err := bash.CombinedOutput()
		require.NoError(t, err, "%s\n%s", command, got)
		require.Equal(t, want+"\n", string(got), command)
		ran++
	}
	require.Equal(t, 7, ran)
}

// TestThePageNamesEverything keeps the page's tables complete.
func TestThePageNamesEverything(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/evidence.md")
	require.NoError(t, err)
	source, err := os.ReadFile("evidence.go")
	require.NoError(t, err)
	constants := regexp.MustCompile(`\t(?:Metric|Level|Count)\w+ +(?:Metric )?= "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(constants), 20)
	for _, constant := range constants {
		require.Regexp(t, "`"+constant[1]+"[`{]", string(page))
	}
}
