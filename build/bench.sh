#!/bin/sh
# Measures, side by side in one run, what this extension costs against what a user would otherwise write: build/bench.sh.
# The table is printed, and written as JSON to BENCH_JSON (default bench.json). ROUNDS (default 3) of each, medians count.
# With MINUTES it holds one load for so long instead, and shows that what a user costs does not grow.
# The generator, the stand-in and the measurement share the machine's cores: look at the ratios.
set -eu
cd "$(dirname "$0")/.."
export GOWORK=off
if [ -n "${MINUTES:-}" ]; then
  exec go run ./build/bench -minutes "$MINUTES"
fi
exec go run ./build/bench -rounds "${ROUNDS:-3}" -json "${BENCH_JSON:-bench.json}"
