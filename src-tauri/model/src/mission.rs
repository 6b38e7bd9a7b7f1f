//! Missions: what is to be done, how it is accepted, and where it stands.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gate::{GateSpec, Grade};
use crate::id::{AgentId, MissionId, SHORT_ID_LEN, ShortId};
use crate::policy;

/// The largest brief, in bytes.
pub const BRIEF_BYTES_MAX: usize = 1024 * 1024;
/// The longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 200;
/// The most gates one mission has.
pub const GATES_MAX: usize = 32;
/// The most retries one mission may ask for.
pub const RETRIES_MAX: u32 = 20;

/// The most labels, skills, links, criteria or dependencies of one mission.
pub const LIST_MAX: usize = 50;
/// The longest label, skill, link or criterion, in characters.
pub const WORDS_CHARS_MAX: usize = 200;
/// The most attempts that vanished and are followed by another one without being asked for.
pub const RECOVERIES_MAX: u32 = 2;
/// The pause before the first retry, in seconds, unless the policy says otherwise.
pub const BACKOFF_S_DEFAULT: u32 = 1;
/// The longest pause before a retry, in seconds.
pub const BACKOFF_S_MAX: u32 = 300;

const fn backoff_default() -> u32 {
    BACKOFF_S_DEFAULT
}

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

/// How long a mission is expected to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Estimate {
    /// The middle of what is expected, in seconds.
    pub seconds: u64,
    /// How many finished missions it was measured on; nothing when the captain said so.
    pub samples: Option<u64>,
    /// What it rests on, in words a person reads.
    pub because: String,
}

/// One thing the work must do to be accepted, and whether it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Criterion {
    /// In one line.
    pub text: String,
    /// Whether it was reported as met. A report is not evidence; gates are.
    #[serde(default)]
    pub met: bool,
}

/// How far the work is, as its agent or the captain said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// From 0 to 100.
    pub percent: Option<u8>,
    /// In one line.
    pub text: String,
    /// When it was said.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// What the next attempt needs to know of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Handoff {
    /// The attempt it comes from.
    pub from: u32,
    /// That attempt's agent.
    pub agent_id: AgentId,
    /// The commit to go on from; nothing means to start anew.
    pub commit: Option<String>,
    /// What happened and what is to be done about it. The agent gets it behind the brief.
    pub text: String,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// How reviewed work is put onto its target branch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeHow {
    /// A merge commit, or a fast-forward where the target did not move.
    #[default]
    Merge,
    /// One commit.
    Squash,
    /// The commits one by one on top of the target.
    Rebase,
}

/// Where reviewed work went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Merge {
    /// The attempt.
    pub attempt: u32,
    /// The commit that was reviewed.
    pub reviewed: String,
    /// The branch it was put on.
    pub target: String,
    /// The branch's commit from then on.
    pub commit: String,
    /// How.
    pub how: MergeHow,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
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
    /// The name of the policy it was made under.
    pub policy: String,
    /// The weakest evidence that is enough; nothing means what its policy asks for.
    #[serde(default)]
    pub proof: Option<Grade>,
    /// The agent the captain chose; nothing means any that is free.
    pub agent: Option<AgentId>,
    /// The git repository it works on; each attempt gets a worktree and a branch of its own.
    pub repository: Option<String>,
    /// The branch its work is for: the one that was checked out when it was created.
    #[serde(default)]
    pub target: Option<String>,
    /// Ignored directories of the checkout that each worktree gets a link to.
    #[serde(default)]
    pub links: Vec<String>,
    /// What decides that the work is done, its policy's gates included.
    pub gates: Vec<GateSpec>,
    /// How often a failed attempt is followed by another one.
    pub retries_max: u32,
    /// The pause before the first retry, in seconds; it doubles with each further one.
    #[serde(default = "backoff_default")]
    pub backoff_s: u32,
    /// Whether a retry goes to another agent where one is there.
    #[serde(default)]
    pub hand_over: bool,
    /// How many attempts were leased so far; `attempts` is the list of them where it is shown.
    #[serde(rename = "attempt_count")]
    pub attempts: u32,
    /// Attempts that count against `retries_max`: those since it was last queued by the captain.
    pub tries: u32,
    /// Attempts that vanished and were followed by another one without being asked for.
    #[serde(default)]
    pub recoveries: u32,
    /// Not leased before this time.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub not_before: Option<Timestamp>,
    /// What the next attempt needs to know.
    #[serde(default)]
    pub handoff: Option<Handoff>,
    /// Words it can be found and compared by.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Skills its agent must have.
    #[serde(default)]
    pub skills: Vec<String>,
    /// Missions that must be done first.
    #[serde(default)]
    pub depends_on: Vec<MissionId>,
    /// When it should be done.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deadline: Option<Timestamp>,
    /// How long it is expected to take.
    #[serde(default)]
    pub estimate: Option<Estimate>,
    /// What the work must do.
    #[serde(default)]
    pub criteria: Vec<Criterion>,
    /// How far it is.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// Its name where it was imported from.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Whether it goes on by itself after the machine was restarted.
    #[serde(default)]
    pub unattended: bool,
    /// Where its work went.
    #[serde(default)]
    pub merged: Option<Merge>,
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

impl Mission {
    /// A draft with nothing but a title, under the policy *standard*.
    #[must_use]
    pub fn draft(id: MissionId, title: impl Into<String>, now: Timestamp) -> Self {
        Self {
            id,
            short_id: ShortId::derive(id, SHORT_ID_LEN),
            title: title.into(),
            state: MissionState::Draft,
            note: None,
            priority: Priority::Normal,
            policy: policy::STANDARD.to_owned(),
            proof: None,
            agent: None,
            repository: None,
            target: None,
            links: Vec::new(),
            gates: Vec::new(),
            retries_max: 0,
            backoff_s: BACKOFF_S_DEFAULT,
            hand_over: false,
            attempts: 0,
            tries: 0,
            recoveries: 0,
            not_before: None,
            handoff: None,
            labels: Vec::new(),
            skills: Vec::new(),
            depends_on: Vec::new(),
            deadline: None,
            estimate: None,
            criteria: Vec::new(),
            progress: None,
            external_id: None,
            unattended: false,
            merged: None,
            grade: Grade::None,
            demo: false,
            created_at: now,
            updated_at: now,
        }
    }

    /// The weakest evidence with which it is done.
    #[must_use]
    pub fn grade_needed(&self) -> Grade {
        self.proof.unwrap_or_else(|| policy::grade_of(&self.policy))
    }
}
