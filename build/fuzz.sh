#!/bin/sh
# Runs every fuzz target of the module for FUZZTIME each (default 5s): build/fuzz.sh
set -eu
cd "$(dirname "$0")/.."
export GOWORK=off

log=$(mktemp "${TMPDIR:-/tmp}/fuzz.XXXXXX")
trap 'rm -f "$log"' EXIT
trap 'exit 1' HUP INT TERM

fuzz() { # TARGET FOLDER
  passed=0
  go test -vet=off -run='^$' -fuzz="^$1\$" -fuzztime="${FUZZTIME:-5s}" "$2" </dev/null >"$log" 2>&1 || passed=1
  cat "$log"
  return "$passed"
}

# Go sometimes reports the end of the fuzz time as a failure, without a failing input.
ended_badly() { grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"; }

find . -name node_modules -prune -o -name '*_test.go' -exec grep -o '^func Fuzz[A-Za-z0-9_]*' /dev/null {} + | sort |
  while IFS=: read -r file declaration; do
    target=${declaration#func }
    folder=$(dirname "$file")
    echo "$target ($folder)"
    if ! fuzz "$target" "$folder"; then
      ended_badly || exit 1
      fuzz "$target" "$folder" || exit 1
    fi
  done
