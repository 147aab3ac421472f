#!/bin/sh
# Sourced by the scripts beside it: one build configuration for k6, the tools and the linters, so that what one of them
# has compiled the others find in Go's build cache. Without cgo and with trimmed paths as xk6 builds k6, and without
# debug information: xk6 strips it, and making it is a seventh of the work of a first build.
export GOWORK=off
export CGO_ENABLED=0
GOFLAGS="$(go env GOFLAGS) -trimpath -gcflags=all=-dwarf=false"
export GOFLAGS
