//! The journal over a real ledger and real telemetry.

/// A small workspace with a ledger and telemetry of its own.
#[cfg(test)]
mod world;

/// One devlog per attempt, exactly once.
#[cfg(test)]
mod follower;
/// Text of missions and agents stays text.
#[cfg(test)]
mod hostile;
/// Missions and days as Markdown, HTML and JSON.
#[cfg(test)]
mod reports;
/// Work in review, merged or sent back.
#[cfg(test)]
mod reviews;
