#!/bin/sh
# Builds the image xk6-verity with docker, buildah or podman, whichever is available: build/image.sh [BUILD_FLAG...]
set -eu
cd "$(dirname "$0")/.."

if docker info >/dev/null 2>&1; then # a docker without its daemon cannot build
  builder=docker
elif ! builder=$(command -v buildah || command -v podman); then
  echo 'there is neither docker with its daemon, nor buildah, nor podman to build the image with' >&2
  exit 1
fi

"$builder" build --file build/Dockerfile --tag xk6-verity \
  --build-arg VERSION="$(build/version.sh)" --build-arg REVISION="$(git rev-parse HEAD)" "$@" .
