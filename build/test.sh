#!/usr/bin/env bash
# Runs the Go tests with the race detector: the rooms first, then load-test, which runs ./k6 and takes minutes.
#
# Afterwards it names each test that was skipped and why. With VERITY_NO_SKIP=1, as in CI, a skipped test fails the run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export GOWORK=off CGO_ENABLED=1 # the race detector needs cgo

results=$(mktemp)
trap 'rm -f "$results"' EXIT
failed=0

go_test() { # go_test FLAG_OR_PACKAGE...; vet is left to build/lint.sh
  go test -vet=off -v "$@" | awk -v results="$results" -f build/testlog.awk || failed=1
}

mapfile -t rooms < <(go list ./... | grep -v '/load-test$')
go_test -race -timeout=5m "${rooms[@]}"
go_test -timeout=5m -run '^TestThePlanPredictsTheMatcher$' ./extension/standin # measures time, so without -race
go_test -race -timeout=10m -count=1 ./load-test # not from the cache: go does not see that ./k6 changed

sed -n 's/^SKIP/skipped:/p' "$results"
count() { grep -c "^$1" "$results" || true; }
skipped=$(count SKIP)
echo "tests: $(count PASS) passed, $(count FAIL) failed, $skipped skipped"

if ((skipped)) && [[ ${VERITY_NO_SKIP:-} == 1 ]]; then
  echo 'VERITY_NO_SKIP=1: no test may be skipped' >&2
  failed=1
fi
exit "$failed"
