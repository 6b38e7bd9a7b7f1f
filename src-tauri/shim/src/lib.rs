//! One per attempt: starts the program, owns its process tree, and records how it ended.
//!
//! The binary `hivekeeper-shim` is this crate's [`run::run`]; the rest is what the engine needs to
//! look at the same processes from outside, when a shim is gone.
//!
//! Invariant: knows nothing of missions, agents, databases or networks; what it is asked to do and
//! what it found are files in one directory, and it never signals a process by its number alone.

pub mod confine;
pub mod control;
pub mod door;
pub mod input;
mod json_line;
pub mod keep;
pub mod limits;
pub mod proc;
pub mod program;
pub mod pump;
pub mod record;
pub mod redact;
pub mod run;
mod shape;
pub mod terminal;
pub mod tree;
mod values;
pub mod withheld;
