//! Remembers: the ledger of what happened, and the telemetry of what was measured.
//!
//! Invariant: the store knows no rule of the product. It never decides what may happen, never
//! starts a process and never talks to anybody; it is the only room that knows SQL.

pub mod datadir;
pub mod ledger;
pub mod telemetry;

pub use datadir::{DataDir, DataDirError};
pub use ledger::{
    AgentCounts, Change, CommitError, Committed, Counts, DevlogFilter, EventFilter, Finding,
    Halted, InboxCounts, Ledger, LedgerStatus, MessageFilter, MissionFilter, MissionStanding,
    MissionText, OpenError, Page, PastAttempt, ReadError, RequestFilter, StoredAnswer, TrashFilter,
    Verification,
};
pub use telemetry::{
    OpenError as TelemetryOpenError, RangeQuery, ReadError as TelemetryReadError, Recorded,
    Telemetry, TelemetryCounters, TelemetryOptions,
};
