#!/usr/bin/env bash
# Installs real agents, pinned, into AGENTS_HOME (.agents): the tests talk to them, nothing of them is shipped.
# Further npm packages may be named as arguments.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

home=${AGENTS_HOME:-$PWD/.agents}
pinned=(
    @aaif/goose-binary-linux-x64@0.20.2
    @zed-industries/codex-acp@0.16.0
)

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "node 20 or newer and npm are needed; neither was changed." >&2
    exit 1
fi
major=$(node -p 'process.versions.node.split(".")[0]')
if [ "$major" -lt 20 ]; then
    echo "node $major is too old: with it npm installs older agents in silence. Node 20 or newer is needed." >&2
    exit 1
fi

mkdir -p "$home"
cd "$home"
[ -f package.json ] || echo '{"private":true}' >package.json

# What is there already in the right version is not asked for again, so that this works offline afterwards.
missing=()
for package in "${pinned[@]}" "$@"; do
    name=${package%@*}
    version=${package##*@}
    have=$(node -p "require('./node_modules/$name/package.json').version" 2>/dev/null || true)
    [ "$have" = "$version" ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    npm install --no-audit --no-fund --save-exact "${missing[@]}"
fi

"$home/node_modules/@aaif/goose-binary-linux-x64/bin/goose" --version
echo "Agents are in $home/node_modules."
