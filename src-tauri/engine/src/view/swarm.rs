//! The swarm as a whole: its load, its health, what it does next, and how it is stopped.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::choice::Choice;
use model::id::{AgentId, AttemptId, MissionId, ShortId};
use model::mission::MissionState;
use model::status::AgentState;
use model::swarm::{SwarmGrade, SwarmState};
use model::topic::Topic;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// The state and health of the swarm.
    pub swarm: SwarmView,
    /// How other machines reach this engine; nothing when they cannot.
    #[serde(default)]
    pub exposed: Option<String>,
}

/// The state and health of the swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SwarmView {
    /// What it is doing as a whole.
    pub state: SwarmState,
    /// How well it does, by its live agents alone; nothing when no agent is at work.
    pub grade: Option<SwarmGrade>,
    /// Agents with a live program.
    pub live: u64,
    /// What the grade is made from, worst first.
    pub because: Vec<String>,
    /// What to do about it.
    pub advice: Option<String>,
    /// Since when everything is stopped.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub halted_since: Option<Timestamp>,
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

/// What would be started if it were decided now; while everything is stopped, what would be started
/// once it goes on. Nothing is touched by asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Whether everything is stopped.
    pub halted: bool,
    /// How much memory is free, in percent; nothing before it was measured.
    pub memory_free_percent: Option<u8>,
    /// What would be started now, in that order.
    pub starts: Vec<PlannedStart>,
    /// What would go on waiting, first come first, at most 500.
    pub waiting: Vec<PlannedWait>,
    /// How many would go on waiting in all.
    pub waiting_count: u64,
    /// Reviews that agents would be asked for now.
    pub reviews: Vec<PlannedReview>,
}

/// A mission that would be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedStart {
    /// The mission.
    pub mission_id: MissionId,
    /// Its readable id.
    pub short_id: ShortId,
    /// Its title.
    pub title: String,
    /// The agent it would go to.
    pub agent_id: AgentId,
    /// That agent's name.
    pub agent_name: String,
    /// Why.
    pub choice: Choice,
}

/// A mission that would go on waiting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedWait {
    /// The mission.
    pub mission_id: MissionId,
    /// Its readable id.
    pub short_id: ShortId,
    /// Its title.
    pub title: String,
    /// What it waits for.
    pub reason: String,
}

/// A review that an agent would be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedReview {
    /// The attempt whose work is to be reviewed.
    pub attempt_id: AttemptId,
    /// The gate's place, from 0.
    pub index: u32,
    /// The reviewing agent.
    pub agent_id: AgentId,
    /// Its name.
    pub agent_name: String,
}

/// Why everything is to be stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HaltRequest {
    /// In the captain's words.
    pub note: Option<String>,
}

/// What the emergency stop did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HaltView {
    /// Process trees that were found alive.
    pub trees: u64,
    /// Processes that were ended.
    pub ended: u64,
    /// Processes that are still there.
    pub survivors: Vec<Survivor>,
    /// How long it took to end them, in milliseconds.
    pub took_ms: u64,
    /// Whether it is in the ledger; nothing is started either way.
    pub recorded: bool,
    /// Why it is not in the ledger.
    pub problem: Option<String>,
}

/// A process that could not be ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Survivor {
    /// Its id.
    pub pid: u32,
    /// Its program.
    pub program: String,
}

/// A question to the agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTopic {
    /// The question, in one line.
    pub title: String,
    /// What there is to know about it.
    #[serde(default)]
    pub text: String,
    /// What can be voted for, at least two.
    pub options: Vec<String>,
}

/// An agent's vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVote {
    /// The agent's id or name.
    pub agent: String,
    /// What it votes for.
    pub option: String,
    /// Why.
    pub rationale: String,
}

/// How a topic is to be decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CloseTopic {
    /// The option the captain takes; nothing takes the one with most votes.
    pub option: Option<String>,
    /// Why, in the captain's words.
    pub note: Option<String>,
}

/// A question with the votes on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopicView {
    /// The question, and how it was decided.
    pub topic: Topic,
    /// One vote per agent.
    pub votes: Vec<VoteView>,
}

/// A vote with the agent's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VoteView {
    /// The agent.
    pub agent_id: AgentId,
    /// Its name; nothing once it is removed.
    pub agent_name: Option<String>,
    /// What it votes for.
    pub option: String,
    /// Why.
    pub rationale: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}
