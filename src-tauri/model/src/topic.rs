//! Topics: questions the agents vote on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{AgentId, TopicId};

/// The most options of one topic.
pub const OPTIONS_MAX: usize = 20;
/// The longest rationale of a vote, in characters.
pub const RATIONALE_CHARS_MAX: usize = 4_000;

/// A question with its options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Topic {
    /// Its identity.
    pub id: TopicId,
    /// The question, in one line.
    pub title: String,
    /// What there is to know about it.
    pub text: String,
    /// What can be voted for, at least two.
    pub options: Vec<String>,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// How it was decided, once it is closed.
    pub decision: Option<Decided>,
}

/// How a topic was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decided {
    /// The option; nothing when none was taken.
    pub option: Option<String>,
    /// Why, in words a person reads.
    pub because: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// One agent's vote; a second one replaces the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Vote {
    /// The topic.
    pub topic_id: TopicId,
    /// The agent.
    pub agent_id: AgentId,
    /// What it votes for.
    pub option: String,
    /// Why.
    pub rationale: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}
