//! Effects: what the orchestrator wants done, kept in the outbox until it is.

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, AttemptId, EffectId, MissionId};

/// Something to do in the world. Each is safe to carry out again after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Effect {
    /// Make the workplace and start the agent's program, or adopt it where it already runs.
    Start {
        /// The mission.
        mission_id: MissionId,
        /// The attempt.
        attempt_id: AttemptId,
    },
    /// Stop the attempt's process tree until the operating system says it is empty.
    Stop {
        /// The attempt.
        attempt_id: AttemptId,
    },
    /// Hold the attempt's processes where they are, or let them go on, as the attempt says.
    Freeze {
        /// The attempt.
        attempt_id: AttemptId,
    },
    /// Let an agent review the work of an attempt.
    Review {
        /// The mission.
        mission_id: MissionId,
        /// The attempt.
        attempt_id: AttemptId,
        /// Which gate of the mission its answer decides.
        index: u32,
        /// The reviewing agent.
        agent_id: AgentId,
    },
    /// Secure what the attempt left and run the mission's gates on it.
    Verify {
        /// The mission.
        mission_id: MissionId,
        /// The attempt.
        attempt_id: AttemptId,
    },
}

impl Effect {
    /// The attempt it is about.
    #[must_use]
    pub const fn attempt_id(&self) -> AttemptId {
        match self {
            Self::Start { attempt_id, .. }
            | Self::Stop { attempt_id }
            | Self::Freeze { attempt_id }
            | Self::Review { attempt_id, .. }
            | Self::Verify { attempt_id, .. } => *attempt_id,
        }
    }

    /// The word for its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Freeze { .. } => "freeze",
            Self::Review { .. } => "review",
            Self::Verify { .. } => "verify",
        }
    }
}

/// An effect in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// Its identity, under which it is carried out once.
    pub id: EffectId,
    /// What to do.
    pub effect: Effect,
}
