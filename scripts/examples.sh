#!/usr/bin/env bash
# Records an example of every operation of the API from a real engine, for the description of the API.
# Usage: examples.sh [OPERATION…]      only these are written anew
# What differs from run to run (ids, times, sizes, paths) is replaced, so that a second run changes little.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

have python3 || die 2 "python3 is missing; scripts/need.sh test installs it"
cargo build --bin hivekeeper --bin hivekeeper-shim --bin hivekeeper-fake-acp -p cli -p shim -p agents
exec python3 scripts/examples.py "$TARGET_DIR/debug" src-tauri/gateway/src/openapi/examples "$@"
