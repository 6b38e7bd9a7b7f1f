//! Choices: why the scheduler gave a mission to an agent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::AgentId;

/// The most candidates kept with a choice.
pub const CANDIDATES_MAX: usize = 10;

/// One reason with its weight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Points {
    /// What is weighed, such as `priority`, `age` or `success`.
    pub what: String,
    /// How much it counts; more goes first.
    pub points: i64,
    /// In words a person reads.
    pub because: String,
}

/// An agent that was considered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// Which one.
    pub agent_id: AgentId,
    /// Its name.
    pub name: String,
    /// Its points in all.
    pub points: i64,
    /// What they are made of.
    pub reasons: Vec<Points>,
    /// Why it cannot take the mission now; nothing when it can.
    pub refused: Option<String>,
}

/// A decision of the scheduler with everything it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Choice {
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The mission's points among those that waited.
    pub points: i64,
    /// What they are made of.
    pub reasons: Vec<Points>,
    /// Missions that could have been started instead, or waited for something.
    pub waiting: u64,
    /// The agents considered, best first, at most [`CANDIDATES_MAX`].
    pub candidates: Vec<Candidate>,
    /// How many agents were considered.
    pub considered: u64,
}
