#!/bin/sh
# Makes an archive of k6 with this extension for each system, and their checksums: build/release.sh FOLDER [GOOS/GOARCH...]
set -eu
case $1 in
  /*) folder=$1 ;;
  *) folder=$PWD/$1 ;;
esac
shift
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then
  set -- linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64 freebsd/amd64
fi
version=$(build/version.sh)
mkdir -p "$folder"
work=$(mktemp -d "${TMPDIR:-/tmp}/release.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

for platform; do
  os=${platform%/*} arch=${platform#*/}
  name=xk6-verity-$version-$os-$arch
  mkdir "$work/$name"
  cp LICENSE README.md CHANGELOG.md "$work/$name"
  case $os in
    windows)
      build/k6.sh "$work/$name/k6.exe" "$os" "$arch"
      rm -f "$folder/$name.zip"
      (cd "$work" && zip -q -r "$folder/$name.zip" "$name")
      ;;
    *)
      build/k6.sh "$work/$name/k6" "$os" "$arch"
      (cd "$work" && tar -cf - "$name") | gzip -9 >"$folder/$name.tar.gz"
      ;;
  esac
  rm -rf "${work:?}/$name"
done

cd "$folder"
if ! command -v sha256sum >/dev/null; then # macOS and FreeBSD
  sha256sum() { shasum -a 256 "$@"; }
fi
for archive in "xk6-verity-$version-"*.tar.gz "xk6-verity-$version-"*.zip; do
  if [ -e "$archive" ]; then sha256sum "$archive"; fi
done >SHA256SUMS
cat SHA256SUMS
