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
    },
    /// Passes when the file exists in the attempt's directory and is not empty.
    File {
        /// The path, relative to the attempt's directory.
        path: String,
    },
}

const fn timeout_default() -> u32 {
    GATE_TIMEOUT_S_DEFAULT
}

/// A line that describes no gate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateLineError {
    /// There is no `kind:` at the front.
    #[error("the gate '{0}' does not begin with its kind")]
    NoKind(String),
    /// The kind is not one of ours.
    #[error("'{0}' is not a kind of gate")]
    UnknownKind(String),
    /// Nothing follows the kind.
    #[error("the '{0}' gate names nothing to check")]
    Empty(String),
    /// The file is outside of the attempt's directory.
    #[error("the file '{0}' is not inside the attempt's directory")]
    Outside(String),
    /// The file is a directory by its path.
    #[error("'{0}' is a directory, not a file")]
    Directory(String),
}

impl GateLineError {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoKind(_) => "write 'command: cargo test' or 'file: out.txt'",
            Self::UnknownKind(_) => "use 'command' or 'file'",
            Self::Empty(kind) if kind == "command" => "such as 'command: cargo test'",
            Self::Empty(_) => "such as 'file: out.txt'",
            Self::Outside(_) => {
                "write its path from the directory the agent works in, such as 'file: out.txt'"
            }
            Self::Directory(_) => "name a file in it, such as 'file: out/report.md'",
        }
    }
}

impl GateSpec {
    /// Reads a line such as `command: cargo test` or `file: out.txt`.
    ///
    /// # Errors
    /// When the line has no known kind, names nothing, or leads out of the attempt's directory.
    pub fn parse(line: &str) -> Result<Self, GateLineError> {
        let (kind, rest) =
            line.split_once(':').ok_or_else(|| GateLineError::NoKind(line.to_owned()))?;
        let (kind, rest) = (kind.trim(), rest.trim());
        let gate = match kind {
            "command" => {
                Self::Command { command: rest.to_owned(), timeout_s: GATE_TIMEOUT_S_DEFAULT }
            }
            "file" => Self::File { path: rest.to_owned() },
            other => return Err(GateLineError::UnknownKind(other.to_owned())),
        };
        gate.checked()
    }

    /// Refuses a gate that could not decide anything.
    ///
    /// # Errors
    /// When it names nothing, or a file outside of the attempt's directory.
    pub fn checked(self) -> Result<Self, GateLineError> {
        match &self {
            Self::Command { command, .. } if command.trim().is_empty() => {
                Err(GateLineError::Empty("command".to_owned()))
            }
            Self::File { path } if path.trim().is_empty() => {
                Err(GateLineError::Empty("file".to_owned()))
            }
            Self::File { path } if leads_outside(path) => Err(GateLineError::Outside(path.clone())),
            Self::File { path } if is_directory(path) => {
                Err(GateLineError::Directory(path.clone()))
            }
            _ => Ok(self),
        }
    }

    /// The line a person would write for it.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Command { command, .. } => format!("command: {command}"),
            Self::File { path } => format!("file: {path}"),
        }
    }
}

fn leads_outside(path: &str) -> bool {
    use std::path::{Component, Path};
    Path::new(path)
        .components()
        .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Whether a path can only be a directory, whatever is there.
fn is_directory(path: &str) -> bool {
    path.ends_with('/') || path == "." || path.ends_with("/.")
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
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_gate_is_read_from_the_line_a_person_writes() {
        let check = |line: &str, label: Result<&str, ()>| {
            let read = GateSpec::parse(line).map(|gate| gate.label()).map_err(|_| ());
            assert_eq!(
                read.as_deref(),
                label.as_ref().map(|text| *text).map_err(|()| &()),
                "{line}"
            );
        };
        check("command: cargo test", Ok("command: cargo test"));
        check("command:sh -c 'a: b'", Ok("command: sh -c 'a: b'"));
        check("file: out/a.txt", Ok("file: out/a.txt"));
        check("file: ../secret", Err(()));
        check("file: /etc/passwd", Err(()));
        check("file: .", Err(()));
        check("file: out/", Err(()));
        check("file: ./out/.", Err(()));
        check("file: ./.out", Ok("file: ./.out"));
        check("command:   ", Err(()));
        check("cargo test", Err(()));
        check("url: x", Err(()));
    }

    proptest! {
        #[test]
        fn no_line_panics_and_every_accepted_one_reads_back(line: String) {
            if let Ok(gate) = GateSpec::parse(&line) {
                prop_assert_eq!(GateSpec::parse(&gate.label()).unwrap(), gate);
            }
        }
    }
}
