#!/usr/bin/env bash
# Runs a command with a screen and a message bus of its own, so that tests which open a real window
# need neither and disturb nobody's. Everything started here ends with the command.
# Usage: with-display.sh COMMAND [ARGUMENT…]      HIVEKEEPER_SCREEN=1400x900x24 sets the size.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ "$#" -gt 0 ] || die 2 "usage: with-display.sh COMMAND [ARGUMENT…]"
if [ "$(uname -s)" = Darwin ]; then
  exec "$@"
fi
for program in Xvfb dbus-run-session; do
  have "$program" || die 1 "$program is missing; scripts/need.sh test installs it"
done

private="$(mktemp -d "${TMPDIR:-/tmp}/hivekeeper-display.XXXXXX")"
chmod 700 "$private"
xvfb=""
cleanup() {
  if [ -n "$xvfb" ]; then
    kill "$xvfb" 2>/dev/null || true
    wait "$xvfb" 2>/dev/null || true
  fi
  rm -rf "$private"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Xvfb picks a free display itself and says which, once it answers.
mkfifo "$private/display"
Xvfb -displayfd 3 -screen 0 "${HIVEKEEPER_SCREEN:-1920x1080x24}" -nolisten tcp -noreset \
  3>"$private/display" >"$private/xvfb.log" 2>&1 &
xvfb=$!
number=""
read -r -t 30 number <"$private/display" || true
if [ -z "$number" ]; then
  cat "$private/xvfb.log" >&2
  die 1 "Xvfb did not start within 30 s"
fi

export DISPLAY=":$number"
export XDG_RUNTIME_DIR="$private"
export GDK_BACKEND=x11
export NO_AT_BRIDGE=1
export LIBGL_ALWAYS_SOFTWARE=1
# There is no graphics card behind this screen.
export WEBKIT_DISABLE_DMABUF_RENDERER=1
# A keychain that starts on a bus of its own is locked, and nobody is there to unlock it.
export HIVEKEEPER_KEYCHAIN="${HIVEKEEPER_KEYCHAIN:-off}"
export LANG="${LANG:-C.UTF-8}"
unset WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS

dbus-run-session -- "$@"
