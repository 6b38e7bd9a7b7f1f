//! Facts on their way into the ledger, and in it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Actor, Fact};
use crate::id::{AgentId, AttemptId, CorrelationId, EventId, MissionId};

/// What an event is about; any of them may be absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Subject {
    /// The mission.
    pub mission_id: Option<MissionId>,
    /// The attempt.
    pub attempt_id: Option<AttemptId>,
    /// The agent.
    pub agent_id: Option<AgentId>,
}

/// A fact on its way into the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its identity.
    pub id: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// The request it belongs to.
    pub correlation_id: Option<CorrelationId>,
    /// What it is about.
    pub subject: Subject,
    /// What happened.
    pub fact: Fact,
}

/// A fact in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its place in the log, from 1 without gaps; the order of everything.
    pub seq: u64,
    /// Its identity.
    pub id: EventId,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// The request it belongs to.
    pub correlation_id: Option<CorrelationId>,
    /// What it is about.
    pub subject: Subject,
    /// Its place among the events of its mission, from 1 without gaps.
    pub mission_seq: Option<u64>,
    /// What happened.
    pub fact: Fact,
}

impl Event {
    /// The event as it is told to whoever may read events: without what keys are recognised by, and
    /// without where a browser came from. The whole stays in the ledger.
    #[must_use]
    pub fn told(mut self) -> Self {
        match &mut self.fact {
            Fact::TokenMade { token, hash } => {
                hash.clear();
                token.prefix.clear();
            }
            Fact::LoggedIn { login, cookie_hash, page_hash } => {
                cookie_hash.clear();
                page_hash.clear();
                login.agent.clear();
                login.from = None;
            }
            _ => {}
        }
        self
    }
}
