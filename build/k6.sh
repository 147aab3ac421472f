#!/usr/bin/env bash
# Builds k6 with this extension in it: build/k6.sh OUTPUT
set -euo pipefail
output=$(realpath --canonicalize-missing "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source build/env.sh

k6_version=$(go list -m -f '{{.Version}}' go.k6.io/k6/v2) # go.mod is the one place that says it

# k6 alone, as xk6 resolves it before it adds the extension, leaves open two modules that only a test of a dependency
# imports, and xk6 would look up their newest versions. With those of go.mod the build is pinned and works offline.
mapfile -t pins < <(awk '
  $1 == "github.com/fsnotify/fsnotify" || $1 == "gopkg.in/tomb.v1" { print "--replace"; print $1 "=" $1 "@" $2 }
' go.mod)

log=$(mktemp)
trap 'rm -f "$log"' EXIT

echo "building $output with k6 $k6_version (minutes the first time, seconds afterwards)"
rm -f "$output" # xk6 writes over an old file without truncating it

# Without --verbose xk6 keeps the compiler's errors to itself; with it, it says too much for a build that works.
if ! go tool -modfile=build/tools/go.mod xk6 --verbose build --k6-version "$k6_version" \
  --with "$(go list -m)=." "${pins[@]}" --output "$output" >"$log" 2>&1; then
  grep --invert-match ' DBG ' "$log" >&2
  exit 1
fi
