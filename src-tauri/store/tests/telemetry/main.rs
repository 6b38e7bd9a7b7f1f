//! Telemetry against real processes that are killed at any moment, and disks that are full.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on ends there")]

/// What was flushed is there, once, whenever the process was killed.
mod crash;
