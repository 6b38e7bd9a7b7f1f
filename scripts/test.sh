#!/usr/bin/env bash
# Runs every test there is, each suite even when one before it failed, and sums up at the end.
# Usage: test.sh [all|agents]      agents: only the real agents, all of them, OpenCode too
# HIVEKEEPER_TEST_LOGS=DIR keeps the suites' output (default: target/test-logs).
# HIVEKEEPER_NO_AGENTS=1 leaves the real agents out; the summary says so.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

LOGS="${HIVEKEEPER_TEST_LOGS:-$TARGET_DIR/test-logs}"
# What is tried beside the pinned agents on demand: it is large and slow.
ON_DEMAND=opencode-ai@1.18.33
names=() results=() passes=() failures=() seconds=() skipped=()

# Prints a log without colours.
plain() {
  sed -E $'s/\x1b\\[[0-9;]*[A-Za-z]//g' "$1"
}

# Adds up the numbers before a word ("12 passed") in the closing lines of any of the test runners.
count() {
  local word="$1" log="$2"
  plain "$log" | awk -v word="$word" '
    # nextest: "Summary [ 1.2s] 9 tests run: 8 passed, 1 failed"; cargo test: "test result: ok. 8 passed; 0 failed";
    # vitest: "Tests  1 failed | 8 passed (9)"; playwright: "  8 passed (1.2s)".
    /^ *Summary \[/ || /^test result:/ || /^ *Tests  / || /^ +[0-9]+ (passed|failed|flaky)( \(.*\))?$/ {
      line = $0
      while (match(line, "[0-9]+ (" word ")")) {
        split(substr(line, RSTART, RLENGTH), part, " ")
        sum += part[1]
        line = substr(line, RSTART + RLENGTH)
      }
    }
    END { print sum + 0 }'
}

# suite KIND NAME COMMAND…: KIND is `tests` (must have run some) or `check` (only its exit code counts).
suite() {
  local kind="$1" name="$2" log code=0 start="$SECONDS" passed=0 failed=0
  shift 2
  log="$LOGS/$(printf '%s' "$name" | tr -c 'a-zA-Z0-9\n' '-').log"
  say "$name"
  "$@" 2>&1 | tee "$log" || code="${PIPESTATUS[0]}"
  if [ "$kind" = tests ]; then
    passed="$(count passed "$log")"
    failed="$(count 'failed|timed out' "$log")"
    if [ "$code" = 0 ] && [ "$passed" = 0 ]; then
      say "$name ended well but ran no test"
      code=1
    fi
  fi
  # A suite that fell over before it could count counts as one failure.
  if [ "$code" != 0 ] && [ "$failed" = 0 ]; then
    failed=1
  fi
  names+=("$name")
  passes+=("$passed")
  failures+=("$failed")
  seconds+=("$((SECONDS - start))")
  if [ "$code" = 0 ]; then results+=("ok"); else results+=("FAILED"); fi
}

# skip NAME WHY: a suite that cannot run here; the summary names it.
skip() {
  say "$1: skipped: $2"
  names+=("$1")
  results+=("skipped")
  passes+=(0)
  failures+=(0)
  seconds+=(0)
  skipped+=("$1: ${2#error: }")
}

rust_tests() {
  local promtool
  # Without it the test that needs it says so and is skipped.
  promtool="$(scripts/promtool.sh)" && export PATH="$PATH:$promtool"
  if cargo nextest --version >/dev/null 2>&1; then
    scripts/with-display.sh cargo nextest run --workspace --no-fail-fast
  else
    scripts/with-display.sh cargo test --workspace --no-fail-fast
  fi
}

# The crash tests and the simulation count only because they catch what is wrong on purpose.
fault_tests() {
  local code=0
  if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run -p store --features mutants --test ledger --no-fail-fast is_caught || code=$?
    cargo nextest run -p orchestrator --features faults --test sim --no-fail-fast is_caught || code=$?
  else
    cargo test -p store --features mutants --test ledger --no-fail-fast is_caught || code=$?
    cargo test -p orchestrator --features faults --test sim --no-fail-fast is_caught || code=$?
  fi
  return "$code"
}

# Real agents, each with a model that needs no network. They mostly wait: more run at once than there are processors.
agent_tests() {
  # With the whole workspace, so that nothing is built twice with other features.
  if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --features cli/real-agents --test agents --no-fail-fast --test-threads 4 -- "$@"
  else
    cargo test --workspace --features cli/real-agents --test agents --no-fail-fast -- --test-threads 4 "$@"
  fi
}

not_installed() {
  tail -n 1 "$1"
  return 1
}

# agent_suite NAME PACKAGES ARGUMENTS…: installs what is missing, runs the tests, or says why it cannot.
agent_suite() {
  local name="$1" packages="$2" code=0 log="$LOGS/installing-agents.log"
  shift 2
  if [ "${HIVEKEEPER_NO_AGENTS:-}" = 1 ]; then
    skip "$name" "HIVEKEEPER_NO_AGENTS=1"
    return 0
  fi
  # shellcheck disable=SC2086 # the list is words
  scripts/agents.sh $packages 2>&1 | tee "$log" || code="${PIPESTATUS[0]}"
  case "$code" in
    0) suite tests "$name" agent_tests "$@" ;;
    3) skip "$name" "$(tail -n 1 "$log")" ;;
    *) suite check "$name" not_installed "$log" ;;
  esac
}

# What made-up requests find; skipped where what makes them up cannot be installed.
api_suite() {
  local name="api: made-up requests" code=0 log="$LOGS/installing-schemathesis.log"
  scripts/try-api.sh install 2>&1 | tee "$log" || code="${PIPESTATUS[0]}"
  case "$code" in
    0) suite check "$name" scripts/try-api.sh ;;
    3) skip "$name" "$(tail -n 1 "$log")" ;;
    *) suite check "$name" not_installed "$log" ;;
  esac
}

summary() {
  local i passed=0 failed=0 bad=0 counts
  printf '\n%-34s %-8s %18s %9s\n' suite result tests seconds
  for i in "${!names[@]}"; do
    counts="-"
    if [ "$((passes[i] + failures[i]))" -gt 0 ]; then
      counts="${passes[i]} of $((passes[i] + failures[i]))"
    fi
    printf '%-34s %-8s %18s %9s\n' "${names[i]}" "${results[i]}" "$counts" "${seconds[i]}"
    passed=$((passed + passes[i]))
    failed=$((failed + failures[i]))
    [ "${results[i]}" != FAILED ] || bad=$((bad + 1))
  done
  printf '%-34s %-8s %18s %9s\n' total "$([ "$bad" = 0 ] && printf ok || printf FAILED)" \
    "$passed of $((passed + failed))" "$SECONDS"
  [ "$bad" = 0 ] || printf '\nThe suites'"'"' output is in %s\n' "$LOGS"
  if [ "${#skipped[@]}" -gt 0 ]; then
    printf '\nNOT RUN: %s\n' "${skipped[@]}"
  fi
  printf '\ntests: %d passed, %d failed\n' "$passed" "$failed"
  [ "$bad" = 0 ]
}

everything() {
  suite tests "rust: unit, integration, window" rust_tests
  agent_suite "rust: real agents" "" --skip opencode
  suite tests "rust: deliberate faults" fault_tests
  api_suite
  suite check "ui: types" npm --prefix ui run --silent check
  suite tests "ui: unit" npm --prefix ui run --silent test
  suite tests "ui: browser" npm --prefix ui run --silent test:e2e
}

trap 'exit 130' INT
what="${1:-all}"
case "$what" in
  all | agents) ;;
  *) die 2 "usage: test.sh [all|agents]" ;;
esac
rm -rf "$LOGS"
mkdir -p "$LOGS"
scripts/need.sh test
scripts/ui.sh build
CHROMIUM="$(find_chromium || true)"
export CHROMIUM
# Where the end-to-end tests find the programs.
export HIVEKEEPER_BIN_DIR="$TARGET_DIR/debug"

suite check "build" cargo build --workspace --bins --tests
case "$what" in
  all) everything ;;
  agents) agent_suite "rust: real agents" "$ON_DEMAND" ;;
esac
summary
