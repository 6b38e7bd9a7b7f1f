//! The words of work and its places: worktrees, the trash, checkpoints, scans, build servers.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use model::id::AttemptId;

use super::given;

#[derive(Debug, Subcommand)]
pub(crate) enum Worktree {
    /// List the worktrees with what keeps each of them.
    #[command(after_help = "Example: hivekeeper worktree list")]
    List {
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Move worktrees that lose nothing to the trash; says only which ones without --apply.
    #[command(after_help = "Example: hivekeeper worktree clean --apply")]
    Clean {
        /// Do it.
        #[arg(long)]
        apply: bool,
        /// Only the worktrees of these attempts; may be repeated.
        #[arg(long, value_name = "ATTEMPT")]
        only: Vec<AttemptId>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Trash {
    /// List what is in the trash.
    #[command(after_help = "Example: hivekeeper trash list")]
    List {
        /// Where the page before ended.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Put something back; a mission comes back with its worktrees.
    #[command(after_help = "Example: hivekeeper trash restore ID")]
    Restore {
        /// Its id, as 'trash list' prints it.
        #[arg(value_name = "ID", value_parser = given)]
        item: String,
    },
    /// Delete something for good.
    #[command(after_help = "Example: hivekeeper trash purge ID --yes")]
    Purge {
        /// Its id, as 'trash list' prints it.
        #[arg(value_name = "ID", value_parser = given)]
        item: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Checkpoint {
    /// List the checkpoints of a mission, oldest first.
    #[command(after_help = "Example: hivekeeper checkpoint list M-7K2P")]
    List {
        /// The mission.
        #[arg(value_parser = given)]
        mission: String,
    },
    /// Keep the work as it is now.
    #[command(
        after_help = "Example: hivekeeper checkpoint make M-7K2P --note 'before the rewrite'"
    )]
    Make {
        /// The mission.
        #[arg(value_parser = given)]
        mission: String,
        /// What for, in one line.
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Put the work back as it was; what is there now is kept as a checkpoint of its own.
    #[command(after_help = "Example: hivekeeper checkpoint restore ID")]
    Restore {
        /// Its id, as 'checkpoint list' prints it.
        #[arg(value_name = "ID", value_parser = given)]
        checkpoint: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Scan {
    /// The directory.
    pub(crate) directory: PathBuf,
    /// How many lines a file may have.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_lines: Option<u32>,
    /// How many equal lines make a duplicate; blank ones do not count.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..))]
    pub(crate) block: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ci {
    /// Hand in one result; a gate 'ci: NAME' of the mission waits for it.
    #[command(after_help = "Example: hivekeeper ci post --mission M-7K2P --name build \
        --status passed --commit \"$(git rev-parse HEAD)\"")]
    Post(PostCi),
}

#[derive(Debug, Args)]
pub(crate) struct PostCi {
    /// The mission.
    #[arg(long, value_name = "ID", value_parser = given)]
    pub(crate) mission: String,
    /// The name of the check.
    #[arg(long)]
    pub(crate) name: String,
    /// What was found.
    #[arg(long, value_enum)]
    pub(crate) status: CiStatus,
    /// The commit that was looked at, in full or at least 7 characters of it.
    #[arg(long)]
    pub(crate) commit: String,
    /// Where a person reads more.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// The end of what it printed: the text itself, @FILE, or - for standard input.
    #[arg(long, value_name = "TEXT|@FILE|-", allow_hyphen_values = true)]
    pub(crate) output: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CiStatus {
    /// Everything holds.
    Passed,
    /// Something does not.
    Failed,
}
