//! The pure core: decisions by hand, by feature, and at random. No clock, no file, no process.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on says where it stopped"
)]

/// Attempts of agents that run elsewhere.
mod attached;
/// Decisions walked by hand.
mod decide;
/// Evidence, reviews, and answers from outside.
mod evidence;
/// What the simulation found.
mod found;
/// Dependencies, skills, points, limits.
mod schedule;
/// Retries, pauses, the emergency stop, questions.
mod swarm;
mod talk;
/// Everything at random.
mod walk;
/// What the tests are set in.
mod world;
