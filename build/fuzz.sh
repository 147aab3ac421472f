#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME each (default 5s): build/fuzz.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export GOWORK=off

log=$(mktemp)
trap 'rm -f "$log"' EXIT

fuzz() { # TARGET FOLDER
  go test -vet=off -run='^$' -fuzz="^$1\$" -fuzztime="${FUZZTIME:-5s}" "$2" </dev/null | tee "$log"
}

# Go now and then takes the end of the fuzz time for a failure, and then names no input.
ended_badly() { grep --quiet 'context deadline exceeded' "$log" && ! grep --quiet 'Failing input' "$log"; }

grep --recursive --include='*_test.go' --only-matching --no-messages '^func Fuzz[A-Za-z0-9_]*' . | sort |
  while IFS=: read -r file declaration; do
    target=${declaration#func }
    echo "$target ($(dirname "$file"))"
    folder=$(dirname "$file")
    if ! fuzz "$target" "$folder"; then
      ended_badly || exit 1
      fuzz "$target" "$folder" || exit 1
    fi
  done
