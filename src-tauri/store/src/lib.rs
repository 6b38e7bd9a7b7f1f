//! Remembers: the ledger of what happened, the telemetry of what was measured, and the transcripts
//! of what was said.
//!
//! Invariant: the store knows no rule of the product. It never decides what may happen, never
//! starts a process and never talks to anybody; it is the only room that knows SQL.

pub mod datadir;
pub mod ledger;
mod spare;
pub mod telemetry;
pub mod transcripts;

pub use datadir::{DataDir, DataDirError};
pub use ledger::{
    AgentCounts, Change, CommitError, Committed, Counts, DevlogFilter, EventFilter, Finding,
    Halted, InboxCounts, KeptLogin, KeptToken, Ledger, LedgerStatus, MessageFilter, MissionFilter,
    MissionStanding, MissionText, OpenError, Page, PastAttempt, ReadError, RequestFilter,
    StoredAnswer, TrashFilter, Verification,
};
pub use spare::SpareError;
pub use telemetry::{
    RangeQuery, ReadError as TelemetryReadError, Recorded, Telemetry, TelemetryCounters,
    TelemetryOptions,
};
pub use transcripts::{
    Changed, Changes, EntryPage, Hit, PageFrom, Piece, Placed, PutError,
    ReadError as TranscriptsReadError, SearchFilter, ToolCalls, ToolTime, TranscriptOptions,
    Transcripts,
};
