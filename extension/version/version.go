// Package version says which xk6-verity and which k6 a binary was built from.
package version

import (
	_ "embed"
	"runtime/debug"
	"strings"
)

// modulePath and k6Path are how the modules are called in a binary's build information.
const (
	modulePath = "github.com/verity-app/xk6-verity"
	k6Path     = "go.k6.io/k6/v2"
)

// Unknown stands for a version that the binary does not know.
const Unknown = "unknown"

// release is the version that this source is, or is being made into a successor of.
//
//go:embed VERSION
var release string

// built is set by the linker in build/k6.sh, which knows the commit: 0.1.0 for a release, 0.1.0+1a2b3c4 for another commit.
var built string //nolint:gochecknoglobals // the linker sets variables only

// Version returns the version of this extension, without a leading v: "0.1.0" for a release, "0.1.0+1a2b3c4" for a commit
// after it, "0.1.0+devel" where neither the build nor Go's module system knows the commit.
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

// moduleVersion returns "" for a module that is not in the binary, or was built from a folder.
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
		return Unknown
	}
	return v
}
