#!/usr/bin/env bash
# Installs what is missing, builds, and opens the window; without a display it serves the same UI on
# loopback and prints the login link. Arguments go to the program.
# Usage: run.sh [window|serve|auto] [ARGUMENT…]
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mode="${1:-auto}"
[ "$#" = 0 ] || shift
if [ "$mode" = auto ]; then
  if has_display; then mode=window; else mode=serve; fi
fi

case "$mode" in
  window)
    scripts/need.sh build
    scripts/ui.sh build
    say "building the window, the command line and the shim"
    cargo build --release --bins -p hivekeeper-desktop -p cli -p shim
    exec "$TARGET_DIR/release/hivekeeper-desktop" "$@"
    ;;
  serve)
    has_display || say "no display here: serving the UI on this machine instead of opening a window"
    scripts/need.sh serve
    scripts/ui.sh build
    say "building the command line and the shim"
    cargo build --release --bins -p cli -p shim
    exec "$TARGET_DIR/release/hivekeeper" serve "$@"
    ;;
  *) die 2 "usage: run.sh [window|serve|auto] [ARGUMENT…]" ;;
esac
