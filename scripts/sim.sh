#!/usr/bin/env bash
# Runs the seeded simulation of the orchestrator on optimised code, on every core.
# Usage: SEEDS=100000 FROM=0 sim.sh      many seeds, with progress and a summary
#        SEED=7 sim.sh                   one seed again, with everything that happened in it
#        STEPS=1000 sim.sh               longer runs
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SEEDS="${SEEDS:-10000}"
FROM="${FROM:-0}"
export SEEDS FROM
scripts/need.sh build
exec cargo test --release -p orchestrator --test sim -- --nocapture --exact \
  seeds::as_many_seeds_as_are_asked_for_keep_every_promise
