package version

import (
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	current := strings.TrimSpace(release)
	for name, tc := range map[string]struct {
		linked string
		module debug.Module
		want   string
	}{
		"the build script names the commit": {linked: "0.3.0+1a2b3c4", module: debug.Module{Version: "v0.2.0"}, want: "0.3.0+1a2b3c4"},
		"xk6 build --with MODULE@v0.2.0":    {module: debug.Module{Version: "v0.2.0"}, want: "0.2.0"},
		"a fork of the module": {
			module: debug.Module{Version: "v0.2.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v0.2.1"}}, want: "0.2.1",
		},
		"xk6 build --with MODULE=FOLDER": {
			module: debug.Module{Version: "(devel)", Replace: &debug.Module{Path: "/src", Version: "(devel)"}}, want: current + "+devel",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.module.Path = modulePath
			info := &debug.BuildInfo{Main: debug.Module{Path: "k6", Version: "(devel)"}, Deps: []*debug.Module{&tc.module}}
			require.Equal(t, tc.want, versionOf(tc.linked, info))
		})
	}
	require.Equal(t, current+"+devel", versionOf("", nil), "a binary without build information")
}

func TestK6(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{Deps: []*debug.Module{{Path: "go.k6.io/k6/v2", Version: "v2.2.0"}}}
	require.Equal(t, "2.2.0", orUnknown(moduleVersion(info, k6Path)))
	require.Equal(t, "unknown", orUnknown(moduleVersion(nil, k6Path)))
}

// The newest release in CHANGELOG.md, VERSION and the version in package.json must be the same.
func TestTheChangelogNamesThisRelease(t *testing.T) {
	t.Parallel()
	changelog, err := os.ReadFile("../../CHANGELOG.md")
	require.NoError(t, err)
	newest := regexp.MustCompile(`(?m)^## (\d\S*) `).FindSubmatch(changelog)
	require.NotNil(t, newest, "CHANGELOG.md names no release")
	require.Equal(t, string(newest[1])+"\n", release)
	types, err := os.ReadFile("../../package.json")
	require.NoError(t, err)
	require.Contains(t, string(types), `"version": "`+string(newest[1])+`"`)
}
