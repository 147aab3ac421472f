#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME each (default 5s): build/fuzz.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export GOWORK=off

grep --recursive --include='*_test.go' --only-matching --no-messages '^func Fuzz[A-Za-z0-9_]*' . | sort |
  while IFS=: read -r file declaration; do
    target=${declaration#func }
    echo "$target ($(dirname "$file"))"
    go test -vet=off -run='^$' -fuzz="^$target\$" -fuzztime="${FUZZTIME:-5s}" "$(dirname "$file")" </dev/null
  done
