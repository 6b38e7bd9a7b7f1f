//! Acts: starts programs through the shim, watches and ends them, reads what they printed, and makes
//! the worktrees they work in.
//!
//! Invariant: decides nothing and remembers nothing. What it knows about a run is in the run's
//! directory and in the process table, so that an engine that starts again knows the same; and it is
//! the only crate, the shim aside, that starts programs.

pub mod ansi;
mod aside;
pub mod brief;
mod census;
pub mod channel;
mod checkouts;
pub mod checkpoint;
pub mod descriptors;
pub mod desktop;
pub mod detect;
pub mod errand;
pub mod gate;
mod git;
pub mod halt;
mod land;
pub mod launcher;
pub mod lines;
pub mod links;
pub mod merge;
pub mod pack;
pub mod permission;
pub mod radar;
pub mod reports;
pub mod review;
mod run_files;
pub mod runtime;
pub mod scan;
mod scratch;
pub mod search;
pub mod secrets;
mod secure;
mod shadow;
pub mod step;
pub mod supervision;
pub mod survey;
pub mod tidying;
pub mod token;
pub mod transcript;
pub mod trash;
pub mod vault;
mod watch;
pub mod worktree;

pub use launcher::{Found, LaunchError, Launcher};
pub use shim::proc::is_want;
/// Records beside a run, whole or not at all.
pub use shim::record;
