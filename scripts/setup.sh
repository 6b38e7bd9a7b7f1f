#!/usr/bin/env bash
# Prepares a clone for work: packages, the git hooks, and a list of what was found.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# row NAME USE COMMAND [ARGUMENT…]: what the command says of itself; without arguments only that it is there.
row() {
  local name="$1" use="$2" found="not installed"
  shift 2
  if have "$1"; then
    found="installed"
    [ "$#" = 1 ] || found="$("$@" 2>/dev/null | head -n 1 | cut -c 1-50 || true)"
  fi
  printf '%-16s %-52s %s\n' "$name" "$found" "$use"
}

scripts/need.sh test
scripts/ui.sh deps
[ ! -e .git ] || git config core.hooksPath .githooks

printf '%-16s %-52s %s\n' tool found "used for"
row rustc "building" rustc --version
row node "building the UI" node --version
row npm "the UI's packages" npm --version
row cargo-nextest "running tests faster (optional)" cargo-nextest --version
row cargo-deny "checking dependencies (CI builds its own)" cargo-deny --version
row shellcheck "checking scripts (optional)" shellcheck
row chromium "browser tests" "$(find_chromium || printf chromium)" --version
row WebKitWebDriver "window tests" WebKitWebDriver
if has_display; then
  printf '\nA display is here: make run opens the window.\n'
else
  printf '\nNo display is here: make run serves the UI on loopback.\n'
fi
