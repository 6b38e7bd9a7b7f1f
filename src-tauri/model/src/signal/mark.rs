//! What happened to time itself while something was measured.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why there is a gap, or a step, in everything that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// The machine slept.
    Suspended,
    /// Its clock was set.
    ClockStepped,
    /// Measurements were skipped because the engine was too busy.
    Missed,
}

impl MarkKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Suspended, Self::ClockStepped, Self::Missed];

    /// The word used in interfaces and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::ClockStepped => "clock_stepped",
            Self::Missed => "missed",
        }
    }
}

/// A moment at which something happened to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mark {
    /// When it was noticed.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What it was.
    pub kind: MarkKind,
    /// How long it lasted, or how far the clock was set, in milliseconds; below zero where it was
    /// set back.
    pub span_ms: i64,
}
