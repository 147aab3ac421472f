#!/bin/sh
# Checks the source: scripts, format, go.mod, vet, golangci-lint, and xk6 lint. Changes nothing.
set -eu
cd "$(dirname "$0")/.."
. build/env.sh

tool() { # tool MODFILE ARGUMENT...
  modfile=build/tools/$1
  shift
  go tool -modfile="$modfile" "$@"
}
fail() {
  echo "$1" >&2
  exit 1
}

build/lint-sh.sh

echo 'gofmt'
unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || fail "not as gofmt has it: $unformatted"

echo 'go mod tidy'
go mod tidy -diff

echo 'go vet'
go vet ./...
for system in windows darwin freebsd; do # the code and tests must compile for them
  GOOS=$system CGO_ENABLED=0 go vet ./...
done

golangci_version=$(go list -modfile=build/tools/golangci-lint/go.mod -m -f '{{.Version}}' github.com/golangci/golangci-lint/v2)
echo "golangci-lint $golangci_version"
case $(head -n 1 .golangci.yml) in
  "# golangci-lint $golangci_version"*) ;;
  *) fail ".golangci.yml: line 1 must say '# golangci-lint $golangci_version', the version in build/tools/golangci-lint/go.mod" ;;
esac
tool golangci-lint/go.mod golangci-lint run

# Without `versions`, which needs a release tag, and `vulnerability`, which needs a database: not every checkout has them.
echo 'xk6 lint'
gosec=$(tool go.mod -n gosec)
PATH=$(dirname "$gosec"):$PATH tool go.mod xk6 lint --preset strict --disable versions,vulnerability || {
  "$gosec" -quiet -exclude-generated ./... # xk6 lint shows only the number of findings
  exit 1
}
