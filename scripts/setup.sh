#!/usr/bin/env bash
# Prepares a clone for work: packages, the git hooks, and a list of what was found.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

row() {
  local name="$1" use="$2"
  shift 2
  if have "$1"; then
    printf '%-16s %-42s %s\n' "$name" "$("$@" 2>/dev/null | head -n 1 || true)" "$use"
  else
    printf '%-16s %-42s %s\n' "$name" "not installed" "$use"
  fi
}

scripts/need.sh test
scripts/ui.sh deps
[ ! -e .git ] || git config core.hooksPath .githooks

printf '%-16s %-42s %s\n' tool found "used for"
row rustc "building" rustc --version
row node "building the UI" node --version
row npm "the UI's packages" npm --version
row cargo-nextest "running tests faster (optional)" cargo-nextest --version
row cargo-deny "checking dependencies (CI builds its own)" cargo-deny --version
row shellcheck "checking scripts (optional)" shellcheck --version
row chromium "browser tests" "${CHROMIUM:-chromium}" --version
row WebKitWebDriver "window tests" WebKitWebDriver --version
if has_display; then
  printf '\nA display is here: make run opens the window.\n'
else
  printf '\nNo display is here: make run serves the UI on loopback.\n'
fi
