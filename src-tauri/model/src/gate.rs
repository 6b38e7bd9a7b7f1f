//! Gates decide by effect; evidence says what they proved.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How long a command gate may take unless its mission says otherwise, in seconds.
pub const GATE_TIMEOUT_S_DEFAULT: u32 = 600;
/// How much of a gate's output is shown and stored in the ledger, in bytes; the rest stays in its file.
pub const GATE_OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// How far evidence can be trusted, weakest first.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Nothing was proved.
    #[default]
    None,
    /// The agent says so: it ended with exit code 0.
    SelfReport,
    /// A gate run by the engine passed.
    Observed,
    /// Another agent or an outside system confirmed it.
    Independent,
    /// The captain accepted it.
    Human,
}

impl Grade {
    /// Every grade, weakest first.
    pub const ALL: [Self; 5] =
        [Self::None, Self::SelfReport, Self::Observed, Self::Independent, Self::Human];

    /// The word used in storage and interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SelfReport => "self_report",
            Self::Observed => "observed",
            Self::Independent => "independent",
            Self::Human => "human",
        }
    }
}

/// What a gate looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GateSpec {
    /// Passes when the command line, run by `sh -c` in the attempt's directory, exits with 0.
    Command {
        /// The command line.
        command: String,
        /// How long it may take, in seconds.
        #[serde(default = "timeout_default")]
        timeout_s: u32,
        /// A line of its output that proves how many checks ran, with `{n}` where the number
        /// stands, such as `{n} passed`. Where the line is missing or says 0, the gate has failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<String>,
    },
    /// Passes when the file exists in the attempt's directory and is not empty.
    File {
        /// The path, relative to the attempt's directory.
        path: String,
    },
    /// Passes when the attempt changed something.
    DiffNotEmpty,
    /// Passes when every changed file matches one of these patterns.
    DiffWithin {
        /// Patterns such as `src/**`, relative to the repository's root.
        paths: Vec<String>,
    },
    /// Passes when no file the attempt changed has more lines than this.
    MaxLines {
        /// How many lines a file may have.
        lines: u32,
    },
    /// Passes when no block of lines the attempt added is there twice.
    NoDuplicates {
        /// How many equal lines make a block.
        lines: u32,
    },
    /// Passes when nothing the attempt added looks like a secret.
    NoSecrets,
    /// Passes when a build server posts a passed result for the attempt's commit under this name.
    Ci {
        /// The name the result is posted under.
        name: String,
    },
    /// Passes when another agent, asked to review the work, approves of it.
    Reviewer {
        /// The reviewing agent's name; nothing means any other agent with the skill `review`.
        agent: Option<String>,
    },
    /// Passes when the captain accepts the work.
    Human {
        /// What the captain is to look at.
        question: String,
    },
}

const fn timeout_default() -> u32 {
    GATE_TIMEOUT_S_DEFAULT
}

/// Who answers a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answerer {
    /// The engine, as soon as the attempt has ended.
    Engine,
    /// Another agent.
    Agent,
    /// A build server.
    Ci,
    /// The captain.
    Captain,
}

impl GateSpec {
    /// Every kind, as the words a gate's line begins with.
    pub const KINDS: [&str; 10] = [
        "command",
        "file",
        "diff",
        "paths",
        "max-lines",
        "no-duplicates",
        "no-secrets",
        "ci",
        "reviewer",
        "human",
    ];

    /// The word its line begins with.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Command { .. } => "command",
            Self::File { .. } => "file",
            Self::DiffNotEmpty => "diff",
            Self::DiffWithin { .. } => "paths",
            Self::MaxLines { .. } => "max-lines",
            Self::NoDuplicates { .. } => "no-duplicates",
            Self::NoSecrets => "no-secrets",
            Self::Ci { .. } => "ci",
            Self::Reviewer { .. } => "reviewer",
            Self::Human { .. } => "human",
        }
    }

    /// Who answers it.
    #[must_use]
    pub const fn answerer(&self) -> Answerer {
        match self {
            Self::Ci { .. } => Answerer::Ci,
            Self::Reviewer { .. } => Answerer::Agent,
            Self::Human { .. } => Answerer::Captain,
            _ => Answerer::Engine,
        }
    }

    /// Whether it looks at what changed, and so needs a repository.
    #[must_use]
    pub const fn needs_repository(&self) -> bool {
        matches!(
            self,
            Self::DiffNotEmpty
                | Self::DiffWithin { .. }
                | Self::MaxLines { .. }
                | Self::NoDuplicates { .. }
                | Self::NoSecrets
        )
    }

    /// The evidence it gives when it passes. A gate that only keeps something out proves nothing
    /// about the work being done.
    #[must_use]
    pub const fn proves(&self) -> Grade {
        match self {
            Self::Command { .. } | Self::File { .. } => Grade::Observed,
            Self::DiffNotEmpty
            | Self::DiffWithin { .. }
            | Self::MaxLines { .. }
            | Self::NoDuplicates { .. }
            | Self::NoSecrets => Grade::SelfReport,
            Self::Ci { .. } | Self::Reviewer { .. } => Grade::Independent,
            Self::Human { .. } => Grade::Human,
        }
    }
}

/// What a gate found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// It did not end in time.
    TimedOut,
    /// It could not be run at all.
    Broken,
}

impl Verdict {
    /// The word used in storage and interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
        }
    }
}

/// One run of one gate, with what it printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateResult {
    /// Which gate of the mission, from 0.
    pub index: u32,
    /// The gate as it was when it ran.
    pub gate: GateSpec,
    /// What it found.
    pub verdict: Verdict,
    /// The exit code of a command that ended by itself.
    pub exit_code: Option<i32>,
    /// Why, in one line a person reads.
    pub reason: String,
    /// The end of what it printed, at most [`GATE_OUTPUT_BYTES_MAX`].
    pub output: String,
    /// Bytes of output in all, of which `output` may be only the end.
    pub output_bytes: u64,
    /// The commit it looked at, where the mission works on a repository.
    pub commit: Option<String>,
    /// The tree it looked at; evidence for another tree than the work's last one is stale.
    #[serde(default)]
    pub tree: Option<String>,
    /// How many checks its output proves, where it declares the line that says so.
    #[serde(default)]
    pub checks: Option<u64>,
    /// Who answered, where it was not the engine: an agent's name, a build's address, the captain.
    #[serde(default)]
    pub by: Option<String>,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}
