#!/usr/bin/env bash
# Makes sure that what a build needs is on this machine, and installs what is missing.
# Usage: need.sh [serve|build|test]
#   serve  the command line and the engine, no window    build  the window too (the default)
#   test   everything the tests start: a browser, a virtual screen, a driver for the window
# Idempotent: with nothing missing it asks the package database once and is done.
# Exit codes: 1 a package could not be installed, 2 a toolchain is absent (the install line is printed).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

NODE_MAJOR_MIN=20

packages_apt() {
  local list="build-essential pkg-config git curl"
  [ "$1" = serve ] || list+=" libwebkit2gtk-4.1-dev librsvg2-dev libayatana-appindicator3-dev libxdo-dev libssl-dev"
  [ "$1" != test ] || list+=" webkit2gtk-driver xvfb dbus-x11 gnome-keyring imagemagick shellcheck python3 python3-venv"
  printf '%s' "$list"
}

packages_dnf() {
  local list="gcc gcc-c++ make pkgconf-pkg-config git curl"
  [ "$1" = serve ] || list+=" webkit2gtk4.1-devel librsvg2-devel libappindicator-gtk3-devel libxdo-devel openssl-devel"
  [ "$1" != test ] || list+=" /usr/bin/WebKitWebDriver xorg-x11-server-Xvfb dbus-daemon gnome-keyring ImageMagick ShellCheck python3"
  printf '%s' "$list"
}

packages_pacman() {
  local list="base-devel git curl"
  [ "$1" = serve ] || list+=" webkit2gtk-4.1 librsvg libayatana-appindicator xdotool openssl"
  [ "$1" != test ] || list+=" xorg-server-xvfb dbus gnome-keyring imagemagick shellcheck python"
  printf '%s' "$list"
}

packages_brew() {
  local list="git"
  [ "$1" != test ] || list+=" imagemagick shellcheck python3"
  printf '%s' "$list"
}

# Ubuntu's Chromium goes by another name than everybody else's.
browser_package() {
  if grep -qs '^ID=ubuntu' /etc/os-release; then
    printf 'chromium-browser'
  else
    printf 'chromium'
  fi
}

# Prints those of the given packages that are not installed.
missing_apt() {
  local package installed
  installed=" $(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null |
    awk '$1 == "installed" { print $2 }' | tr '\n' ' ')"
  for package in "$@"; do
    case "$installed" in
      *" $package "*) ;;
      *) printf '%s ' "$package" ;;
    esac
  done
}

missing_dnf() {
  local package
  for package in "$@"; do
    rpm -q --whatprovides "$package" >/dev/null 2>&1 || printf '%s ' "$package"
  done
}

missing_pacman() {
  pacman -T "$@" 2>/dev/null | tr '\n' ' ' || true
}

missing_brew() {
  local package
  for package in "$@"; do
    have "$package" || brew list --versions "$package" >/dev/null 2>&1 || printf '%s ' "$package"
  done
}

# Runs a command as root, with sudo only where that is needed.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    die 1 "this needs root and there is no sudo; run as root: $*"
  fi
}

install_apt() {
  export DEBIAN_FRONTEND=noninteractive
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2 &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >&2
}

install_dnf() {
  as_root dnf install -y "$@" >&2
}

install_pacman() {
  as_root pacman -S --needed --noconfirm "$@" >&2
}

install_brew() {
  brew install "$@" >&2
}

system_packages() {
  local purpose="$1" manager="" candidate missing
  for candidate in apt:apt-get dnf:dnf pacman:pacman brew:brew; do
    if have "${candidate#*:}"; then
      manager="${candidate%%:*}"
      break
    fi
  done
  if [ -z "$manager" ]; then
    say "no apt, dnf, pacman or brew here: install by hand what Debian calls $(packages_apt "$purpose")"
    return 0
  fi
  # shellcheck disable=SC2046 # the lists are words
  missing="$("missing_$manager" $("packages_$manager" "$purpose"))"
  if [ "$purpose" = test ] && ! find_chromium >/dev/null; then
    missing+="$(browser_package)"
  fi
  [ -n "${missing// /}" ] || return 0
  say "to $(reason "$purpose"), these system packages are missing: $missing"
  say "installing them with $manager$([ "$(id -u)" = 0 ] || [ "$manager" = brew ] || printf ' through sudo')"
  # shellcheck disable=SC2086 # the list is words
  "install_$manager" $missing || die 1 "$manager could not install: $missing"
}

reason() {
  case "$1" in
    serve) printf 'build the engine' ;;
    build) printf 'build the window' ;;
    test) printf 'run the tests' ;;
  esac
}

toolchains() {
  local absent=0 major=0
  if ! have cargo; then
    printf '%s\n' \
      "error: Rust is missing. Install it with:" \
      "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal" \
      "then open a new shell (or: . \"\$HOME/.cargo/env\") and try again." >&2
    absent=1
  elif ! have rustup; then
    say "cargo is not rustup's: rust-toolchain.toml is ignored, and an older compiler may refuse the code"
  fi
  if have node; then
    major="$(node -p 'process.versions.node.split(".")[0]')"
  fi
  if [ "$major" -lt "$NODE_MAJOR_MIN" ] || ! have npm; then
    printf '%s\n' \
      "error: Node.js $NODE_MAJOR_MIN or newer with npm is missing (found: $(node --version 2>/dev/null || printf none)). Install it with:" \
      "  $(node_line)" >&2
    absent=1
  fi
  [ "$absent" = 0 ] || exit 2
}

node_line() {
  if have brew; then
    printf 'brew install node'
  elif have dnf; then
    printf 'sudo dnf install -y nodejs npm'
  elif have pacman; then
    printf 'sudo pacman -S --noconfirm nodejs npm'
  else
    printf 'curl -fsSL https://deb.nodesource.com/setup_22.x | sudo -E bash - && sudo apt-get install -y nodejs'
  fi
}

main() {
  local purpose="${1:-build}"
  case "$purpose" in
    serve | build | test) ;;
    *) die 2 "usage: need.sh [serve|build|test]" ;;
  esac
  system_packages "$purpose"
  toolchains
}

main "$@"
