//! Agents, what they are made from, and what they print.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::agent::Agent;
use model::id::{AttemptId, MissionId, ShortId};
use model::status::AgentStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An agent with its derived status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentView {
    /// The agent as configured.
    #[serde(flatten)]
    pub agent: Agent,
    /// Its command line, as the captain would type it.
    pub command: String,
    /// What it is doing, since when and why.
    pub status: AgentStatus,
    /// The attempt it works on.
    pub current: Option<CurrentWork>,
    /// What its process tree uses; nothing when it runs nothing or was not yet measured.
    pub usage: Option<AgentUsageView>,
    /// The last line it printed in its current attempt.
    pub last_line: Option<String>,
}

/// The attempt an agent works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CurrentWork {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Which attempt of the mission, from 1.
    pub n: u32,
    /// The mission.
    pub mission_id: MissionId,
    /// Its readable id.
    pub short_id: ShortId,
    /// Its title.
    pub title: String,
    /// When the agent got the lease.
    #[schema(value_type = String, format = DateTime)]
    pub leased_at: Timestamp,
}

/// What an agent's process tree uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentUsageView {
    /// When it was measured.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Processor use, 100 = one core; nothing before the second measurement.
    pub cpu_percent: Option<f64>,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
    /// Processes in the tree.
    pub processes: u32,
    /// Bytes printed in this attempt.
    pub output_bytes: u64,
}

/// What an agent is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAgent {
    /// Its name, unique whatever the case.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub role: String,
    /// What it can do.
    #[serde(default)]
    pub skills: Vec<String>,
    /// The kind of runtime; only `command` in this version.
    #[serde(default = "command_runtime")]
    pub runtime: String,
    /// The command line, quoted as in a shell but not run by one; `{brief}` and `{brief_file}` are
    /// filled in. Exactly one of `command` and `preset` is needed.
    #[serde(default)]
    pub command: Option<String>,
    /// The name of a known agent program.
    #[serde(default)]
    pub preset: Option<String>,
    /// Variables set on top of the inherited environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where it starts when a mission names no repository.
    #[serde(default)]
    pub directory: Option<String>,
    /// Time between TERM and KILL, in seconds (1 to 120).
    #[serde(default)]
    pub grace_s: Option<u32>,
}

fn command_runtime() -> String {
    "command".to_owned()
}

/// Which of an attempt's outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of an attempt's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TranscriptChunk {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Which output.
    pub stream: OutputStream,
    /// Where this piece starts, in bytes.
    pub offset: u64,
    /// Where the next one starts.
    pub next_offset: u64,
    /// How many bytes there are so far.
    pub size: u64,
    /// The text; bytes that are not UTF-8 are replaced visibly, overlong lines are cut with a mark.
    pub text: String,
    /// Whether the attempt is over, so that nothing more comes.
    pub ended: bool,
}

/// What a command line would start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommandCheck {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Why it cannot be started; nothing when it can.
    pub problem: Option<String>,
}

/// A known agent program, found on this machine or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DetectedRuntime {
    /// The preset's name.
    pub preset: String,
    /// Its title.
    pub title: String,
    /// The program.
    pub program: String,
    /// Where it was found; nothing when it is not installed.
    pub path: Option<String>,
    /// The command line an agent would be created with.
    pub command: String,
    /// What to know about it.
    pub note: String,
}
