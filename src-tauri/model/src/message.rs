//! Messages: text to an agent. Delivery is not activation.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{AgentId, AttemptId, BroadcastId, MessageId, MissionId};

/// The longest text, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// The most messages that wait for one agent.
pub const WAITING_MAX: usize = 1_000;
/// The most that are handed over together.
pub const BATCH_MAX: usize = 50;
/// After as many failed deliveries a message is put into quarantine.
pub const TRIES_MAX: u32 = 3;

/// Who says something to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// The human in charge.
    Captain,
    /// Another agent.
    Agent {
        /// Which one.
        id: AgentId,
        /// Its name then.
        name: String,
    },
    /// Hivekeeper itself.
    System,
}

/// How soon a message is to be read.
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
pub enum Urgency {
    /// Before all regular ones, and at once where the agent can be told while it works.
    Urgent,
    /// With the agent's next turn.
    #[default]
    Regular,
}

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// It waits for the agent.
    Queued,
    /// The agent's program has it.
    Delivered,
    /// The agent has begun to act on it.
    Started,
    /// The agent has answered to it.
    Acknowledged,
    /// It could not be delivered and waits for the captain.
    Quarantined,
    /// It is not to be delivered any more.
    Discarded,
}

/// A message to one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Its identity.
    pub id: MessageId,
    /// The agent it is for.
    pub to: AgentId,
    /// Who says it.
    pub from: Source,
    /// What it says.
    pub text: String,
    /// How soon it is to be read.
    pub urgency: Urgency,
    /// The mission it is about; the agent gets it whatever it works on.
    pub mission_id: Option<MissionId>,
    /// Those that were sent together to several agents.
    pub broadcast_id: Option<BroadcastId>,
    /// The attempt whose program got it.
    pub attempt_id: Option<AttemptId>,
    /// When it was queued.
    #[schema(value_type = String, format = DateTime)]
    pub queued_at: Timestamp,
    /// When the agent's program had it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub delivered_at: Option<Timestamp>,
    /// When the agent began to act on it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When the agent answered to it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub acknowledged_at: Option<Timestamp>,
    /// How often its delivery failed.
    pub tries: u32,
    /// Why its delivery failed the last time.
    pub problem: Option<String>,
    /// Whether it waits for the captain because it could not be delivered.
    pub quarantined: bool,
    /// Whether it is not to be delivered any more.
    pub discarded: bool,
}

impl Message {
    /// A message that has just been queued.
    #[must_use]
    pub const fn queued(
        id: MessageId,
        to: AgentId,
        from: Source,
        text: String,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            to,
            from,
            text,
            urgency: Urgency::Regular,
            mission_id: None,
            broadcast_id: None,
            attempt_id: None,
            queued_at: now,
            delivered_at: None,
            started_at: None,
            acknowledged_at: None,
            tries: 0,
            problem: None,
            quarantined: false,
            discarded: false,
        }
    }

    /// How far it is.
    #[must_use]
    pub const fn state(&self) -> MessageState {
        if self.discarded {
            MessageState::Discarded
        } else if self.quarantined {
            MessageState::Quarantined
        } else if self.acknowledged_at.is_some() {
            MessageState::Acknowledged
        } else if self.started_at.is_some() {
            MessageState::Started
        } else if self.delivered_at.is_some() {
            MessageState::Delivered
        } else {
            MessageState::Queued
        }
    }

    /// Whether it waits to be delivered.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.state() == MessageState::Queued
    }
}
