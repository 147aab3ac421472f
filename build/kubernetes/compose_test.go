package kubernetes_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

const composeFile = "../compose.yaml"

// compose loads the file as docker does, with an environment.
func compose(t *testing.T, path string, environment ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{path}, cli.WithEnv(environment), cli.WithResolvedPaths(false))
	require.NoError(t, err)
	return options.LoadProject(t.Context())
}

func TestTheComposeFile(t *testing.T) {
	project, err := compose(t, composeFile)
	require.NoError(t, err)
	require.Equal(t, []string{"merge", "prometheus", "redis", "redis-exporter", "runner-1", "runner-2", "standin"}, slices.Sorted(maps.Keys(project.Services)))
	for name, service := range project.Services {
		for on := range service.DependsOn {
			require.Contains(t, project.Services, on, name)
			if service.DependsOn[on].Condition == types.ServiceConditionHealthy {
				require.NotNil(t, project.Services[on].HealthCheck, on)
			}
		}
		for _, volume := range service.Volumes {
			require.Contains(t, project.Volumes, volume.Source, name)
		}
		if service.Build != nil {
			require.Equal(t, "xk6-verity", service.Image, name)
			require.FileExists(t, filepath.Join(filepath.Dir(composeFile), service.Build.Context, service.Build.Dockerfile), name)
		}
		for _, port := range service.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, "%s: no port is for others", name)
		}
	}
	one, other := project.Services["runner-1"], project.Services["runner-2"]
	require.Equal(t, one.Environment, other.Environment, "the same variables for all runners")
	require.Equal(t, "+10s", *one.Environment["START_AT"])

	project, err = compose(t, composeFile, "TARGET_VUS=5000", "START_AT=14:30")
	require.NoError(t, err)
	require.Equal(t, "5000", *project.Services["runner-2"].Environment["TARGET_VUS"])
	require.Equal(t, "14:30", *project.Services["runner-2"].Environment["START_AT"])
}

// What the test loads the file with finds a mistake in it.
func TestTheLoaderFindsMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"services: {a: {image: b, comand: [c]}}":                                      "services.a.comand",
		"services: {a: {image: b, depends_on: [c]}}":                                  `service "a" depends on undefined service "c"`,
		"services: {a: {image: b, volumes: [{type: volume, source: c, target: /d}]}}": `service "a" refers to undefined volume c`,
		"services: {a: {image: b, configs: [{source: c, target: /d}]}}":               `service "a" refers to undefined config c`,
		"services: {a: {image: b, depends_on: {a: {condition: sometimes}}}}":          "condition",
	} {
		path := filepath.Join(t.TempDir(), "compose.yaml")
		require.NoError(t, os.WriteFile(path, []byte("name: x\n"+text), 0o600))
		_, err := compose(t, path)
		require.ErrorContains(t, err, want, text)
	}
}

// composed is what the services of the compose file run.
type composed struct {
	Services   map[string]composedService `json:"services"`
	Prometheus string                     `json:"prometheus"` // its configuration
}

type composedService struct {
	Command     []string          `json:"command"`
	Environment map[string]string `json:"environment,omitempty"`
}

// entrypoints are those of images that the file gives none.
var entrypoints = map[string][]string{
	"merge": {"k6"}, "standin": {"k6"}, "prometheus": {"prometheus"}, "redis-exporter": {"redis_exporter"}, "redis": nil,
}

const composedFile = "../../load-test/testdata/compose.json"

// A test in load-test runs these commands as processes.
func TestTheCommandsOfTheComposeFile(t *testing.T) {
	project, err := compose(t, composeFile)
	require.NoError(t, err)
	all := composed{Services: map[string]composedService{}, Prometheus: project.Configs["prometheus"].Content}
	for name, service := range project.Services {
		entrypoint := []string(service.Entrypoint)
		if entrypoint == nil {
			entrypoint = entrypoints[name]
		}
		one := composedService{Command: slices.Concat(entrypoint, service.Command)}
		for variable, value := range service.Environment {
			if one.Environment == nil {
				one.Environment = map[string]string{}
			}
			one.Environment[variable] = *value
		}
		all.Services[name] = one
	}
	requireKnown(t, composedFile, all)
}

// requireKnown requires that a file for other tests is what the manifests say; with -update it is written.
func requireKnown(t *testing.T, path string, value any) {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "known")
	require.NoError(t, err)
	encoder := json.NewEncoder(file)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	require.NoError(t, encoder.Encode(value))
	require.NoError(t, file.Close())
	text, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(path, text, 0o600))
	}
	known, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(known), string(text), "go test -update . writes it anew")
}
