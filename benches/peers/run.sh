#!/usr/bin/env bash
# Measures the life of a mission beside the same life in Celery with Redis, and in Prefect's server,
# in turns on this machine, and prints one table.
# Usage: run.sh
#   PEERS_ROUNDS     how often everybody has a turn (3); the table shows medians over the rounds
#   PEERS_SECONDS    how long lives are begun for each figure (8)
#   PEERS_IN_FLIGHT  how many lives at once, one figure each ("1 16 64")
# The peers are installed once, into $XDG_CACHE_HOME/hivekeeper-peers; one that cannot be installed
# is left out, with the reason. Data lie under $TMPDIR, which should be a disk. Only loopback is used.
# For Linux.
# Exit codes: 1 when ours could not be built or measured, 2 without Python 3.
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

HERE="$ROOT/benches/peers"
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/hivekeeper-peers"
ROUNDS="${PEERS_ROUNDS:-3}"
FOR="${PEERS_SECONDS:-8}"
read -r -a LANES <<<"${PEERS_IN_FLIGHT:-1 16 64}"
START_PATIENCE_S=90

WORK="$(mktemp -d)"
FIGURES="$WORK/figures.jsonl"
STARTED=()
DRIVER=""
export TMPDIR="$WORK" PYTHONDONTWRITEBYTECODE=1

# Ends what was started last, its children too: each leads a process group of its own.
end_last() {
  local leader="${STARTED[-1]}" patience=100
  unset 'STARTED[-1]'
  kill -TERM -- "-$leader" 2>/dev/null || true
  while kill -0 -- "-$leader" 2>/dev/null && [ "$patience" -gt 0 ]; do
    sleep 0.1
    patience=$((patience - 1))
  done
  kill -KILL -- "-$leader" 2>/dev/null || true
  wait "$leader" 2>/dev/null || true
}

clean_up() {
  [ -z "$DRIVER" ] || kill "$DRIVER" 2>/dev/null || true
  while [ "${#STARTED[@]}" -gt 0 ]; do
    end_last
  done
  rm -rf "$WORK"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Starts a program in a process group of its own, with a log.
start() {
  local log="$WORK/$1.log"
  shift
  setsid "$@" >"$log" 2>&1 </dev/null &
  STARTED+=("$!")
}

# Runs a command and gives its exit code. Not in the foreground, which would hold up the traps.
attend() {
  local code=0
  "$@" &
  DRIVER="$!"
  wait "$DRIVER" || code="$?"
  DRIVER=""
  return "$code"
}

# Runs what measures, and keeps its figures.
drive() {
  attend "$@" >>"$FIGURES"
}

# Waits until a command succeeds, as long as what was started last is alive.
until_ready() {
  local begun="$SECONDS"
  until attend "$@" >/dev/null 2>&1; do
    if ! kill -0 "${STARTED[-1]}" 2>/dev/null || [ $((SECONDS - begun)) -gt "$START_PATIENCE_S" ]; then
      return 1
    fi
    sleep 0.2
  done
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Makes a Python environment with what a requirements file names, unless it is there already.
environment() {
  local name="$1" wanted="$HERE/requirements-$1.txt" place="$CACHE/$1"
  if ! cmp -s "$wanted" "$place/installed.txt"; then
    say "installing $name into $place"
    rm -rf "$place"
    python3 -m venv "$place" && "$place/bin/pip" install --quiet --requirement "$wanted" || return 1
    cp "$wanted" "$place/installed.txt"
  fi
}

# Finds a Redis server, or unpacks Debian's into the cache without installing it.
redis() {
  local place="$CACHE/redis"
  if have redis-server; then
    REDIS=(redis-server)
    return 0
  fi
  if [ ! -x "$place/usr/bin/redis-server" ]; then
    have apt-get && have dpkg || return 1
    say "unpacking redis-server into $place"
    mkdir -p "$CACHE/debs" "$place" || return 1
    (
      cd "$CACHE/debs" || exit 1
      apt-get download redis-server redis-tools libjemalloc2 liblzf1 libatomic1 >/dev/null 2>&1 || exit 1
      for package in *.deb; do
        dpkg -x "$package" "$place" || exit 1
      done
    ) || return 1
  fi
  REDIS=(env "LD_LIBRARY_PATH=$(dirname "$(find "$place/usr/lib" -name 'libjemalloc.so*' -print -quit)")"
    "$place/usr/bin/redis-server")
  "${REDIS[@]}" --version >/dev/null 2>&1
}

ours() {
  drive "$MISSIONS" lives --json --agents "$1" --seconds "$FOR" --in-flight "${LANES[@]}" ||
    die 1 "the life of a mission could not be measured"
}

celery_turn() {
  local port data="$WORK/redis-$1"
  port="$(free_port)"
  mkdir "$data"
  start redis "${REDIS[@]}" --bind 127.0.0.1 --port "$port" --dir "$data" --save '' \
    --appendonly yes --appendfsync always
  export PEER_REDIS_URL="redis://127.0.0.1:$port/0"
  local python="$CACHE/celery/bin/python"
  if ! until_ready "$python" -c 'import os, redis; redis.from_url(os.environ["PEER_REDIS_URL"]).ping()'; then
    end_last
    return 1
  fi
  cd "$HERE"
  start worker "$python" -m celery -A celery_app worker --loglevel WARNING --without-gossip --without-mingle
  local done=0
  until_ready "$python" -m celery -A celery_app inspect ping --timeout 2 &&
    drive "$python" celery_lives.py --seconds "$FOR" --in-flight "${LANES[@]}" || done=1
  cd "$ROOT"
  end_last
  end_last
  return "$done"
}

prefect_turn() {
  local port python="$CACHE/prefect/bin/python"
  port="$(free_port)"
  export PREFECT_HOME="$WORK/prefect-$1" PREFECT_API_URL="http://127.0.0.1:$port/api"
  export PREFECT_SERVER_ANALYTICS_ENABLED=false PREFECT_LOGGING_LEVEL=WARNING DO_NOT_TRACK=1
  mkdir "$PREFECT_HOME"
  start prefect "$python" -m prefect server start --host 127.0.0.1 --port "$port" --no-ui
  local done=0 healthy="import urllib.request as r; r.urlopen('$PREFECT_API_URL/health').read()"
  until_ready python3 -c "$healthy" &&
    drive "$python" "$HERE/prefect_lives.py" --warm-up 5 --seconds "$FOR" --in-flight "${LANES[@]}" || done=1
  end_last
  return "$done"
}

build() {
  say "building ours, optimised"
  attend cargo build --quiet --release -p shim -p agents --bins
  attend cargo bench --quiet -p orchestrator --bench missions --no-run
  MISSIONS="$(cargo bench --quiet -p orchestrator --bench missions --no-run --message-format json |
    python3 -c 'import json, sys
for line in sys.stdin:
    artifact = json.loads(line)
    if artifact.get("executable") and artifact["target"]["name"] == "missions":
        print(artifact["executable"])')"
  [ -x "$MISSIONS" ] || die 1 "the bench 'missions' was not built"
}

# What a peer is left out for is said once, and again under the table.
leave_out() {
  say "$1"
  NOTES+=("$1")
}

NOTES=()
PEERS=()
have python3 || die 2 "python3 is not installed: it drives the peers and makes the table"
build
if ! redis; then
  leave_out "celery is left out: no redis-server here, and none could be unpacked"
elif ! environment celery; then
  leave_out "celery is left out: it could not be installed"
else
  PEERS+=(celery)
fi
if environment prefect; then
  PEERS+=(prefect)
else
  leave_out "prefect is left out: it could not be installed"
fi

for round in $(seq "$ROUNDS"); do
  say "round $round of $ROUNDS: hivekeeper"
  drive python3 "$HERE/measuring.py" "$WORK"
  ours instant
  ours process
  for peer in "${PEERS[@]}"; do
    say "round $round of $ROUNDS: $peer"
    if ! "${peer}_turn" "$round"; then
      leave_out "$peer failed in round $round: $(tail -n 3 "$WORK/$peer.log" 2>/dev/null | tr '\n' ' ')"
    fi
  done
done

# Prints the versions of installed packages.
version() {
  "$CACHE/$1/bin/python" -c "import importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in '$2'.split()))"
}
VERSIONS=(--version "hivekeeper $(git describe --always --dirty 2>/dev/null || echo unknown)")
for peer in "${PEERS[@]}"; do
  case "$peer" in
    celery) VERSIONS+=(--version "$(version celery 'celery kombu redis'), $("${REDIS[@]}" --version | grep -o 'v=[0-9.]*' | head -n 1 | sed 's/v=/redis-server /')") ;;
    prefect) VERSIONS+=(--version "$(version prefect 'prefect fastapi SQLAlchemy')") ;;
  esac
done
for note in "${NOTES[@]}"; do
  printf '%s\n' "$note" >>"$WORK/notes"
done
python3 "$HERE/table.py" "$FIGURES" "${VERSIONS[@]}" --disk "$(df --output=fstype "$WORK" 2>/dev/null | tail -n 1)" \
  ${NOTES:+--notes "$WORK/notes"}
