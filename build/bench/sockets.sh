#!/usr/bin/env bash
# Resident memory of k6 per idle user with a socket, both namespaces joined: build/bench/sockets.sh [USERS]
set -euo pipefail
users=${1:-2000}
work=$(mktemp -d)
standin=
cleanup() {
  if [[ -n $standin ]]; then kill "$standin" 2>/dev/null && wait "$standin" || true; fi
  rm -rf "$work"
}
trap cleanup EXIT

./k6 x verity standin --addr 127.0.0.1:0 >"$work/standin" &
standin=$!
wait_for() { # wait_for WORD PID FILE, for five minutes at most, and no longer than the process lives
  for ((tenths = 0; tenths < 3000; tenths++)); do
    if grep --quiet "$1" "$3"; then return; fi
    kill -0 "$2"
    sleep 0.1
  done
  echo "sockets.sh: no $1 within five minutes" >&2
  return 1
}
wait_for 'export BASE_URL' "$standin" "$work/standin"
export USERS=$users
export BASE_URL STRIPE_WEBHOOK_SECRET
BASE_URL=$(sed -n 's/.*export BASE_URL=//p' "$work/standin")
STRIPE_WEBHOOK_SECRET=$(sed -n 's/.*export STRIPE_WEBHOOK_SECRET=//p' "$work/standin")

resident() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; } # KB

for WITH in websockets connect; do
  export WITH
  # An unreachably low memory limit makes Go collect and release memory all the time, so that garbage of the sign-ups does not count.
  GOMEMLIMIT=1MiB ./k6 run --quiet --summary-mode=disabled build/bench/sockets.js >"$work/$WITH" &
  k6=$!
  wait_for ^READY "$k6" "$work/$WITH"
  before=$(resident $k6)
  wait_for ^CONNECTED "$k6" "$work/$WITH"
  after=$(resident $k6)
  wait $k6
  printf '%-11s %6d users  %6.1f KB a user\n' "$WITH" "$users" "$(awk "BEGIN { print ($after - $before) / $users }")"
done
