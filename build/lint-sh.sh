#!/bin/sh
# Checks that the scripts are POSIX sh, with what there is of dash, busybox, shellcheck and checkbashisms. macOS has bash 3.2
# and BSD's tools; what these four accept runs there too. With VERITY_NO_SKIP=1, as in CI, none of them may be missing.
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

# The flags that GNU's tools have and those of BSD or POSIX have not.
if grep -nE -e '(grep|realpath|sort|find|sed|awk|mktemp|cp|rm|xargs|date|tar|stat|du|head|tail) (.* )?--[a-z]' \
  -e 'sed .*-i' -e 'readlink -f' -e 'grep .*-P' -e 'find .*-printf' -e 'xargs .*-r' -e 'date .*-d ' -e 'mktemp( -d)?\)' \
  build/[!l]*.sh build/lint.sh Makefile; then
  echo 'a flag that only GNU has' >&2
  exit 1
fi
