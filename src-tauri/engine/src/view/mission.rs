//! Missions with what is derived from their facts, and what was proved for them.

use jiff::Timestamp;
use model::attempt::{Attempt, Checkpoint};
use model::choice::Choice;
use model::gate::{GateResult, Grade, Verdict};
use model::id::{AgentId, AttemptId, MissionId, ShortId};
use model::mission::{Estimate, Mission, MissionState};
use model::policy::Policy;
use model::status::Waiting;
use model::transition::MissionInput;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// The name of the agent it is in the hands of: the one whose attempt is not over, or else the
    /// chosen one.
    pub owner: Option<String>,
    /// Missions that must be done first.
    pub dependencies: Vec<Link>,
    /// Unfinished missions that wait for this one.
    pub dependents: Vec<Link>,
    /// How long the accepted attempt took from its lease to the end of its program, in seconds;
    /// nothing before the mission is done.
    pub actual_s: Option<f64>,
    /// By how many percent the actual time was above the estimate, below it when negative; nothing
    /// without both.
    pub estimate_error_percent: Option<f64>,
    /// Points its work can be taken back to, oldest first.
    pub checkpoints: Vec<Checkpoint>,
    /// Missions that say nearly the same; only in the answer to its creation.
    pub similar: Vec<Similar>,
}

/// Another mission, as much of it as a link shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// The mission.
    pub mission_id: MissionId,
    /// Its readable id.
    pub short_id: ShortId,
    /// Its title.
    pub title: String,
    /// Where it stands.
    pub state: MissionState,
}

/// A mission that says nearly the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Similar {
    /// The mission.
    pub mission_id: MissionId,
    /// Its readable id.
    pub short_id: ShortId,
    /// Its title.
    pub title: String,
    /// Where it stands.
    pub state: MissionState,
    /// How much of the words both have in common, from 0 to 1.
    pub similarity: f64,
}

/// What was proved for a mission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// The strongest evidence of the last verified attempt.
    pub grade: Grade,
    /// What is needed.
    pub needed: Grade,
    /// Whether it is enough.
    pub enough: bool,
    /// Whether evidence it needs is about other work than there is now, and so does not count.
    pub stale: bool,
    /// What each gate of the last attempt found.
    pub items: Vec<EvidenceItem>,
}

/// What one gate found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceItem {
    /// Which attempt of the mission.
    pub attempt: u32,
    /// That attempt.
    pub attempt_id: AttemptId,
    /// The gate's place among the mission's, from 0.
    pub index: u32,
    /// The gate as its line.
    pub label: String,
    /// Its kind.
    pub kind: String,
    /// The evidence it gives when it passes.
    pub grade: Grade,
    /// What it found.
    pub verdict: Verdict,
    /// Why, in one line.
    pub reason: String,
    /// Whether it is about other work than there is now.
    pub stale: bool,
    /// Who answered, where it was not the engine.
    pub by: Option<String>,
    /// The commit it looked at.
    pub commit: Option<String>,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Whether there is output to read.
    pub openable: bool,
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

/// A piece of what a gate printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateOutput {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// The gate's place, from 0.
    pub index: u32,
    /// The gate as its line.
    pub label: String,
    /// Where this piece starts, in bytes.
    pub offset: u64,
    /// Where the next one starts.
    pub next_offset: u64,
    /// How many bytes are kept.
    pub size: u64,
    /// How many bytes it printed in all.
    pub printed: u64,
    /// The text; bytes that are not UTF-8 are replaced visibly.
    pub text: String,
}

/// What would become of a mission if it were created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MissionCheck {
    /// Missions that say nearly the same, the nearest first.
    pub similar: Vec<Similar>,
    /// From which similarity on missions count as nearly the same.
    pub threshold: f64,
    /// The policy it would be under.
    pub policy: Policy,
    /// Why that one.
    pub policy_because: String,
    /// Every gate it would have, in their order.
    pub gates: Vec<GateView>,
    /// Who could do it; nothing when an agent was chosen.
    pub suggestion: Option<Suggestion>,
    /// How long it would take; nothing where too little is known.
    pub estimate: Option<Estimate>,
    /// What would keep it from being created.
    pub problems: Vec<Trouble>,
    /// Whether somebody's answer would be needed before it is done.
    pub needs_review: bool,
}

/// A gate as its line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateView {
    /// The line.
    pub line: String,
    /// Its kind.
    pub kind: String,
    /// Whose it is.
    pub from: GateFrom,
}

/// Whose gate it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateFrom {
    /// The policy's.
    Policy,
    /// The mission's own.
    Mission,
}

/// Something that cannot be done as asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trouble {
    /// What it is.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl From<model::refusal::Refusal> for Trouble {
    fn from(refusal: model::refusal::Refusal) -> Self {
        Self { message: refusal.message, hint: refusal.hint }
    }
}

/// Who could do a mission, by what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Suggestion {
    /// The agent to take; nothing when none can.
    pub agent_id: Option<AgentId>,
    /// Its name.
    pub agent_name: Option<String>,
    /// Why, with the history it rests on.
    pub because: String,
    /// Everybody that was considered, the most promising first.
    pub candidates: Vec<SuggestedAgent>,
}

/// An agent with its history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SuggestedAgent {
    /// The agent.
    pub agent_id: AgentId,
    /// Its name.
    pub name: String,
    /// What its history says; that there is none, where there is none.
    pub because: String,
    /// The share of its attempts whose work counted; nothing without any.
    pub success: Option<Measured>,
    /// How long its accepted attempts took, in seconds; nothing without any.
    pub duration_s: Option<Spread>,
    /// What its attempts cost, in US dollars; nothing where that is not known.
    pub cost_usd: Option<Spread>,
    /// Whether it could begin now.
    pub free: bool,
    /// What keeps it from the mission now; nothing when it could take it.
    pub refused: Option<String>,
}

/// A share with the interval that holds the true one in 95 of 100 such samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Measured {
    /// From 0 to 1.
    pub value: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
    /// On how many cases it rests.
    pub n: u64,
}

/// How values are spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Spread {
    /// One in ten was below.
    pub p10: f64,
    /// Half were below.
    pub p50: f64,
    /// Nine in ten were below.
    pub p90: f64,
    /// On how many cases it rests.
    pub n: u64,
}

/// Why a mission waits, and why it went to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// What it waits for; nothing when it does not wait.
    pub waiting: Option<Waiting>,
    /// The same in words.
    pub waiting_text: Option<String>,
    /// To whom it would go if it were decided now, and what keeps the others back; only while it
    /// is queued.
    pub now: Option<Choice>,
    /// What was decided for each attempt, latest first.
    pub decisions: Vec<WhyAttempt>,
}

/// Why an attempt went to its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyAttempt {
    /// Which attempt of the mission.
    pub n: u32,
    /// The agent's name; nothing once it is removed.
    pub agent_name: Option<String>,
    /// When it got the lease.
    #[schema(value_type = String, format = DateTime)]
    pub leased_at: Timestamp,
    /// The decision; nothing where it was not kept.
    pub choice: Option<Choice>,
}

/// What became, or would become, of a document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportResult {
    /// Its missions in their order.
    pub items: Vec<ImportItem>,
    /// What is not taken over, or not as it may be meant.
    pub warnings: Vec<ImportNote>,
    /// Why nothing of it can be made; empty when it can.
    pub errors: Vec<ImportNote>,
    /// Missions made, or to be made.
    pub created: u64,
    /// Missions changed, or to be changed.
    pub updated: u64,
    /// Missions that are as the document says.
    pub unchanged: u64,
    /// Missions nothing is made of; each says why.
    pub skipped: u64,
    /// Whether it was done, or only looked at.
    pub applied: bool,
}

/// What became, or would become, of one mission of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportItem {
    /// What names it in the document.
    pub external_id: String,
    /// Where it stands in the document, from 1.
    pub line: u64,
    /// What is done.
    pub action: ImportAction,
    /// Its title.
    pub title: String,
    /// Its readable id, where it is there.
    pub short_id: Option<ShortId>,
    /// The mission, where it is there.
    pub mission_id: Option<MissionId>,
    /// Why nothing is made of it.
    pub problems: Vec<Trouble>,
    /// Other missions that say nearly the same.
    pub similar: Vec<Similar>,
}

/// What is done with a mission of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportAction {
    /// It is made.
    Create,
    /// The one that is there is changed.
    Update,
    /// The one that is there is as it says.
    Unchanged,
    /// Nothing is made of it.
    Skip,
}

/// A line of a document with what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportNote {
    /// The line, from 1.
    pub line: u64,
    /// What is to be said.
    pub message: String,
}
