#!/usr/bin/env bash
# Checks the dependencies: licences, bans and sources always, known vulnerabilities where the
# advisory database can be fetched.
# Usage: deny.sh [install]      HIVEKEEPER_CI_CACHE=DIR is where cargo-deny is built and kept.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VERSION=0.20.2
CACHE="${HIVEKEEPER_CI_CACHE:-$HOME/.cache/hivekeeper-ci}"
export PATH="$CACHE/bin:$PATH"

# Builds cargo-deny at the lowest priority, so that it may run beside other work.
install() {
  have cargo-deny && return 0
  mkdir -p "$CACHE"
  CARGO_TARGET_DIR="$CACHE/cargo-deny" CARGO_BUILD_JOBS="${CARGO_BUILD_JOBS:-1}" \
    nice -n 19 cargo install cargo-deny --version "$VERSION" --locked --quiet --root "$CACHE"
  rm -rf "$CACHE/cargo-deny"
}

install || die 1 "cargo-deny could not be installed"
[ "${1:-}" != install ] || exit 0

cargo deny --all-features check --hide-inclusion-graph licenses bans sources
if cargo deny fetch db >/dev/null 2>&1; then
  cargo deny --all-features check --disable-fetch advisories
else
  say "the advisory database cannot be fetched here: known vulnerabilities were NOT checked"
fi
