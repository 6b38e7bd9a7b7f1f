#!/usr/bin/env bash
# Makes sure that there is a promtool, which a test has look at /metrics, and prints the folder it is in.
# Debian's package is unpacked into TOOLS_HOME (.tools) and not installed: installed, it would start a
# Prometheus that listens on every address of this machine.
# Exit codes: 1 there is none and none can be had here.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

place="${TOOLS_HOME:-$ROOT/.tools}/prometheus"
if have promtool; then
  dirname "$(command -v promtool)"
  exit 0
fi
if [ ! -x "$place/usr/bin/promtool" ]; then
  { have apt-get && have dpkg-deb; } || die 1 "promtool is not here, and there is no apt-get to fetch it with"
  rm -rf "$place"
  mkdir -p "$place"
  (cd "$place" && apt-get download prometheus >/dev/null 2>&1) || die 1 "the package prometheus could not be fetched"
  dpkg-deb -x "$place"/prometheus_*.deb "$place" >&2 || die 1 "the package prometheus could not be unpacked"
  rm -f "$place"/prometheus_*.deb "$place/usr/bin/prometheus"
fi
printf '%s\n' "$place/usr/bin"
