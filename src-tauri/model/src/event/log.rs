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
    /// The event as it is told to whoever may read events: without what keys are recognised by, without
    /// where a browser came from, without the values of agents' variables, and without the commands of
    /// hooks and checks, which may name secrets. The whole stays in the ledger.
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
            // What its program is given may be secret.
            Fact::AgentAdded { agent } | Fact::AgentChanged { agent } => {
                agent.runtime = agent.runtime.clone().told();
            }
            // Whoever may see hooks lists them.
            Fact::HookSaved { hook } => hook.command.clear(),
            // Likewise.
            Fact::CheckSaved { check } => check.probe = check.probe.told(),
            _ => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::Hook;
    use crate::id::HookId;

    #[test]
    fn the_command_of_a_hook_is_not_told_to_whoever_may_read_events() {
        let hook = Hook {
            id: HookId::from_uuid(uuid::Uuid::nil()),
            name: "tell me".to_owned(),
            command: vec!["curl".to_owned(), "https://example.org/?key=abc".to_owned()],
            events: vec!["mission_moved".to_owned()],
            timeout_s: 5,
            memory_bytes: 64 << 20,
            per_minute: 3,
            enabled: true,
            off_because: None,
        };
        let event = Event {
            seq: 1,
            id: EventId::from_uuid(uuid::Uuid::nil()),
            at: Timestamp::UNIX_EPOCH,
            actor: Actor::Captain,
            correlation_id: None,
            subject: Subject::default(),
            mission_seq: None,
            fact: Fact::HookSaved { hook },
        };
        let told = serde_json::to_string(&event.told()).unwrap();
        assert!(told.contains("tell me") && !told.contains("curl"), "{told}");
        assert!(!told.contains("abc"), "{told}");
    }
}
