//! The words of the whole swarm: stopping it, putting it right, trying it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Halt {
    /// Why, in your words; kept in the ledger.
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Recover {
    /// Queue every failed mission again.
    #[command(after_help = "Example: hivekeeper recover restart-failed")]
    RestartFailed,
    /// Move every failed mission to the trash.
    #[command(after_help = "Example: hivekeeper recover clear-failed")]
    ClearFailed,
    /// Compare the engine's own picture with the ledger, and take up what nobody works on.
    #[command(after_help = "Example: hivekeeper recover reconcile")]
    Reconcile,
}

#[derive(Debug, Args)]
pub(crate) struct Diagnostics {
    /// The file; - or nothing means standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Demo {
    /// Start the demo swarm.
    #[command(after_help = "Example: hivekeeper demo start")]
    Start,
    /// Stop the demo swarm and remove everything it made.
    #[command(after_help = "Example: hivekeeper demo remove")]
    Remove,
}
