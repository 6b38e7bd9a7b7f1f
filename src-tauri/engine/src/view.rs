//! What the engine shows: facts from the ledger with the status derived from them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::agent::Agent;
use model::attempt::Attempt;
use model::gate::{GateResult, Grade};
use model::id::{AgentId, AttemptId, MissionId, ShortId};
use model::mission::{Mission, MissionState};
use model::status::{AgentState, AgentStatus, Waiting};
use model::transition::MissionInput;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Listing<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// What to pass as `cursor` for the next page; nothing at the end.
    pub next: Option<String>,
}

/// The whole swarm at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// The engine's version.
    pub version: String,
    /// The data directory.
    pub data_dir: String,
    /// When the engine was started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// The time this was read.
    #[schema(value_type = String, format = DateTime)]
    pub now: Timestamp,
    /// Agents by state; states nobody is in are left out.
    pub agents: BTreeMap<AgentState, u64>,
    /// Missions by state; states no mission is in are left out.
    pub missions: BTreeMap<MissionState, u64>,
    /// Missions that wait for the captain.
    pub needs_you: u64,
    /// The machine's load; nothing before the first measurement.
    pub machine: Option<MachineView>,
    /// The engine's own use; nothing before the first measurement.
    pub engine: Option<EngineUsage>,
    /// Whether the demo swarm is there.
    pub demo: bool,
    /// How many events the ledger holds.
    pub events: u64,
}

/// The machine's load at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MachineView {
    /// When it was measured.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Processor use, 100 = all cores; nothing before the second measurement.
    pub cpu_percent: Option<f64>,
    /// Memory in use, in bytes.
    pub memory_used_bytes: u64,
    /// Memory installed, in bytes.
    pub memory_total_bytes: u64,
    /// Space left on the disk of the data directory, in bytes.
    pub disk_free_bytes: Option<u64>,
}

/// What the engine itself uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EngineUsage {
    /// Processor use, 100 = one core.
    pub cpu_percent: Option<f64>,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
}

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

/// A mission with what is derived from its facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MissionView {
    /// The mission.
    #[serde(flatten)]
    pub mission: Mission,
    /// The chosen agent's name, or that of the agent at work.
    pub agent_name: Option<String>,
    /// Why a queued mission has not started.
    pub waiting: Option<Waiting>,
    /// One line that says why it stands where it stands.
    pub reason: Option<String>,
    /// What the captain may ask for now.
    pub allowed: Vec<MissionInput>,
}

/// Everything about one mission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MissionDetail {
    /// The mission.
    #[serde(flatten)]
    pub view: MissionView,
    /// What is to be done.
    pub brief: String,
    /// What was proved.
    pub evidence: Evidence,
    /// Its attempts, latest first.
    pub attempts: Vec<AttemptView>,
}

/// What was proved for a mission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// The strongest evidence of the last verified attempt.
    pub grade: Grade,
    /// What its policy asks for.
    pub needed: Grade,
    /// Whether it is enough.
    pub enough: bool,
}

/// An attempt with its gates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AttemptView {
    /// The attempt.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// The agent's name; nothing once the agent is removed.
    pub agent: Option<String>,
    /// The exit code of a program that ended by itself.
    pub exit_code: Option<i32>,
    /// How the program ended, in words.
    pub ended: Option<String>,
    /// What the gates found, in their order.
    pub gates: Vec<GateResult>,
    /// Bytes on standard output so far.
    pub stdout_bytes: u64,
    /// Bytes on standard error so far.
    pub stderr_bytes: u64,
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

/// What a mission is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMission {
    /// One line of text.
    pub title: String,
    /// What is to be done, at most 1 MiB.
    pub brief: String,
    /// The agent's id or name; nothing means any that is free.
    #[serde(default)]
    pub agent: Option<String>,
    /// A git repository, by its directory.
    #[serde(default)]
    pub repository: Option<String>,
    /// Gates, one line each: `command: cargo test`, `file: out.txt`.
    #[serde(default)]
    pub gates: Vec<String>,
    /// How urgent it is.
    #[serde(default)]
    pub priority: model::mission::Priority,
    /// How much proof *done* needs.
    #[serde(default)]
    pub policy: model::mission::Policy,
    /// How often a failed attempt is followed by another one (0 to 20).
    #[serde(default)]
    pub retries: u32,
    /// Keep it as a draft instead of queueing it.
    #[serde(default)]
    pub draft: bool,
}

/// What the captain asks of a mission.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Why, in the captain's words; kept with the mission.
    #[serde(default)]
    pub note: Option<String>,
}

/// Which agent is to work on a mission.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    /// The agent's id or name; nothing means any that is free.
    pub agent: Option<String>,
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

/// What is at a path the captain names as repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepositoryView {
    /// The root of the checkout.
    pub root: String,
    /// The commit an attempt would start from.
    pub head_commit: String,
    /// The branch that is checked out.
    pub branch: Option<String>,
    /// Files that are not committed and so would not be in an attempt's worktree.
    pub uncommitted_files: u64,
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

/// One thing `doctor` looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub grade: CheckGrade,
    /// What was found.
    pub found: String,
    /// What to do about it; nothing when nothing needs doing.
    pub fix: Option<String>,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckGrade {
    /// As it should be.
    Ok,
    /// Works, with less than there could be.
    Degraded,
    /// Does not work.
    Failed,
}

/// The demo swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DemoView {
    /// Its agents.
    pub agents: Vec<AgentId>,
    /// Its missions.
    pub missions: Vec<MissionId>,
    /// The scratch repository they work in.
    pub repository: String,
}
