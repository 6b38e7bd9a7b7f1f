#!/usr/bin/env bash
# Installs the UI's packages and builds it, each only when something changed.
# Usage: ui.sh [deps|build]
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

DEPS_STAMP=ui/node_modules/.hivekeeper-lock
BUILD_STAMP=ui/node_modules/.hivekeeper-built

# `npm ci` when package-lock.json differs from the one that was installed.
deps() {
  if [ -f "$DEPS_STAMP" ] && cmp -s ui/package-lock.json "$DEPS_STAMP"; then
    return 0
  fi
  say "installing the UI's packages (npm ci)"
  npm --prefix ui ci --no-audit --no-fund >&2
  cp ui/package-lock.json "$DEPS_STAMP"
}

# Whether any source of the UI is newer than the last build, or came or went since.
stale() {
  [ -f ui/dist/index.html ] && [ -f "$BUILD_STAMP" ] || return 0
  [ "$(sources | LC_ALL=C sort)" = "$(cat "$BUILD_STAMP")" ] || return 0
  [ -n "$(sources -newer "$BUILD_STAMP")" ]
}

sources() {
  find ui -type f \
    -not -path 'ui/node_modules/*' -not -path 'ui/dist/*' -not -path 'ui/e2e/*' \
    -not -path 'ui/test-results/*' -not -path 'ui/playwright-report/*' "$@"
}

build() {
  deps
  if stale; then
    say "building the UI (npm run build)"
    npm --prefix ui run --silent build >&2
    sources | LC_ALL=C sort >"$BUILD_STAMP"
  fi
}

case "${1:-build}" in
  deps) deps ;;
  build) build ;;
  *) die 2 "usage: ui.sh [deps|build]" ;;
esac
