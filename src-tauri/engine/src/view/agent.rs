//! Agents, what they are made from, and what they print.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::activity::Activity;
use model::agent::{Agent, Conduct};
use model::id::{AttemptId, MissionId, ShortId};
use model::process::Supervision;
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
    /// What its conversation is doing; nothing where none is under way.
    pub activity: Option<Activity>,
    /// Messages that wait for it.
    pub messages_waiting: u32,
    /// What it asks and waits for.
    pub requests_open: u32,
    /// How the processes of its attempt are kept together; nothing where it runs nothing.
    pub supervision: Option<Supervision>,
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// How a command line is driven: `command` (the default), `acp` or `headless`. A preset says it
    /// itself.
    #[serde(default)]
    pub runtime: Option<String>,
    /// The command line, quoted as in a shell but not run by one; `{brief}` and `{brief_file}` are
    /// filled in where it is a plain command or headless. Exactly one of `command` and `preset` is
    /// needed; the preset `custom` and those without a program need both.
    #[serde(default)]
    pub command: Option<String>,
    /// The name of a known agent program.
    #[serde(default)]
    pub preset: Option<String>,
    /// How the lines of a headless command line are read: `claude`, `codex`, `gemini`, `opencode`,
    /// `goose`, `copilot`, `chat`, `aider` or `text`. A preset says it itself.
    #[serde(default)]
    pub format: Option<String>,
    /// Whether a plain command has a terminal.
    #[serde(default)]
    pub terminal: bool,
    /// Variables set on top of the inherited environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where it starts when a mission names no repository.
    #[serde(default)]
    pub directory: Option<String>,
    /// Time between TERM and KILL, in seconds (1 to 120).
    #[serde(default)]
    pub grace_s: Option<u32>,
    /// What it may do, and what it is told beside its missions.
    #[serde(default)]
    pub conduct: Conduct,
}

/// What is to be different about an agent; what is not named stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EditAgent {
    /// Its name, unique whatever the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What it can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skills: Option<Vec<String>>,
    /// Its command line; how it is driven stays. Only while it has no attempt under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// All variables set on top of the inherited environment. Only while it has no attempt under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, String>>,
    /// Where it starts when a mission names no repository; `null` means a fresh directory per attempt.
    #[serde(deserialize_with = "super::given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub directory: Option<Option<String>>,
    /// Time between TERM and KILL, in seconds (1 to 120).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_s: Option<u32>,
    /// All of what it may do, and what it is told beside its missions. Holds from its next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conduct: Option<Conduct>,
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
