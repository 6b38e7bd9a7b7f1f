//! Remembers: the ledger of what happened, and the telemetry of what was measured.
//!
//! Invariant: the store knows no rule of the product. It never decides what may happen, never
//! starts a process and never talks to anybody; it is the only room that knows SQL.

pub mod datadir;
pub mod ledger;
pub mod telemetry;

pub use datadir::{DataDir, DataDirError};
pub use ledger::{
    Change, CommitError, Committed, Counts, DevlogFilter, EventFilter, Finding, Ledger,
    LedgerStatus, MissionFilter, OpenError, Page, ReadError, StoredAnswer, Verification,
};
pub use telemetry::{
    OpenError as TelemetryOpenError, RangeQuery, ReadError as TelemetryReadError, Recorded,
    Telemetry, TelemetryCounters, TelemetryOptions,
};
