//! Tells: devlogs, reports and charts, written from what is stored.
//!
//! [`Journal`] follows the ledger and writes a devlog for every attempt that is over or in review, and
//! a short one for what follows; [`report`] renders a mission or a day. Both are functions of facts: the same ledger and telemetry give the
//! same text and the same numbers, and what was not measured is said to be missing, never zero.
//!
//! Invariant: the journal never changes what it tells of. It writes devlogs and nothing else, and
//! text of missions and agents reaches a reader only as text.

mod chart;
mod closing;
mod day;
mod devlog;
mod facts;
mod follower;
mod mission;
mod page;
mod report;
mod text;

pub use crate::chart::ChartError;
pub use crate::devlog::devlog_id;
pub use crate::follower::{CURSOR, Journal};
pub use crate::report::{Format, Rendered, ReportError, ReportOf, export, report};

/// What could not be read while gathering facts.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// From the ledger.
    #[error("read the ledger")]
    Ledger(#[from] store::ReadError),
    /// From telemetry.
    #[error("read telemetry")]
    Telemetry(#[from] store::telemetry::ReadError),
}
