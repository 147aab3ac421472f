// Package version provides the versions of xk6-verity and of k6 that a binary was built from.
package version

import (
	_ "embed"
	"runtime/debug"
	"strings"
	"sync"
)

// modulePath and k6Path are the paths of the modules in a binary's build information.
const (
	modulePath = "github.com/verity-app/xk6-verity"
	k6Path     = "go.k6.io/k6/v2"
)

// unknown is the version of a module that the build information does not have.
const unknown = "unknown"

// release is the version of this source, or of the last release before it.
//
//go:embed VERSION
var release string

// built is set through the linker by build/k6.sh: 0.1.0 for a release, 0.1.0+1a2b3c4 for another commit.
var built string //nolint:gochecknoglobals // the linker can only set variables

// Version returns the version of this extension, without a leading v: "0.1.0" for a release, "0.1.0+1a2b3c4" for a commit
// after it, "0.1.0+devel" if neither build/k6.sh nor Go's build information has a version.
func Version() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(built, info)
}

// K6 returns the version of the k6 in this binary, without a leading v: "2.2.0", or Unknown.
func K6() string {
	info, _ := debug.ReadBuildInfo()
	return orUnknown(moduleVersion(info, k6Path))
}

func versionOf(linked string, info *debug.BuildInfo) string {
	if linked != "" {
		return linked
	}
	if v := moduleVersion(info, modulePath); v != "" {
		return v
	}
	return strings.TrimSpace(release) + "+devel"
}

// moduleVersion returns a module's version, or "" if it is not in the binary or was built from a folder.
func moduleVersion(info *debug.BuildInfo, path string) string {
	if info == nil {
		return ""
	}
	for _, module := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if module.Path != path {
			continue
		}
		if module.Replace != nil {
			module = module.Replace
		}
		if strings.HasPrefix(module.Version, "v") {
			return module.Version[1:]
		}
	}
	return ""
}

func orUnknown(v string) string {
	if v == "" {
		return unknown
	}
	return v
}

// Agent returns this tool's User-Agent: xk6-verity/0.1.0 k6/2.2.0.
var Agent = sync.OnceValue(func() string { return "xk6-verity/" + Version() + " k6/" + K6() }) //nolint:gochecknoglobals // computed once
