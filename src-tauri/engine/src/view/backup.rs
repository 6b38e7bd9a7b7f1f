//! Backups of the ledger.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A backup, or one that is being made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupView {
    /// The name of its file.
    #[schema(example = "ledger-20260131T093000Z.db")]
    pub file: String,
    /// Where it is, on the engine's machine.
    pub path: String,
    /// When it was begun.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Whether it is there.
    pub state: BackupState,
    /// How far it is; 100 once it was verified.
    pub percent: u8,
    /// Its size so far, in bytes.
    pub bytes: u64,
    /// How many events it holds; nothing where that is not known.
    pub events: Option<u64>,
    /// The hash of the last event, as 64 hexadecimal digits; nothing where it is not known.
    pub head: Option<String>,
    /// Why it was not made.
    pub problem: Option<String>,
}

/// Whether a backup is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackupState {
    /// It is being made.
    Making,
    /// It was made and verified.
    Done,
    /// It could not be made.
    Failed,
}
