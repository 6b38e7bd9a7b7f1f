//! Missions: what is to be done, how it is accepted, and where it stands.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gate::{GateSpec, Grade};
use crate::id::{AgentId, MissionId, ShortId};

/// The largest brief, in bytes.
pub const BRIEF_BYTES_MAX: usize = 1024 * 1024;
/// The longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 200;
/// The most gates one mission has.
pub const GATES_MAX: usize = 32;
/// The most retries one mission may ask for.
pub const RETRIES_MAX: u32 = 20;

/// Where a mission stands. Only the orchestrator changes it, by the published table.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MissionState {
    /// Written down, not yet offered to any agent.
    Draft,
    /// Waits for an agent.
    Queued,
    /// An agent holds the lease; its process is being started.
    Assigned,
    /// The agent's process is alive.
    Running,
    /// The process has ended; the gates decide.
    Verifying,
    /// The gates passed; the captain's answer is awaited.
    InReview,
    /// Every gate passed and the evidence reaches the grade its policy asks for.
    Done,
    /// The agent asks the captain.
    NeedsInput,
    /// Held back by the captain.
    Paused,
    /// No attempt satisfied the gates, or the captain rejected the work.
    Failed,
    /// Called off by the captain.
    Cancelled,
}

impl MissionState {
    /// Every state, in the order of the life of a mission.
    pub const ALL: [Self; 11] = [
        Self::Draft,
        Self::Queued,
        Self::Assigned,
        Self::Running,
        Self::Verifying,
        Self::InReview,
        Self::Done,
        Self::NeedsInput,
        Self::Paused,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word used in storage, interfaces and the screen's data attributes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Queued => "queued",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Verifying => "verifying",
            Self::InReview => "in_review",
            Self::Done => "done",
            Self::NeedsInput => "needs_input",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more happens without the captain asking for it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// Whether an attempt is under way.
    #[must_use]
    pub const fn has_live_attempt(self) -> bool {
        matches!(self, Self::Assigned | Self::Running | Self::Verifying | Self::NeedsInput)
    }
}

impl std::fmt::Display for MissionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a known state")]
pub struct UnknownState(pub String);

impl std::str::FromStr for MissionState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}

/// How urgent a mission is; the scheduler takes the higher first.
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
pub enum Priority {
    /// When nothing else waits.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Before the usual.
    High,
    /// Before everything else.
    Urgent,
}

/// How much proof *done* needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The agent's own word is enough when there is no gate.
    Trusting,
    /// A gate must have passed; without gates the captain reviews.
    #[default]
    Standard,
    /// The captain reviews every time.
    Strict,
}

impl Policy {
    /// The weakest evidence with which a mission under this policy is done.
    #[must_use]
    pub const fn grade_needed(self) -> Grade {
        match self {
            Self::Trusting => Grade::SelfReport,
            Self::Standard => Grade::Observed,
            Self::Strict => Grade::Human,
        }
    }
}

/// What a mission is known by in lists: everything but the brief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mission {
    /// Its identity.
    pub id: MissionId,
    /// Its readable identity.
    pub short_id: ShortId,
    /// One line of text.
    pub title: String,
    /// Where it stands.
    pub state: MissionState,
    /// Why it stands there, in words a person reads; nothing when the state says it all.
    pub note: Option<String>,
    /// How urgent it is.
    pub priority: Priority,
    /// How much proof it needs.
    pub policy: Policy,
    /// The agent the captain chose; nothing means any that is free.
    pub agent: Option<AgentId>,
    /// The git repository it works on; each attempt gets a worktree and a branch of its own.
    pub repository: Option<String>,
    /// What decides that the work is done.
    pub gates: Vec<GateSpec>,
    /// How often a failed attempt is followed by another one.
    pub retries_max: u32,
    /// How many attempts were leased so far; `attempts` is the list of them where it is shown.
    #[serde(rename = "attempt_count")]
    pub attempts: u32,
    /// Attempts that count against `retries_max`: those since it was last queued by the captain.
    pub tries: u32,
    /// The strongest evidence of the last verified attempt.
    pub grade: Grade,
    /// Made by the demo swarm; removed with it.
    pub demo: bool,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}
