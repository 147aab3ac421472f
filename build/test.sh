#!/bin/sh
# Runs the Go tests with the race detector: the rooms first, then load-test, which runs ./k6 and takes minutes.
#
# Lists the skipped tests with their reasons. With VERITY_NO_SKIP=1, as in CI, a skipped test fails the run.
set -eu
cd "$(dirname "$0")/.."
export GOWORK=off CGO_ENABLED=1 # the race detector needs cgo

results=$(mktemp "${TMPDIR:-/tmp}/tests.XXXXXX")
exits=$(mktemp "${TMPDIR:-/tmp}/tests.XXXXXX")
trap 'rm -f "$results" "$exits"' EXIT
trap 'exit 1' HUP INT TERM

go_test() { # go_test FLAG_OR_PACKAGE...; without vet, which build/lint.sh runs
  { go test -vet=off -v "$@" || echo failed >>"$exits"; } | awk -v results="$results" -f build/testlog.awk || echo failed >>"$exits"
}

rooms=$(go list ./... | grep -v '/load-test$')
# shellcheck disable=SC2086 # each package is an argument
go_test -race -timeout=10m $rooms
go_test -timeout=5m -run '^TestThePlanPredictsTheMatcher$' ./extension/standin # measures time, so without -race
go_test -timeout=5m ./extension/verdict # the rate of wrong verdicts in thousands of simulated runs, too slow with -race
go_test -race -timeout=30m -count=1 ./load-test # not cached: go does not notice changes of ./k6

sed -n 's/^SKIP/skipped:/p' "$results"
count() { grep -c "^$1" "$results" || true; }
skipped=$(count SKIP)
echo "tests: $(count PASS) passed, $(count FAIL) failed, $skipped skipped"

if [ "$skipped" -gt 0 ] && [ "${VERITY_NO_SKIP:-}" = 1 ]; then
  echo 'VERITY_NO_SKIP=1: no test may be skipped' >&2
  exit 1
fi
[ ! -s "$exits" ]
