#!/usr/bin/env bash
# Checks form: formatting, lints and types, in every language of the repository.
# Usage: lint.sh      Runs all checks and fails when one of them did.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bad=()
check() {
  local name="$1"
  shift
  say "$name"
  "$@" || bad+=("$name")
}

shell_scripts() {
  shellcheck -x -P scripts .ci/run .githooks/pre-commit scripts/*.sh
}

scripts/need.sh build
scripts/ui.sh build
check "cargo fmt" cargo fmt --all --check
check "biome" npm --prefix ui run --silent lint
check "svelte-check" npm --prefix ui run --silent check
check "clippy" cargo clippy --workspace --all-targets --features cli/real-agents --quiet -- -D warnings
if have shellcheck; then
  check "shellcheck" shell_scripts
else
  say "shellcheck is not installed: the scripts are not checked"
fi

if [ "${#bad[@]}" -gt 0 ]; then
  die 1 "these checks failed: ${bad[*]}"
fi
