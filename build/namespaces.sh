#!/bin/sh
# Runs the tests of four runners in network namespaces: with the rights of root, or else in a user namespace, where this user has them.
# Where neither is permitted, as in many containers, it says so and exits with 77: nothing was tested.
set -eu
cd "$(dirname "$0")/.."

permitted() {
  ip netns add "verity-try-$$" && ip netns exec "verity-try-$$" ip link set lo up && ip netns del "verity-try-$$"
}
run() {
  cd load-test
  "$1" -test.run Namespaces -test.v -test.count 1 -test.timeout 8m
}
if [ "${1:-}" = in-user-namespace ]; then # its root may not write to /run of the machine
  mount -t tmpfs tmpfs /run
  permitted
  if [ -n "${2:-}" ]; then run "$2"; fi
  exit
fi

fail() {
  echo "the tests of network namespaces did not run: $1" >&2
  exit "${2:-1}"
}
for program in ip curl unshare; do
  command -v $program >/dev/null || fail "$program is missing (Debian: iproute2, curl, util-linux)"
done
work=$(mktemp -d "${TMPDIR:-/tmp}/namespaces.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

unshared() { unshare --user --map-root-user --net --mount "$PWD/build/namespaces.sh" in-user-namespace "$@"; }

if (permitted) 2>"$work/as-root"; then
  how=run
elif unshared "" 2>"$work/as-user"; then
  how=unshared
else
  cat "$work/as-root" "$work/as-user" >&2
  fail 'neither this user nor a user namespace may make any' 77
fi
GOWORK=off go test -tags netns -c -o "$work/load-test.test" ./load-test
$how "$work/load-test.test"
