//! Agents that run elsewhere on this machine: what they send, and what they are answered.

use jiff::Timestamp;
use model::attempt::AttemptState;
use model::id::{AttemptId, MessageId, MissionId, ShortId};
use model::mission::{Criterion, MissionState};
use model::usage::{Context, Tokens};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::AgentView;
use crate::tools::OwnMessage;

/// An agent that runs elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewAttached {
    /// Its name, unique whatever the case. Registered again by its own token, it is the same agent.
    #[schema(example = "night shift")]
    pub name: String,
    /// What it is for. Left out when it registers again: as it is.
    pub role: Option<String>,
    /// What it can do. Left out when it registers again: as it is.
    pub skills: Option<Vec<String>>,
    /// After how much silence it is lost, in seconds (2 to 3600); 60 where nothing is said, and as it
    /// is when it registers again.
    #[schema(example = 60)]
    pub lost_after_s: Option<u32>,
    /// How long it is given to stop once it was told, in seconds (1 to 120); 10 where nothing is said,
    /// and as it is when it registers again.
    #[schema(example = 10)]
    pub grace_s: Option<u32>,
    /// Gives an agent that is there another token in place of the one it had: that one is revoked. Only
    /// the captain may ask for it; an access token registers new agents alone.
    pub new_token: bool,
}

/// An agent that was registered.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AttachedAgent {
    /// The agent.
    pub agent: AgentView,
    /// Its token, to be sent as `Authorization: Bearer TOKEN`. It is shown in this answer and never
    /// again; nothing where it has one already.
    pub token: Option<String>,
    /// How often it should send a heartbeat, in seconds.
    #[schema(example = 20)]
    pub heartbeat_every_s: u32,
}

impl std::fmt::Debug for AttachedAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AttachedAgent").field("agent", &self.agent).finish_non_exhaustive()
    }
}

/// A heartbeat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AttachedBeat {
    /// The attempt the agent believes it works on; it is told to stop where that is over.
    pub attempt: Option<AttemptId>,
}

/// What an agent that runs elsewhere is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttachedSay {
    /// Go on.
    Nothing,
    /// Take the mission that waits for it.
    Lease,
    /// Read the messages that wait for it.
    Messages,
    /// Hold still until it is told otherwise.
    Hold,
    /// Stop working on the attempt, and say so by finishing it.
    Stop,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachedWord {
    /// What the agent is to do.
    pub say: AttachedSay,
    /// The attempt it has; nothing where it has none.
    pub attempt: Option<AttemptId>,
    /// The mission of that.
    pub mission_id: Option<MissionId>,
    /// The lease's fencing number.
    pub fence: Option<u32>,
    /// Messages that wait for it.
    pub messages_waiting: u32,
    /// How long until its next heartbeat at most, in seconds.
    pub next_within_s: u32,
}

/// Asks for a mission.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AttachedAsk {
    /// How long to wait for one, in seconds (0 to 25).
    #[schema(example = 25)]
    pub wait_s: u32,
}

/// A mission, or none yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachedOffer {
    /// The lease; nothing where no mission came in time. Asked for again, it is the same one.
    pub lease: Option<AttachedLease>,
}

/// A mission with the lease on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachedLease {
    /// The attempt.
    pub attempt: AttemptId,
    /// The lease's fencing number: sent with everything that is said about the attempt.
    pub fence: u32,
    /// The mission.
    pub mission_id: MissionId,
    /// Its readable id.
    pub mission: ShortId,
    /// One line.
    pub title: String,
    /// What is to be done, as the captain wrote it.
    pub brief: String,
    /// Everything it is told: role, rules, mission, how to report, handoff, messages.
    pub prompt: String,
    /// What the work must do.
    pub criteria: Vec<Criterion>,
    /// What decides that the work is done, in words.
    pub gates: Vec<String>,
    /// Where it works.
    pub directory: String,
    /// Its branch, where the mission names a repository.
    pub branch: Option<String>,
    /// What the attempt before left behind.
    pub handoff: Option<String>,
    /// When it should be done.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deadline: Option<Timestamp>,
    /// After how much silence it is lost, in seconds.
    pub lost_after_s: u32,
    /// Our tools for this attempt, over MCP; nothing while the engine does not listen.
    pub tools: Option<AttachedTools>,
}

/// Our tools for one attempt.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachedTools {
    /// The address of the MCP server.
    pub url: String,
    /// The attempt's own token; it ends with the attempt.
    pub token: String,
}

impl std::fmt::Debug for AttachedTools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AttachedTools").field("url", &self.url).finish_non_exhaustive()
    }
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachedProgress {
    /// The attempt.
    pub attempt: AttemptId,
    /// The lease's fencing number.
    pub fence: u32,
    /// How far, from 0 to 100.
    #[serde(default)]
    #[schema(example = 40)]
    pub percent: Option<u8>,
    /// What it is at, in one line.
    #[serde(default)]
    pub note: Option<String>,
}

/// Something that shows what was done. It is kept with the mission and proves nothing by itself: the
/// gates do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachedEvidence {
    /// The attempt.
    pub attempt: AttemptId,
    /// The lease's fencing number.
    pub fence: u32,
    /// What it is, in one line.
    #[schema(example = "test run")]
    pub name: String,
    /// What it shows, as text.
    pub text: String,
}

/// What an attempt has used so far; it takes the place of what was said before. What is not known is
/// left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachedUsage {
    /// The attempt.
    pub attempt: AttemptId,
    /// The lease's fencing number.
    pub fence: u32,
    /// The model.
    #[serde(default)]
    pub model: Option<String>,
    /// Tokens.
    #[serde(default)]
    pub tokens: Tokens,
    /// Requests to the model.
    #[serde(default)]
    pub requests: Option<u64>,
    /// What it cost as the agent says, in millionths of a US dollar.
    #[serde(default)]
    pub cost_micros: Option<u64>,
    /// Turns.
    #[serde(default)]
    pub turns: u64,
    /// Tool calls.
    #[serde(default)]
    pub tool_calls: u64,
    /// Of these, the ones that failed.
    #[serde(default)]
    pub tool_failures: u64,
    /// How full the context is.
    #[serde(default)]
    pub context: Option<Context>,
}

/// The end of an attempt, as its agent says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachedFinish {
    /// The attempt.
    pub attempt: AttemptId,
    /// The lease's fencing number.
    pub fence: u32,
    /// Whether the agent did what it was asked; the gates decide then.
    pub completed: bool,
    /// What it did, and what is left.
    #[serde(default)]
    pub summary: String,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachedEnd {
    /// Where the attempt stands.
    pub state: AttemptState,
    /// Where its mission stands.
    pub mission_state: MissionState,
}

/// Asks for messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachedInbox {
    /// The attempt.
    pub attempt: AttemptId,
    /// The lease's fencing number.
    pub fence: u32,
    /// Messages the agent has done with.
    #[serde(default)]
    pub done: Vec<MessageId>,
}

/// Messages to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachedMessages {
    /// Those it has not yet done with.
    pub messages: Vec<OwnMessage>,
}
