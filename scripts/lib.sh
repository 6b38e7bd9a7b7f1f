# Shared by the scripts beside it: how they speak, and where things are. Sourced, never run.
# shellcheck shell=bash

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"

# Where cargo puts what it builds, also when CARGO_TARGET_DIR moves it.
TARGET_DIR="${CARGO_TARGET_DIR:-$ROOT/target}"
case "$TARGET_DIR" in
  /*) ;;
  *) TARGET_DIR="$ROOT/$TARGET_DIR" ;;
esac
export ROOT TARGET_DIR

# A toolchain that was installed a minute ago is not in this shell's PATH yet.
if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then
  export PATH="$HOME/.cargo/bin:$PATH"
fi

# A step, on standard error, so that standard output stays the program's own.
say() {
  printf '==> %s\n' "$*" >&2
}

# The last words before giving up; the exit code says what kind of trouble it is.
die() {
  local code="$1"
  shift
  printf 'error: %s\n' "$*" >&2
  exit "$code"
}

have() {
  command -v "$1" >/dev/null 2>&1
}

# Prints the path of a Chromium, where there is one; $CHROMIUM chooses another.
find_chromium() {
  local name
  for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
    if [ -n "$name" ] && have "$name"; then
      command -v "$name"
      return 0
    fi
  done
  return 1
}

# Whether a window can be opened here.
has_display() {
  [ "$(uname -s)" = Darwin ] || [ -n "${DISPLAY:-}" ] || [ -n "${WAYLAND_DISPLAY:-}" ]
}
