#!/usr/bin/env bash
# Measures, side by side in one run, what this extension costs against what a user would otherwise write: build/bench.sh.
# The table is printed, and written as JSON to BENCH_JSON (default bench.json). ROUNDS (default 3) of each, medians count.
# The generator, the stand-in and the measurement share the machine's cores: look at the ratios.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export GOWORK=off
exec go run ./build/bench -rounds "${ROUNDS:-3}" -json "${BENCH_JSON:-bench.json}"
