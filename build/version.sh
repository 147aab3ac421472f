#!/bin/sh
# Prints the version of this checkout: 0.1.0 for the commit that is tagged v0.1.0, 0.1.0+1a2b3c4 for another commit, and
# 0.1.0+1a2b3c4.dirty for one with changes. VERSION in the environment takes precedence; without git history it is 0.1.0+devel.
set -eu
cd "$(dirname "$0")/.."

release=$(cat extension/version/VERSION)
if [ -n "${VERSION:-}" ]; then
  echo "$VERSION"
elif ! [ -e .git ]; then # a repository in a parent folder is another project's
  echo "$release+devel"
elif [ -n "$(git status --porcelain)" ]; then
  echo "$release+$(git rev-parse --short=7 HEAD).dirty"
elif [ -n "$(git tag --points-at HEAD --list "v$release")" ]; then
  echo "$release"
else
  echo "$release+$(git rev-parse --short=7 HEAD)"
fi
