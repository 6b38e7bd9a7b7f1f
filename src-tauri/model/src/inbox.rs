//! The inbox: what an agent asks the captain, and the rules that answer in the captain's place.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::conversation::{FileChange, ToolKind};
use crate::id::{AgentId, AttemptId, MissionId, RequestId, RuleId};

/// The most requests of one attempt that are open at once.
pub const OPEN_MAX: usize = 100;
/// The longest answer to a question, in bytes.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// How long *not now* keeps a request out of the way, in seconds.
pub const NOT_NOW_S: i64 = 15 * 60;

/// Something an agent asks and waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Request {
    /// Its identity.
    pub id: RequestId,
    /// The attempt that asks.
    pub attempt_id: AttemptId,
    /// Its mission.
    pub mission_id: MissionId,
    /// Its agent.
    pub agent_id: AgentId,
    /// What the runtime knows it by.
    pub key: String,
    /// What it asks.
    pub ask: Ask,
    /// When it asked.
    #[schema(value_type = String, format = DateTime)]
    pub asked_at: Timestamp,
    /// Until when it is kept out of the way.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub not_before: Option<Timestamp>,
    /// How it ended; nothing while it waits.
    pub end: Option<RequestEnd>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// Whether the agent has been told the answer.
    pub told: bool,
}

impl Request {
    /// Whether it waits for the captain.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.end.is_none()
    }
}

/// What is asked.
#[expect(clippy::large_enum_variant, reason = "most are permissions, and there are few of them")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(as = RequestAsk)]
pub enum Ask {
    /// May I do this?
    Permission {
        /// What exactly.
        permission: PermissionAsk,
    },
    /// A question in words.
    Question {
        /// The question.
        text: String,
        /// Answers to choose from; any text where there are none.
        options: Vec<String>,
    },
}

impl Ask {
    /// What it is about, in one line.
    #[must_use]
    pub fn title(&self) -> &str {
        match self {
            Self::Permission { permission } => &permission.title,
            Self::Question { text, .. } => text.lines().next().unwrap_or_default(),
        }
    }
}

/// What an agent wants to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PermissionAsk {
    /// What it is, in a few words.
    pub title: String,
    /// What kind of tool it uses.
    pub tool: ToolKind,
    /// The tool's own name, where it is known.
    pub name: Option<String>,
    /// The exact command, where it runs one.
    pub command: Option<String>,
    /// Where it runs that, where the agent says so; otherwise in its worktree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// The files it changes.
    pub changes: Vec<FileChange>,
    /// The files it is about.
    pub places: Vec<String>,
    /// What the tool is given, where that is no change; of one that runs a command, what else it is given.
    pub input: Option<String>,
    /// Why, as the agent says.
    pub why: Option<String>,
    /// How dangerous it looks.
    pub risk: Risk,
    /// The pattern that *always* would allow.
    pub pattern: String,
    /// Whether the agent knows an *always* of its own; it is then told nothing but *once*.
    pub agent_remembers: bool,
}

/// How dangerous something looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Risk {
    /// How much.
    pub level: RiskLevel,
    /// Why, in words a person reads.
    pub reasons: Vec<String>,
}

/// How much danger.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RiskLevel {
    /// It reads, or changes what is thrown away with the worktree.
    Low,
    /// It leaves the worktree, or reaches the network.
    Medium,
    /// It can destroy or publish something.
    High,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RequestEnd {
    /// It was allowed, this time.
    Once,
    /// It was allowed, and so is everything like it from now on.
    Always {
        /// The rule that was made.
        rule_id: RuleId,
    },
    /// It was not allowed.
    Denied {
        /// Why, in the captain's words.
        note: Option<String>,
    },
    /// A question was answered.
    Answered {
        /// The answer.
        text: String,
    },
    /// Nobody waits for the answer any more.
    Withdrawn {
        /// Why, in words a person reads.
        why: String,
    },
}

/// How far a rule reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Scope {
    /// One mission.
    Mission {
        /// Which one.
        id: MissionId,
    },
    /// One agent.
    Agent {
        /// Which one.
        id: AgentId,
    },
    /// Every agent of the workspace.
    Workspace,
}

/// Allows, or forbids, what fits a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    /// Its identity.
    pub id: RuleId,
    /// What it fits: `run: git status *`, `edit: src/**`, `tool: NAME`, `fetch: example.org`.
    pub pattern: String,
    /// Whether it allows; otherwise it forbids.
    pub allow: bool,
    /// How far it reaches.
    pub scope: Scope,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Who answers the permission requests of an agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PermissionPolicy {
    /// The captain is asked about everything that no rule answers.
    Ask,
    /// Reading, and changes inside of the worktree, are allowed; the captain is asked about the rest.
    #[default]
    AutoInWorktree,
    /// What a rule allows is allowed; everything else is denied, and nobody is asked.
    AllowList,
    /// Reading is allowed; everything else is denied.
    ReadOnly,
    /// The agent runs in its own unattended mode and asks nothing; what it asks all the same is allowed.
    Unattended,
}

impl PermissionPolicy {
    /// Every policy.
    pub const ALL: [Self; 5] =
        [Self::Ask, Self::AutoInWorktree, Self::AllowList, Self::ReadOnly, Self::Unattended];

    /// The word used in interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::AutoInWorktree => "auto_in_worktree",
            Self::AllowList => "allow_list",
            Self::ReadOnly => "read_only",
            Self::Unattended => "unattended",
        }
    }
}
