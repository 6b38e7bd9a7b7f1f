//! Measures missions: their whole durable life, the scheduler, the queue and its first page, and
//! whether memory depends on history. `cargo bench -p orchestrator --bench missions [-- PART…]`
//!
//! The parts are `schedule`, `queue`, `lives` and `memory`; without one all are measured, in this
//! order. The programs that `lives` starts must be built before: `cargo build --release --bins`.
//! Data lie under `TMPDIR`, which must be a disk for the figures to mean anything.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people at a terminal"
)]

mod figures;
mod lives;
mod memory;
mod queue;
mod schedule;
mod world;

/// What can be measured.
const PARTS: [(&str, fn()); 4] = [
    ("schedule", schedule::run),
    ("queue", queue::run),
    ("lives", lives::run),
    ("memory", memory::run),
];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let asked = |name: &str| args.iter().any(|arg| arg == name);
    let all = !PARTS.iter().any(|(name, _)| asked(name));
    if !asked("--json") {
        println!("{}\n{}\n", figures::machine(), figures::disk());
    }
    for (_, run) in PARTS.iter().filter(|(name, _)| all || asked(name)) {
        run();
    }
}
