//! Decides what happens to missions: who works on what, and what a result means.
//!
//! Invariant: nothing else changes the state of a mission or an attempt, and deciding is pure:
//! [`decide::decide`] knows no clock, no file, no process and no database. The [`floor`] acts on
//! what was decided, and only on what the ledger has acknowledged.

pub mod decide;
pub mod floor;
pub mod input;
pub mod judge;
pub mod run;
pub mod schedule;
pub mod state;
pub mod template;

pub use input::Input;
pub use run::{Command, Orchestrator, Outcome, Setup, StartError};
