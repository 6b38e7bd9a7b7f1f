#!/usr/bin/env bash
# Runs the repository's own rules (tests/tidy.rs) in seconds, without building the product.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mkdir -p "$TARGET_DIR"
binary="$TARGET_DIR/tidy"
if [ ! -x "$binary" ] || [ -n "$(find tests/tidy.rs tests/tidy -newer "$binary")" ]; then
  CARGO_MANIFEST_DIR="$ROOT" rustc --test --edition 2024 tests/tidy.rs -o "$binary"
fi
RUST_BACKTRACE=0 "$binary" --quiet
