//! The words of the product as types, and the state tables.
//!
//! Invariant: no I/O. The model never opens a file, a socket or a database and never starts a
//! process; the only window to the outside is the [`clock`].

pub mod activity;
pub mod actor;
pub mod agent;
pub mod attempt;
pub mod choice;
pub mod clock;
pub mod config;
pub mod conversation;
pub mod devlog;
pub mod effect;
pub mod event;
pub mod gate;
pub mod gate_line;
pub mod health;
pub mod hook;
pub mod id;
pub mod inbox;
pub mod login;
pub mod message;
pub mod mission;
pub mod policy;
pub mod process;
pub mod refusal;
pub mod rescue;
pub mod settings;
pub mod signal;
pub mod status;
pub mod swarm;
pub mod token;
pub mod topic;
pub mod trace;
pub mod transition;
pub mod trash;
pub mod usage;

/// A point in time, UTC, RFC 3339 in every interface.
pub use jiff::Timestamp;
