//! The journal over a real ledger and real telemetry.

/// A small workspace with a ledger and telemetry of its own.
mod world;

/// One devlog per attempt, exactly once.
mod follower;
/// Text of missions and agents stays text.
mod hostile;
/// Missions and days as Markdown, HTML and JSON.
mod reports;
