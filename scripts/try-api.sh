#!/usr/bin/env bash
# Tries the API of a real engine with made-up requests (schemathesis): each answer must be one that the
# description of the API names for that request. The same requests every time, in at most three minutes.
# Usage: try-api.sh [install | OPTION of 'schemathesis run'…]      install: only makes sure that it is there
#   HIVEKEEPER_PROGRAM   the program to try (default: target/debug/hivekeeper)
# What it needs is installed, pinned, into TOOLS_HOME (.tools); what is there is not asked for again.
# Exit codes: 1 something was found or is wrong, 3 it cannot be done here (the last line says why).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SECONDS_MAX=180
TOOLS="${TOOLS_HOME:-$ROOT/.tools}"
HOME_OF_IT="$TOOLS/schemathesis"
PINNED="$ROOT/scripts/try-api.requirements.txt"
PROGRAM="${HIVEKEEPER_PROGRAM:-$TARGET_DIR/debug/hivekeeper}"
PLACE=""
ENGINE=""

install() {
  local log="$TOOLS/schemathesis-install.log"
  if [ -x "$HOME_OF_IT/bin/schemathesis" ] && cmp -s "$PINNED" "$HOME_OF_IT/installed.txt"; then
    return 0
  fi
  have python3 || die 3 "python3 is needed to install schemathesis"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || die 3 "python3 is too old for schemathesis: 3.10 is needed"
  say "installing schemathesis into $HOME_OF_IT"
  rm -rf "$HOME_OF_IT"
  mkdir -p "$TOOLS"
  python3 -m venv "$HOME_OF_IT" || die 1 "python3 could not make a virtual environment (Debian: python3-venv)"
  if ! "$HOME_OF_IT/bin/pip" install --disable-pip-version-check --no-input --retries 1 -r "$PINNED" >"$log" 2>&1; then
    cat "$log" >&2
    if grep -qE 'NewConnectionError|NameResolutionError|ConnectTimeout|ConnectionError|Temporary failure' "$log"; then
      die 3 "pip could not reach its index to install schemathesis"
    fi
    die 1 "pip could not install schemathesis"
  fi
  cp "$PINNED" "$HOME_OF_IT/installed.txt"
}

cleanup() {
  if [ -n "$ENGINE" ]; then
    kill "$ENGINE" 2>/dev/null || true
    wait "$ENGINE" 2>/dev/null || true
  fi
  [ -z "$PLACE" ] || rm -rf "$PLACE"
}

# An engine of its own, in a home of its own. Everything is stopped in it, and the one request that would
# change that is left out: what the made-up requests name is never run.
start() {
  local tries
  PLACE="$(mktemp -d)"
  mkdir "$PLACE/home"
  # Not the shell's own job: its end must not be announced.
  HOME="$PLACE/home" HIVEKEEPER_DATA_DIR="$PLACE/data" "$PROGRAM" serve >"$PLACE/said" 2>"$PLACE/complained" &
  ENGINE=$!
  for tries in $(seq 300); do
    grep -q '^listening on ' "$PLACE/said" && break
    [ "$tries" != 300 ] || die 1 "the engine did not start: $(cat "$PLACE/complained")"
    sleep 0.1
  done
  URL="$(sed -n 's/^listening on //p' "$PLACE/said")"
  TOKEN="$(sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' "$PLACE/data/endpoint.json")"
  HIVEKEEPER_DATA_DIR="$PLACE/data" "$PROGRAM" halt --json >/dev/null
}

try() {
  local code=0
  (cd "$PLACE" && TOKEN="$TOKEN" timeout --kill-after=10 "$SECONDS_MAX" \
    "$HOME_OF_IT/bin/schemathesis" --config-file "$ROOT/scripts/try-api.toml" run --no-color \
    --url "$URL" --report ndjson --report-ndjson-path "$PLACE/report.ndjson" "$@" \
    "$ROOT/docs/openapi.json") || code=$?
  if ! kill -0 "$ENGINE" 2>/dev/null; then
    cat "$PLACE/complained" >&2
    die 1 "the engine ended while it was tried"
  fi
  [ "$code" != 124 ] || die 1 "the requests took more than $SECONDS_MAX s"
  return "$code"
}

trap cleanup EXIT
install
[ "${1:-}" != install ] || exit 0
[ -x "$PROGRAM" ] || die 1 "$PROGRAM is not built: cargo build -p cli --bin hivekeeper"
start
say "trying the API at $URL with made-up requests"
try "$@"
