//! Attempts: one execution of a mission by one agent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::choice::Choice;
use crate::id::{AgentId, AttemptId, CheckpointId, MissionId};
use crate::mission::{Handoff, UnknownState};
use crate::process::{Exit, ExitRecord, ProcessIdentity};

/// Where an attempt stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// The agent holds the mission's lease.
    Leased,
    /// Worktree and process are being made.
    Starting,
    /// The process runs.
    Running,
    /// The process has ended.
    Exited,
    /// The gates run.
    Verifying,
    /// The work counts.
    Accepted,
    /// The work does not count.
    Rejected,
    /// The process vanished without a record.
    Lost,
    /// It was stopped.
    Stopped,
}

impl AttemptState {
    /// Every state, in the order of the life of an attempt.
    pub const ALL: [Self; 9] = [
        Self::Leased,
        Self::Starting,
        Self::Running,
        Self::Exited,
        Self::Verifying,
        Self::Accepted,
        Self::Rejected,
        Self::Lost,
        Self::Stopped,
    ];

    /// The word used in storage and interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leased => "leased",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Exited => "exited",
            Self::Verifying => "verifying",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Lost => "lost",
            Self::Stopped => "stopped",
        }
    }

    /// Whether the attempt is over and its agent free.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Accepted | Self::Rejected | Self::Lost | Self::Stopped)
    }
}

impl std::str::FromStr for AttemptState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}

/// The place an attempt works in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Workplace {
    /// The directory the program starts in.
    pub directory: String,
    /// The attempt's branch, where the mission names a repository.
    pub branch: Option<String>,
    /// The commit the branch starts from.
    pub base_commit: Option<String>,
    /// Files of the captain's checkout that were not committed and so are not in the worktree.
    pub uncommitted_files: u64,
}

/// How a branch differs from its base.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiffStat {
    /// Files changed.
    pub files: u64,
    /// Lines added.
    pub insertions: u64,
    /// Lines removed.
    pub deletions: u64,
}

/// One commit of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Commit {
    /// Its full hash.
    pub hash: String,
    /// Its first line.
    pub subject: String,
}

/// What an attempt left in its worktree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Work {
    /// The last commit of the attempt's branch.
    pub head_commit: String,
    /// Commits since the base, oldest first, at most 100.
    pub commits: Vec<Commit>,
    /// The tree of that commit: what evidence is bound to.
    #[serde(default)]
    pub tree: Option<String>,
    /// The difference to the base.
    pub diff: DiffStat,
    /// Files the agent had left uncommitted, which the engine committed so that nothing is lost.
    pub rescued_files: u64,
}

/// One execution of a mission by one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// Its identity.
    pub id: AttemptId,
    /// The mission.
    pub mission_id: MissionId,
    /// The agent.
    pub agent_id: AgentId,
    /// Which attempt of the mission, from 1; also the lease's fencing number.
    pub n: u32,
    /// Where it stands.
    pub state: AttemptState,
    /// Whether it has been asked to stop and its processes are not yet all gone.
    pub stopping: bool,
    /// Whether its gates passed and somebody's answer is awaited; its agent is free.
    #[serde(default)]
    pub in_review: bool,
    /// Whether its processes are held where they are.
    #[serde(default)]
    pub frozen: bool,
    /// Why it ended as it did, in words a person reads.
    pub note: Option<String>,
    /// When its agent said that it knows what it is to do.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub acknowledged_at: Option<Timestamp>,
    /// What it was given of the attempt before.
    #[serde(default)]
    pub handoff: Option<Handoff>,
    /// Why the scheduler chose this agent.
    #[serde(default)]
    pub choice: Option<Choice>,
    /// Where it works.
    pub workplace: Option<Workplace>,
    /// Its processes.
    pub process: Option<ProcessIdentity>,
    /// How its program ended.
    pub exit: Option<ExitRecord>,
    /// What it left behind, where the mission names a repository.
    pub work: Option<Work>,
    /// When the lease was given.
    #[schema(value_type = String, format = DateTime)]
    pub leased_at: Timestamp,
    /// When it was over.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

impl Attempt {
    /// How its program ended, once it has.
    #[must_use]
    pub fn exit(&self) -> Option<&Exit> {
        self.exit.as_ref().map(|record| &record.exit)
    }

    /// An attempt that has just got the lease.
    #[must_use]
    pub const fn leased(
        id: AttemptId,
        mission_id: MissionId,
        agent_id: AgentId,
        n: u32,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            mission_id,
            agent_id,
            n,
            state: AttemptState::Leased,
            stopping: false,
            in_review: false,
            frozen: false,
            note: None,
            acknowledged_at: None,
            handoff: None,
            choice: None,
            workplace: None,
            process: None,
            exit: None,
            work: None,
            leased_at: now,
            ended_at: None,
        }
    }

    /// Whether its agent can do nothing else.
    #[must_use]
    pub const fn occupies_agent(&self) -> bool {
        !self.state.is_final() && !self.in_review
    }
}

/// A point an attempt's work can be taken back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checkpoint {
    /// Its identity.
    pub id: CheckpointId,
    /// The mission.
    pub mission_id: MissionId,
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Which checkpoint of the attempt, from 1.
    pub n: u32,
    /// The commit that holds everything that was in the worktree.
    pub commit: String,
    /// The tree of that commit.
    pub tree: String,
    /// Files that were not committed by the agent.
    pub uncommitted_files: u64,
    /// How much the agent had printed, in bytes.
    pub output_bytes: u64,
    /// What it was made for.
    pub note: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}
