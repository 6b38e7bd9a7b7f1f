//! Activity: what a conversation is doing right now. It is seen, not stored.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::usage::{Context, Usage};

/// What a conversation is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Phase {
    /// The agent was started and has not answered yet.
    Opening,
    /// The agent works on a turn.
    Turn,
    /// The agent waits for the captain.
    Asking {
        /// How many requests are open.
        open: u32,
    },
    /// The provider made the agent wait.
    Limited {
        /// Until when, where that is known.
        #[schema(value_type = Option<String>, format = DateTime)]
        until: Option<Timestamp>,
        /// What the agent or its provider said.
        said: String,
    },
    /// A turn was cancelled and its end is awaited.
    Cancelling,
    /// The conversation is over and its program is being ended.
    Ending,
}

/// What is seen of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Activity {
    /// What it is doing.
    pub phase: Phase,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When the agent last said something by its protocol.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_event_at: Option<Timestamp>,
    /// The tool it uses.
    pub tool: Option<String>,
    /// Since when it uses that tool.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub tool_since: Option<Timestamp>,
    /// The last line of what the agent said, shortened.
    pub said: Option<String>,
    /// Which turn it is, from 1.
    pub turn: u32,
    /// How full its context is.
    pub context: Option<Context>,
    /// What it has used by now, as it says itself; newer than what is recorded.
    pub usage: Option<Usage>,
    /// Silence that is still normal for such an agent, in seconds.
    pub quiet_after_s: u32,
    /// Silence after which it is called stalled, in seconds.
    pub stalled_after_s: u32,
}
