//! Decides what happens to missions: who works on what, and what a result means.
//!
//! Invariant: nothing else changes the state of a mission or an attempt, and deciding is pure:
//! [`decide::decide`] knows no clock, no file, no process and no database. The [`floor`] acts on
//! what was decided, and only on what the ledger has acknowledged.

mod attached;
pub mod decide;
pub mod entry;
pub mod fault;
pub mod floor;
mod halt;
pub mod import;
pub mod input;
pub mod judge;
mod recall;
mod run;
pub mod schedule;
pub mod state;
mod streaks;
pub mod template;
mod trouble;

pub use attached::{Attached, NewsLook, Poll, Say, Standing, Word};
pub use entry::{Command, HaltReport, Orchestrator, Outcome, Reconciled, Setup, StartError};
pub use floor::{FirstWords, NotReached};
pub use input::{Cycle, Input, Wish};
pub use streaks::Held;
