#!/bin/sh
# Checks the TypeScript example with tsc --strict and the types package as npm packs it: build/types.sh
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d "${TMPDIR:-/tmp}/types.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

cp build/types/package.json build/types/package-lock.json build/types/.npmrc build/types/tsconfig.json examples/typescript.ts "$work"
npm pack --silent --pack-destination "$work" >"$work/packed"
cd "$work"
npm ci --silent
tar -xzf "$(cat packed)"
mkdir -p node_modules/@verity-app
mv package node_modules/@verity-app/xk6-verity
node_modules/.bin/tsc --project tsconfig.json
echo 'tsc --strict: no errors'

# The check itself is tested: a misspelt option must be an error.
sed 's/tokens: 2/tokns: 2/' typescript.ts >wrong.ts
mv wrong.ts typescript.ts
if node_modules/.bin/tsc --project tsconfig.json >errors; then
  echo 'tsc --strict accepts an option that does not exist' >&2
  exit 1
fi
grep -q "'tokns' does not exist" errors
