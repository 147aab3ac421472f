#!/bin/sh
# Checks that the scripts are POSIX sh, with those of dash, busybox, shellcheck and checkbashisms that are installed. Scripts
# that these four accept also run on macOS, with bash 3.2 and BSD's tools. With VERITY_NO_SKIP=1, as in CI, shellcheck and
# checkbashisms must be installed.
set -eu
cd "$(dirname "$0")/.."

check() { # check PROGRAM ARGUMENT...
  if command -v "$1" >/dev/null; then
    echo "$*"
    "$@" build/*.sh
  elif [ "${VERITY_NO_SKIP:-}" = 1 ]; then
    echo "$1 is not installed" >&2
    exit 1
  else
    echo "$1 is not installed: skipped"
  fi
}

for script in build/*.sh; do
  for shell in dash 'busybox sh'; do
    # shellcheck disable=SC2086 # busybox and its applet are two words
    if command -v ${shell%% *} >/dev/null; then $shell -n "$script"; fi
  done
done
check shellcheck -s sh -x
check checkbashisms --posix --extra

# Flags of GNU's tools that BSD's and POSIX's do not have.
if grep -nE -e '(grep|realpath|sort|find|sed|awk|mktemp|cp|rm|xargs|date|tar|stat|du|head|tail) (.* )?--[a-z]' \
  -e 'sed .*-i' -e 'readlink -f' -e 'grep .*-P' -e 'find .*-printf' -e 'xargs .*-r' -e 'date .*-d ' -e 'mktemp( -d)?\)' \
  build/[!l]*.sh build/lint.sh Makefile; then
  echo 'a flag that only GNU has' >&2
  exit 1
fi
