#!/usr/bin/env bash
# Makes sure that there are promtool, which a test has look at /metrics, and prometheus, which a test asks the same questions
# as our own engine, and prints the folder they are in.
# Debian's package is unpacked into TOOLS_HOME (.tools) and not installed: installed, it would start a
# Prometheus that listens on every address of this machine.
# Exit codes: 1 there is none and none can be had here.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

place="${TOOLS_HOME:-$ROOT/.tools}/prometheus"
if have promtool && have prometheus; then
  dirname "$(command -v promtool)"
  exit 0
fi
if [ ! -x "$place/usr/bin/promtool" ] || [ ! -x "$place/usr/bin/prometheus" ]; then
  { have apt-get && have dpkg-deb; } || die 1 "promtool is not here, and there is no apt-get to fetch it with"
  rm -rf "$place"
  mkdir -p "$place"
  (cd "$place" && apt-get download prometheus >/dev/null 2>&1) || die 1 "the package prometheus could not be fetched"
  dpkg-deb -x "$place"/prometheus_*.deb "$place" >&2 || die 1 "the package prometheus could not be unpacked"
  rm -f "$place"/prometheus_*.deb
fi
printf '%s\n' "$place/usr/bin"
