#!/bin/sh
# Builds k6 with this extension in it, for this machine or for another: build/k6.sh OUTPUT [GOOS GOARCH]
set -eu
case $1 in
  /*) output=$1 ;;
  *) output=$PWD/$1 ;;
esac
cd "$(dirname "$0")/.."
. build/env.sh
os=${2:-$(go env GOOS)} arch=${3:-$(go env GOARCH)}
unset GOOS GOARCH # xk6 itself runs on this machine

module=$(go list -m)
k6_version=$(go list -m -f '{{.Version}}' go.k6.io/k6/v2) # from go.mod
version=$(build/version.sh)

# xk6 resolves k6 before it adds the extension. Two modules, which only tests of a dependency import, then have no version,
# and xk6 would look up their newest. The versions of go.mod pin the build and let it work offline.
pins=$(sed -n -e 's|^[[:space:]]*\(github\.com/fsnotify/fsnotify\) \(v[^ ]*\).*|--replace \1=\1@\2|p' \
  -e 's|^[[:space:]]*\(gopkg\.in/tomb\.v1\) \(v[^ ]*\).*|--replace \1=\1@\2|p' go.mod)

work=$(mktemp -d "${TMPDIR:-/tmp}/xk6.XXXXXX")
log=$work/log
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

echo "building $output $version with k6 $k6_version for $os/$arch (minutes the first time, seconds afterwards)"
rm -f "$output" # xk6 writes over an old file without truncating it
ldflags="-s -w -X $module/extension/version.built=$version"

# xk6 does not link for FreeBSD. So xk6 makes its module for Linux, and go build builds it for FreeBSD below.
linked=$output xk6_os=$os keep=0
if [ "$os" = freebsd ]; then
  linked=$work/k6 xk6_os=linux keep=1
fi

# xk6 shows compiler errors only with --verbose, which prints too much for a build that works: the log is shown on failure.
# shellcheck disable=SC2086 # each word of $pins is an argument
if ! TMPDIR=$work go tool -modfile=build/tools/go.mod xk6 --verbose build --k6-version "$k6_version" --os "$xk6_os" --arch "$arch" \
  --skip-cleanup="$keep" --build-flags=-trimpath --build-flags="-ldflags=$ldflags" \
  --with "$module=." $pins --output "$linked" >"$log" 2>&1; then
  grep -v ' DBG ' "$log" >&2
  exit 1
fi
if [ "$os" = freebsd ]; then
  cd "$(dirname "$(find "$work" -name main.go)")"
  CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags="$ldflags" -o "$output" .
fi
