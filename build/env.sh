#!/bin/sh
# Sourced by the other scripts: one build configuration for k6, the tools and the linters, so that they share Go's build
# cache. It has no cgo and trimmed paths, as xk6 builds k6, and no debug information, which xk6 strips and which takes a
# seventh of the time of a first build.
export GOWORK=off
export CGO_ENABLED=0
GOFLAGS="$(go env GOFLAGS) -trimpath -gcflags=all=-dwarf=false"
export GOFLAGS
