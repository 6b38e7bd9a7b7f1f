#!/usr/bin/env bash
# Installs real agents, pinned, into AGENTS_HOME (.agents): the tests talk to them, nothing of them is shipped.
# Usage: agents.sh [PACKAGE@VERSION…]      Further npm packages may be named.
# Idempotent: what is there in the right version is not asked for again, so that it works offline afterwards.
# Exit codes: 1 something is wrong, 3 it cannot be done here (the last line says why).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

NODE_MAJOR_MIN=20
AGENTS="${AGENTS_HOME:-$ROOT/.agents}"
PINNED=(
  @aaif/goose-binary-linux-x64@0.20.2
  @zed-industries/codex-acp@0.16.0
)

# Whether these agents can be here at all.
fits() {
  local major
  [ "$(uname -sm)" = "Linux x86_64" ] || die 3 "the pinned agents are for Linux on x86_64"
  if ! have node || ! have npm; then
    die 3 "node $NODE_MAJOR_MIN or newer and npm are needed to install agents"
  fi
  major="$(node -p 'process.versions.node.split(".")[0]')"
  # With an old one npm installs older agents in silence.
  [ "$major" -ge "$NODE_MAJOR_MIN" ] || die 3 "node $major is too old to install agents: $NODE_MAJOR_MIN is needed"
}

# Prints the given packages that are not there in their version.
missing() {
  local package has
  for package in "$@"; do
    has="$(node -p "require('$AGENTS/node_modules/${package%@*}/package.json').version" 2>/dev/null || true)"
    [ "$has" = "${package##*@}" ] || printf '%s\n' "$package"
  done
}

install() {
  local log="$AGENTS/npm-install.log"
  say "installing into $AGENTS: $*"
  if npm install --prefix "$AGENTS" --no-audit --no-fund --save-exact --fetch-retries=1 "$@" >"$log" 2>&1; then
    return 0
  fi
  cat "$log" >&2
  if grep -qE 'ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|SOCKET_TIMEOUT' "$log"; then
    die 3 "npm could not reach its registry to install agents"
  fi
  die 1 "npm could not install: $*"
}

main() {
  local packages
  fits
  mkdir -p "$AGENTS"
  [ -f "$AGENTS/package.json" ] || printf '{"private":true}\n' >"$AGENTS/package.json"
  mapfile -t packages < <(missing "${PINNED[@]}" "$@")
  [ "${#packages[@]}" = 0 ] || install "${packages[@]}"
  mapfile -t packages < <(missing "${PINNED[@]}" "$@")
  [ "${#packages[@]}" = 0 ] || die 1 "npm said it was done, but these are not there: ${packages[*]}"
  say "agents are in $AGENTS/node_modules"
}

main "$@"
