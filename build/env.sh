# shellcheck shell=bash
# Sourced by the scripts beside it: one build configuration for k6, the tools and the linters, so that what one of them
# has compiled the others find in Go's build cache. It is the configuration that xk6 builds k6 with.
export GOWORK=off
export CGO_ENABLED=0
GOFLAGS="$(go env GOFLAGS) -trimpath"
export GOFLAGS
