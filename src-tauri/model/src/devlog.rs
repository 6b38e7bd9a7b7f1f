//! Devlogs: journal entries written from facts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{AgentId, AttemptId, DevlogId, MissionId, ShortId};

/// A journal entry, in Markdown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Devlog {
    /// Its identity.
    pub id: DevlogId,
    /// The mission it tells of.
    pub mission_id: MissionId,
    /// That mission's readable id.
    pub short_id: ShortId,
    /// The attempt it tells of; nothing where the mission ended without one.
    pub attempt_id: Option<AttemptId>,
    /// The agent that worked.
    pub agent_id: Option<AgentId>,
    /// One line.
    pub title: String,
    /// The entry itself.
    pub markdown: String,
    /// Made by the demo swarm; removed with it.
    pub demo: bool,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}
