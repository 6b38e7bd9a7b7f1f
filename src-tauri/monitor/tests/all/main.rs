//! The monitor over a real ledger, real telemetry and real processes.

/// From the start event of an attempt to its end.
#[cfg(test)]
#[cfg(target_os = "linux")]
mod live;
