//! What the engine and the shim tell each other, as files in a run's directory.
//!
//! ```text
//! RUN/spec.json     written by the engine before the shim is started (0600)
//! RUN/stdin         what the program reads on standard input, if anything
//! RUN/process.json  written by the shim once the program runs
//! RUN/stdout.log    append-only, written by the shim; its beginning may be given up (a hole)
//! RUN/stderr.log    likewise; empty where the program runs in a terminal, which has one stream
//! RUN/stdout.idx    when which part of stdout.log was written: [`INDEX_RECORD_BYTES`] a record
//! RUN/stderr.idx    likewise
//! RUN/stdin.log     what was sent to the program while it ran; of a terminal only how much was typed
//! RUN/control.sock  where the engine and the shim talk while the program runs (0600)
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
    /// When which part of [`STDOUT`] was written.
    pub const STDOUT_INDEX: &str = "stdout.idx";
    /// When which part of [`STDERR`] was written.
    pub const STDERR_INDEX: &str = "stderr.idx";
    /// What was sent to the program while it ran, secrets taken out.
    pub const STDIN_LOG: &str = "stdin.log";
    /// Where the engine and the shim talk while the program runs.
    pub const CONTROL: &str = "control.sock";
    /// How it ended: [`super::ExitRecord`].
    pub const EXIT: &str = "exit.json";
}

/// The length of one record of an index, in bytes: the offset in the output and the moment in
/// milliseconds since 1970, both as little-endian `u64`.
pub const INDEX_RECORD_BYTES: usize = 16;

/// How much of each stream is kept where [`Limits::output_bytes`] says nothing, in bytes.
pub const OUTPUT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;

/// The variable in a run's environment by which its processes are recognised.
pub const MARKER_VARIABLE: &str = "HIVEKEEPER_RUN";

/// The variable by which the engine tells the shim how many files could be open before it raised that
/// limit for itself.
pub const OPEN_FILES_VARIABLE: &str = "HIVEKEEPER_OPEN_FILES";

/// What the shim is asked to start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// The program: a path, or a name looked up in `PATH`.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables set on top of the inherited environment. Those whose names call them secrets are
    /// not written to [`file::SPEC`]; the shim is given them in its own environment.
    pub env: Vec<(String, String)>,
    /// The names of those that the shim was given; the program has them from there.
    #[serde(default)]
    pub inherited: Vec<String>,
    /// The places of the arguments that hold secrets: what stands there in [`file::SPEC`] are not they;
    /// the shim was given them in its environment.
    #[serde(default)]
    pub withheld: Vec<u32>,
    /// The names of variables whose values are secrets, whatever they are called.
    #[serde(default)]
    pub secret: Vec<String>,
    /// Where it starts.
    pub directory: String,
    /// Whether standard input is the file [`file::STDIN`]; otherwise it is empty.
    pub stdin: bool,
    /// Time between TERM and KILL when it is stopped, in milliseconds.
    pub grace_ms: u64,
    /// The value of [`MARKER_VARIABLE`], unique to this run.
    pub marker: String,
    /// Whether a protocol is spoken over standard input and output: input comes through
    /// [`file::CONTROL`], and output that was not read yet is never given up.
    #[serde(default)]
    pub channel: bool,
    /// The terminal it runs in; its output is one stream then. Nothing runs it without one.
    #[serde(default)]
    pub terminal: Option<TerminalSize>,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
    /// What it is kept from; nothing keeps it from nothing.
    #[serde(default)]
    pub sandbox: Option<Sandbox>,
    /// What a sandboxed program sees, to read only, of what is hidden from it otherwise.
    #[serde(default)]
    pub shown: Vec<String>,
    /// How its processes are kept together.
    #[serde(default)]
    pub supervision: Supervision,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct TerminalSize {
    /// Characters in a line.
    pub cols: u16,
    /// Lines.
    pub rows: u16,
}

impl Default for TerminalSize {
    /// 80 by 24, as terminals have been since the VT100.
    fn default() -> Self {
        Self { cols: 80, rows: 24 }
    }
}

/// What a run may use. Where nothing is said, the system's own limits hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// Memory of all its processes together, in bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// How many processes it may have at a time.
    #[serde(default)]
    pub processes: Option<u32>,
    /// Its share of the processor beside others, 1 to 10000; 100 is the ordinary one.
    #[serde(default)]
    pub cpu_weight: Option<u32>,
    /// How many files one process of it may have open.
    #[serde(default)]
    pub open_files: Option<u32>,
    /// How much of each output stream is kept, in bytes; [`OUTPUT_BYTES_DEFAULT`] where nothing is
    /// said. The oldest goes first.
    #[serde(default)]
    pub output_bytes: Option<u64>,
}

/// What of the person's home a sandboxed program sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HomeAccess {
    /// All of it, to read and to write.
    Full,
    /// All of it, to read only.
    #[default]
    ReadOnly,
    /// Nothing of it.
    Hidden,
}

/// What a program is kept from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Sandbox {
    /// The directories and files it may write, besides the one it starts in.
    pub writable: Vec<String>,
    /// What it sees of the person's home.
    pub home: HomeAccess,
    /// Whether it may use the network.
    pub network: bool,
}

impl Default for Sandbox {
    /// Writes where it starts, reads everything, uses the network.
    fn default() -> Self {
        Self { writable: Vec::new(), home: HomeAccess::default(), network: true }
    }
}

/// How the processes of a run are kept together, the surest way first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Supervision {
    /// A control group of its own: nothing can leave it.
    Cgroup,
    /// A process namespace of its own: ends with its first process.
    Namespace,
    /// A session below a subreaper, and the marker in the environment.
    #[default]
    Session,
    /// A process group only.
    Group,
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
    /// It was ended because it used more than its [`Limits`] allow.
    OverLimit {
        /// What was used and what the limit is, in words a person reads.
        reason: String,
    },
    /// A conversation came to its end; its processes were ended after it.
    Answered {
        /// Whether the agent says that it did what it was asked.
        completed: bool,
        /// Why the conversation ended, in words a person reads.
        reason: String,
    },
    /// It has to be logged in first; its processes were ended after it had said so.
    NoLogin {
        /// What it said, in words a person reads.
        reason: String,
    },
    /// The captain called its turn off, and nothing waited that it could have gone on with.
    CalledOff,
    /// Its context became too full, and it wrote down what the next attempt needs to know.
    HandedOver {
        /// What it wrote down.
        text: String,
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
        matches!(self, Self::Code { code: 0 } | Self::Answered { completed: true, .. })
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
            Self::OverLimit { reason } => write!(f, "was ended: {reason}"),
            Self::Answered { reason, .. } => write!(f, "ended its conversation: {reason}"),
            Self::NoLogin { reason } => write!(f, "has to be logged in: {reason}"),
            Self::CalledOff => f.write_str("ended, because you called its turn off"),
            Self::HandedOver { .. } => f.write_str("handed over, because its context was full"),
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
    /// Output of both streams that was not kept, in bytes: the oldest, where more came than is kept,
    /// or the newest, where the disk could not take it.
    #[serde(default)]
    pub given_up_bytes: u64,
    /// How many secrets were taken out of the output.
    #[serde(default)]
    pub redacted: u64,
}

impl ExitRecord {
    /// A record of an end of which nothing else is known.
    #[must_use]
    pub const fn bare(exit: Exit, ended_at: Timestamp) -> Self {
        Self {
            exit,
            ended_at,
            cpu_ms: 0,
            memory_peak_bytes: 0,
            survivors: Vec::new(),
            given_up_bytes: 0,
            redacted: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_of_an_older_version_is_read_with_what_it_did_not_say() {
        let text = r#"{"program":"sh","args":[],"env":[],"directory":"/","stdin":false,"grace_ms":1,"marker":"m"}"#;
        let spec: LaunchSpec = serde_json::from_str(text).unwrap();
        assert_eq!((spec.channel, spec.terminal, spec.sandbox), (false, None, None));
        assert_eq!((spec.limits, spec.supervision), (Limits::default(), Supervision::Session));
        let sandbox: Sandbox = serde_json::from_str("{}").unwrap();
        assert_eq!(sandbox, Sandbox::default());
    }

    #[test]
    fn what_was_called_off_or_has_to_be_logged_in_claims_nothing_and_says_so() {
        let login = Exit::NoLogin { reason: "401".to_owned() };
        assert_eq!(login.to_string(), "has to be logged in: 401");
        assert_eq!(Exit::CalledOff.to_string(), "ended, because you called its turn off");
        assert!(!login.claims_completion() && !Exit::CalledOff.claims_completion());
        assert_eq!(serde_json::to_string(&Exit::CalledOff).unwrap(), r#"{"kind":"called_off"}"#);
    }

    #[test]
    fn a_conversation_claims_completion_only_where_the_agent_did() {
        let answered = |completed| Exit::Answered { completed, reason: "it said so".to_owned() };
        assert!(answered(true).claims_completion());
        assert!(!answered(false).claims_completion());
        assert_eq!(answered(true).code(), None);
        assert_eq!(answered(true).to_string(), "ended its conversation: it said so");
    }
}
