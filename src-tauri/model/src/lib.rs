//! The words of the product as types, and the state tables.
//!
//! Invariant: no I/O. The model never opens a file, a socket or a database and never starts a
//! process; the only window to the outside is the [`clock`].

pub mod agent;
pub mod attempt;
pub mod clock;
pub mod devlog;
pub mod effect;
pub mod event;
pub mod gate;
pub mod id;
pub mod mission;
pub mod process;
pub mod refusal;
pub mod signal;
pub mod status;
pub mod transition;

/// A point in time, UTC, RFC 3339 in every interface.
pub use jiff::Timestamp;
