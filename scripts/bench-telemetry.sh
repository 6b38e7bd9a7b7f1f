#!/usr/bin/env bash
# Measures the telemetry store beside Prometheus, VictoriaMetrics and plain rows in SQLite: the same generated
# samples through each one's own door, and the same five questions of a dashboard. Prints one table.
# Usage: scripts/bench-telemetry.sh [--agents N] [--wide SECONDS] [--deep SECONDS] [--cores N] [--long SECONDS]
# In full: 2,000 agents are 24,000 series; --wide 21600 (6 h), --deep 86400 (24 h) --cores 50, --long 604800 (7 days).
# Debian's packages are unpacked into TOOLS_HOME (.tools) and not installed; what cannot be had is left out and said.
# Exit codes: 1 this store could not be measured; 2 there is no Python.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

have python3 || die 2 "python3 is needed to start the others and to ask them"
size=("$@")
[ ${#size[@]} -gt 0 ] || size=(--agents 50 --wide 21600 --deep 86400 --cores 50 --long 604800)

# Prints the path of a program of a Debian package, unpacked if it is not here.
unpacked() {
  local package="$1" program="$2" place="${TOOLS_HOME:-$ROOT/.tools}/$1-server"
  if have "$program"; then
    command -v "$program"
    return 0
  fi
  if [ ! -x "$place/usr/bin/$program" ]; then
    { have apt-get && have dpkg-deb; } || return 1
    rm -rf "$place"
    mkdir -p "$place"
    (cd "$place" && apt-get download "$package" >/dev/null 2>&1) || return 1
    dpkg-deb -x "$place/$package"_*.deb "$place" >&2 || return 1
    rm -f "$place/$package"_*.deb
  fi
  [ -x "$place/usr/bin/$program" ] && printf '%s\n' "$place/usr/bin/$program"
}

work="$(mktemp -d "${TMPDIR:-/var/tmp}/bench-telemetry.XXXXXX")"
trap 'rm -rf "$work"' EXIT

prometheus="$(unpacked prometheus prometheus)" || { prometheus=""; say "left out: Prometheus, its package could not be fetched"; }
promtool="$(unpacked prometheus promtool)" || promtool=""
victoria="$(unpacked victoria-metrics victoria-metrics)" || { victoria=""; say "left out: VictoriaMetrics, its package could not be fetched"; }

say "this store, and plain rows"
cargo bench -q -p store --bench telemetry -- "${size[@]}" --questions --in "$work" >"$work/figures.jsonl" ||
  die 1 "the store could not be measured"
say "the same samples as text"
cargo bench -q -p store --bench telemetry -- "${size[@]}" --export "$work" >>"$work/figures.jsonl" ||
  die 1 "the samples could not be written"
say "the others, and the table"
python3 scripts/bench_telemetry.py --work "$work" --prometheus "$prometheus" --promtool "$promtool" \
  --victoria "$victoria" "${size[@]}"
