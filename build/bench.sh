#!/usr/bin/env bash
# Measures, side by side in one run and as ratios, what this extension costs against what a script would otherwise do. The
# generator, the stand-in and the measurement share the machine's cores: look at the ratios, and at medians.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

echo '== queue keys: queueKey against JavaScript in k6'
./k6 run --quiet --summary-mode=disabled build/bench/queue-key.js

echo
echo '== sockets: memory of idle users, connect() against k6/websockets'
build/bench/sockets.sh

echo
echo '== plain Go: keys, shards, probe, signatures, codec, sockets, sessions (ns, B and allocations an operation)'
go test -run='^$' -bench=. -benchtime=200ms ./extension/queue ./extension/payments ./extension/socketio ./extension/sessions |
  grep -E '^(Benchmark|pkg)'
