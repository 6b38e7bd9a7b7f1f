//! A seeded simulation of the orchestrator's core with a fake ledger, clock, machine, agents and
//! captain, and a crash at any step.
//!
//! `make sim SEEDS=100000` runs many seeds; `SEED=n make sim` runs one again and tells all of it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on says where it stopped"
)]

/// What the captain, build servers and latecomers say.
mod captain;
/// What must hold.
mod check;
/// Chance.
mod dice;
/// The loop: decided, recorded, acted on.
mod engine;
/// The deliberate faults are found.
#[cfg(feature = "faults")]
mod faults;
/// What is done in the world for an attempt.
mod floor;
/// The fake ledger.
mod ledger;
/// The fake processes.
mod machine;
/// The fake ledger's rows.
mod rows;
/// Many seeds, and one again.
mod seeds;
/// One run.
mod sim;
/// The published table, walked state by state.
mod table;
