#!/bin/sh
# Compares the cost of this extension with the alternatives, side by side in one run: build/bench.sh.
# Prints a table, and writes it as JSON to BENCH_JSON (default bench.json). The numbers are medians of ROUNDS (default 3).
# With MINUTES it holds one load for that long instead, to show that the cost of a user does not grow.
# The generator, the stand-in and the measurement share the machine's cores, so compare ratios.
set -eu
cd "$(dirname "$0")/.."
export GOWORK=off
if [ -n "${MINUTES:-}" ]; then
  exec go run ./build/bench -minutes "$MINUTES"
fi
exec go run ./build/bench -rounds "${ROUNDS:-3}" -json "${BENCH_JSON:-bench.json}"
