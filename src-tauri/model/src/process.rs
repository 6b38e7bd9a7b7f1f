//! What the engine and the shim tell each other, as files in a run's directory.
//!
//! ```text
//! RUN/spec.json     written by the engine before the shim is started (0600)
//! RUN/stdin         what the program reads on standard input, if anything
//! RUN/process.json  written by the shim once the program runs
//! RUN/stdout.log    append-only; the program holds the descriptor itself
//! RUN/stderr.log    likewise
//! RUN/exit.json     written by the shim, complete or not at all, when the whole tree is gone
//! ```

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// File names in a run's directory.
pub mod file {
    /// What to start: [`super::LaunchSpec`].
    pub const SPEC: &str = "spec.json";
    /// What the program reads on standard input.
    pub const STDIN: &str = "stdin";
    /// Who runs: [`super::ProcessIdentity`].
    pub const PROCESS: &str = "process.json";
    /// What the program printed.
    pub const STDOUT: &str = "stdout.log";
    /// What the program complained about.
    pub const STDERR: &str = "stderr.log";
    /// How it ended: [`super::ExitRecord`].
    pub const EXIT: &str = "exit.json";
}

/// The variable in a run's environment by which its processes are recognised.
pub const MARKER_VARIABLE: &str = "HIVEKEEPER_RUN";

/// What the shim is asked to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// The program: a path, or a name looked up in `PATH`.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables set on top of the inherited environment.
    pub env: Vec<(String, String)>,
    /// Where it starts.
    pub directory: String,
    /// Whether standard input is the file [`file::STDIN`]; otherwise it is empty.
    pub stdin: bool,
    /// Time between TERM and KILL when it is stopped, in milliseconds.
    pub grace_ms: u64,
    /// The value of [`MARKER_VARIABLE`], unique to this run.
    pub marker: String,
}

/// One process that cannot be confused with a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct ProcessRef {
    /// The process id.
    pub pid: u32,
    /// When the kernel started it, in clock ticks since boot.
    pub start_ticks: u64,
}

/// The processes of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProcessIdentity {
    /// The shim, root of the tree.
    pub shim: ProcessRef,
    /// The program itself.
    pub program: ProcessRef,
    /// The boot the process ids belong to.
    pub boot_id: String,
    /// The value of [`MARKER_VARIABLE`].
    pub marker: String,
    /// When the program was started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Exit {
    /// By itself, with this code.
    Code {
        /// The exit code.
        code: i32,
    },
    /// By a signal it did not get from us.
    Signal {
        /// The signal's number.
        signal: i32,
    },
    /// Because it was asked to stop.
    Stopped {
        /// Whether the grace ran out and it was killed.
        killed: bool,
    },
    /// It never ran.
    NotStarted {
        /// Why, in words a person reads.
        reason: String,
    },
    /// The machine was restarted while it ran.
    Rebooted,
    /// It vanished without leaving a record.
    Lost {
        /// What is known about it.
        reason: String,
    },
}

impl Exit {
    /// The exit code of a program that ended by itself.
    #[must_use]
    pub const fn code(&self) -> Option<i32> {
        match self {
            Self::Code { code } => Some(*code),
            _ => None,
        }
    }

    /// Whether the program claims to have done what it was asked.
    #[must_use]
    pub const fn claims_completion(&self) -> bool {
        matches!(self, Self::Code { code: 0 })
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code { code } => write!(f, "ended with exit code {code}"),
            Self::Signal { signal } => write!(f, "was ended by signal {signal}"),
            Self::Stopped { killed: false } => f.write_str("was stopped"),
            Self::Stopped { killed: true } => f.write_str("was killed after its grace ran out"),
            Self::NotStarted { reason } => write!(f, "did not start: {reason}"),
            Self::Rebooted => f.write_str("was ended by a restart of the machine"),
            Self::Lost { reason } => write!(f, "was lost: {reason}"),
        }
    }
}

/// The end of a run, written when no process of it is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExitRecord {
    /// How it ended.
    pub exit: Exit,
    /// When the tree was empty.
    #[schema(value_type = String, format = DateTime)]
    pub ended_at: Timestamp,
    /// Processor time of the whole tree, in milliseconds.
    pub cpu_ms: u64,
    /// The largest resident memory of any one process of the tree, in bytes.
    pub memory_peak_bytes: u64,
    /// Processes that were still alive after KILL; must be empty.
    pub survivors: Vec<ProcessRef>,
}
