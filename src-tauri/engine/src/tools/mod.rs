//! Tools: what an agent asks of us in its own name, over MCP.
//!
//! Invariant: who speaks comes from its token alone. A [`Speaker`] is made of nothing else, so what
//! an agent says about itself in an argument decides nothing, and it sees its own mission only.

mod ask;
mod desk;
mod more;
mod note;

use jiff::Timestamp;
use model::attempt::{Attempt, AttemptState};
use model::event::Actor;
use model::id::{AgentId, AttemptId, CorrelationId, MissionId};
use model::refusal::{Code, Refusal};
use sha2::{Digest, Sha256};

use crate::missions::invalid;
use crate::resolve::unreadable;
use crate::{Caller, Engine};

pub use agents::runtime::OWN_TOOLS;
pub use ask::{AskState, Question};
pub use desk::{MissionOfAgent, NoteTaken, OwnMessage};
pub(crate) use desk::{checked_text, one_line, progress_line};
pub use more::{Finding, Proposal};
pub(crate) use note::{clean, note};

/// The longest id a client gives a call, in bytes.
pub const CALL_ID_BYTES_MAX: usize = 128;
/// How long after the end of an attempt's program its last figures are taken, in seconds: some send
/// all of them when they exit.
const LATE_S: i64 = 300;

/// An attempt that speaks for itself: it showed its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    attempt: AttemptId,
    mission: MissionId,
    agent: AgentId,
    at_work: bool,
}

impl Speaker {
    /// The attempt.
    #[must_use]
    pub const fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// An attempt whose agent proved in another way who it is.
    pub(crate) fn of(attempt: &Attempt) -> Self {
        Self {
            attempt: attempt.id,
            mission: attempt.mission_id,
            agent: attempt.agent_id,
            at_work: is_at_work(attempt),
        }
    }

    /// Whether its program may be at work, so that it can use its tools; otherwise it can only
    /// deliver its last figures.
    #[must_use]
    pub const fn is_at_work(&self) -> bool {
        self.at_work
    }
}

/// One call of a tool.
#[derive(Debug, Clone, Copy)]
pub struct ToolCall<'a> {
    /// Who calls.
    pub who: &'a Speaker,
    /// The tool's name.
    pub tool: &'a str,
    /// What the client knows this call by: the same one is carried out once.
    pub id: Option<&'a str>,
    /// What everything is called that this call causes.
    pub correlation_id: CorrelationId,
}

impl ToolCall<'_> {
    /// The caller of a use case that changes something. `said` is what tells one call from another.
    fn caller(&self, said: &[&str]) -> Result<Caller, Refusal> {
        let key = match self.id {
            None => None,
            Some(id) if id.is_empty() || id.len() > CALL_ID_BYTES_MAX => {
                let message = format!("a call_id has 1 to {CALL_ID_BYTES_MAX} bytes");
                return Err(invalid(message).hint("leave it out, or choose a short one"));
            }
            Some(id) => Some(format!("mcp:{}:{}:{id}", self.who.attempt, self.tool)),
        };
        let mut hash = Sha256::new();
        for part in [self.tool].iter().chain(said) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        Ok(Caller {
            actor: Actor::Agent { id: self.who.agent },
            correlation_id: self.correlation_id,
            key,
            fingerprint: hash.finalize().into(),
        })
    }
}

impl Engine {
    /// Whose token this is: that of an attempt that is under way, or has just ended; nothing
    /// otherwise, and where it cannot be found out.
    pub async fn speaker(&self, token: &str) -> Option<Speaker> {
        let id = agents::token::claims(token)?;
        let (run, own) = (self.0.dir.attempt(id), token.to_owned());
        let proven = tokio::task::spawn_blocking(move || agents::token::is_of(&run, &own)).await;
        if !proven.unwrap_or(false) {
            return None;
        }
        let attempt = match self.0.ledger.attempt(id).await {
            Ok(attempt) => attempt?,
            Err(err) => {
                tracing::warn!(
                    error = &err as &dyn std::error::Error,
                    "a token could not be looked up"
                );
                return None;
            }
        };
        (self.is_heard(&attempt) && self.is_let_in(&attempt)).then(|| Speaker {
            attempt: id,
            mission: attempt.mission_id,
            agent: attempt.agent_id,
            at_work: is_at_work(&attempt),
        })
    }

    /// Whether the agent of an attempt still comes in by its access token, where it runs elsewhere: what
    /// it was given with its lease opens nothing for longer.
    fn is_let_in(&self, attempt: &Attempt) -> bool {
        let elsewhere = self.0.orchestrator.attached().standing(attempt.agent_id).is_some();
        !elsewhere || self.0.keys.lends_to(attempt.agent_id, self.now_for_keys())
    }

    /// Whether figures of an attempt are still taken.
    pub(crate) fn is_heard(&self, attempt: &Attempt) -> bool {
        is_heard(attempt, self.0.clock.now())
    }
}

/// Whether an attempt's program runs, or has just ended; work that waits for a review says nothing.
fn is_heard(attempt: &Attempt, now: Timestamp) -> bool {
    let exited = attempt.exit.as_ref().map(|record| record.ended_at);
    match exited.or(attempt.ended_at) {
        Some(ended) => now.duration_since(ended).as_secs() <= LATE_S,
        None => !attempt.state.is_final(),
    }
}

/// Whether an attempt's program may run.
fn is_at_work(attempt: &Attempt) -> bool {
    let runs = matches!(
        attempt.state,
        AttemptState::Leased | AttemptState::Starting | AttemptState::Running
    );
    runs && !attempt.stopping
}

/// The mission of a speaker is gone.
fn no_mission() -> Refusal {
    Refusal::new(Code::NotFound, "the mission was removed").hint("stop working on it")
}

impl Engine {
    /// The attempt of a speaker, as it is now.
    async fn attempt_of(&self, who: &Speaker) -> Result<Attempt, Refusal> {
        let attempt = self.0.ledger.attempt(who.attempt).await.map_err(unreadable)?;
        attempt.filter(is_at_work).ok_or_else(|| {
            Refusal::new(Code::Conflict, "the attempt has come to its end; nothing was changed")
                .hint("stop working")
        })
    }
}

#[cfg(test)]
mod tests {
    use model::id::SystemDraw;

    use super::*;

    #[test]
    fn tools_are_for_attempts_whose_program_may_run() {
        let now = model::Timestamp::UNIX_EPOCH;
        let draw = &mut SystemDraw;
        let (id, mission, agent) =
            (AttemptId::draw(now, draw), MissionId::draw(now, draw), AgentId::draw(now, draw));
        let attempt = |state, stopping| Attempt {
            state,
            stopping,
            ..Attempt::leased(id, mission, agent, 1, now)
        };
        let open: Vec<_> = AttemptState::ALL
            .into_iter()
            .filter(|state| is_at_work(&attempt(*state, false)))
            .collect();
        assert_eq!(open, [AttemptState::Leased, AttemptState::Starting, AttemptState::Running]);
        assert!(AttemptState::ALL.into_iter().all(|state| !is_at_work(&attempt(state, true))));
    }

    #[test]
    fn a_token_ends_soon_after_its_program_however_long_the_work_is_in_review() {
        let now = Timestamp::UNIX_EPOCH;
        let draw = &mut SystemDraw;
        let (id, mission, agent) =
            (AttemptId::draw(now, draw), MissionId::draw(now, draw), AgentId::draw(now, draw));
        let running = Attempt::leased(id, mission, agent, 1, now);
        let exit = serde_json::json!({
            "exit": {"kind": "code", "code": 0}, "ended_at": "1970-01-01T00:00:00Z", "cpu_ms": 0,
            "memory_peak_bytes": 0, "survivors": [],
        });
        let reviewed = Attempt {
            state: AttemptState::Verifying,
            exit: Some(serde_json::from_value(exit).unwrap()),
            ..running.clone()
        };
        let late = now + jiff::SignedDuration::from_secs(LATE_S);
        let later = late + jiff::SignedDuration::from_secs(1);
        assert!(is_heard(&running, later) && is_heard(&reviewed, late));
        assert!(!is_heard(&reviewed, later), "it may be in review for days");
    }
}
