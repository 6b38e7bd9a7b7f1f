//! Which attempts are measured: a fold over the ledger's events.

use std::collections::BTreeMap;

use model::attempt::Attempt;
use model::event::{Event, Fact};
use model::id::{AgentId, AttemptId};
use model::process::ProcessIdentity;

/// An attempt whose processes are measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) attempt_id: AttemptId,
    pub(crate) agent_id: AgentId,
    pub(crate) process: ProcessIdentity,
}

/// An event that does not say all that is needed; the ledger must be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unclear;

/// The attempts whose programs should be running.
#[derive(Debug, Default)]
pub(crate) struct Roster(BTreeMap<AttemptId, Watched>);

impl Roster {
    /// Starts from the unfinished attempts; those without a program are not measured.
    pub(crate) fn from_attempts(attempts: Vec<Attempt>) -> Self {
        let watched = attempts.into_iter().filter_map(|attempt| {
            // Work in review waits for an answer: nothing of it runs.
            if attempt.exit.is_some() || attempt.in_review || attempt.state.is_final() {
                return None;
            }
            let process = attempt.process?;
            let watched = Watched { attempt_id: attempt.id, agent_id: attempt.agent_id, process };
            Some((attempt.id, watched))
        });
        Self(watched.collect())
    }

    /// Follows one event.
    pub(crate) fn apply(&mut self, event: &Event) -> Result<(), Unclear> {
        match &event.fact {
            Fact::AttemptStarted { attempt_id, process }
            | Fact::AttemptAdopted { attempt_id, process } => {
                let known = self.0.get(attempt_id).map(|watched| watched.agent_id);
                let agent_id = event.subject.agent_id.or(known).ok_or(Unclear)?;
                let watched =
                    Watched { attempt_id: *attempt_id, agent_id, process: process.clone() };
                self.0.insert(*attempt_id, watched);
            }
            Fact::AttemptExited { attempt_id, .. }
            | Fact::AttemptReviewing { attempt_id }
            | Fact::AttemptEnded { attempt_id, .. } => {
                self.0.remove(attempt_id);
            }
            _ => {}
        }
        Ok(())
    }

    /// What to measure now.
    pub(crate) fn watched(&self) -> Vec<Watched> {
        self.0.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use model::attempt::AttemptState;
    use model::event::{Actor, Subject};
    use model::process::ProcessRef;

    use super::*;

    const ATTEMPT: &str = "0198c0de-0000-7000-8000-00000000000a";
    const AGENT: &str = "0198c0de-0000-7000-8000-00000000000b";

    fn identity(pid: u32) -> ProcessIdentity {
        let process = ProcessRef { pid, start_ticks: 7 };
        ProcessIdentity {
            shim: process,
            program: process,
            boot_id: String::new(),
            marker: String::new(),
            started_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn event(agent_id: Option<AgentId>, fact: Fact) -> Event {
        Event {
            seq: 1,
            id: "0198c0de-0000-7000-8000-00000000000c".parse().unwrap(),
            at: jiff::Timestamp::UNIX_EPOCH,
            actor: Actor::Engine,
            correlation_id: None,
            subject: Subject { agent_id, ..Subject::default() },
            mission_seq: None,
            fact,
        }
    }

    #[test]
    fn an_attempt_is_measured_from_its_start_to_its_exit() {
        let (attempt_id, agent_id) = (ATTEMPT.parse().unwrap(), AGENT.parse().unwrap());
        let mut roster = Roster::default();
        let started = Fact::AttemptStarted { attempt_id, process: identity(40) };
        assert_eq!(roster.apply(&event(Some(agent_id), started)), Ok(()));
        assert_eq!(roster.watched()[0].process.shim.pid, 40);

        let adopted = Fact::AttemptAdopted { attempt_id, process: identity(41) };
        assert_eq!(roster.apply(&event(None, adopted)), Ok(()));
        assert_eq!(roster.watched()[0].process.shim.pid, 41);
        assert_eq!(roster.watched()[0].agent_id, agent_id);

        let ended = Fact::AttemptEnded { attempt_id, state: AttemptState::Lost, note: None };
        assert_eq!(roster.apply(&event(Some(agent_id), ended)), Ok(()));
        assert!(roster.watched().is_empty());
    }

    #[test]
    fn an_attempt_in_review_has_no_process_to_measure() {
        let (attempt_id, agent_id) = (ATTEMPT.parse().unwrap(), AGENT.parse().unwrap());
        let mut roster = Roster::default();
        let started = Fact::AttemptStarted { attempt_id, process: identity(40) };
        assert_eq!(roster.apply(&event(Some(agent_id), started)), Ok(()));
        let reviewing = Fact::AttemptReviewing { attempt_id };
        assert_eq!(roster.apply(&event(Some(agent_id), reviewing)), Ok(()));
        assert!(roster.watched().is_empty());

        let mission_id = "0198c0de-0000-7000-8000-00000000000d".parse().unwrap();
        let mut attempt =
            Attempt::leased(attempt_id, mission_id, agent_id, 1, jiff::Timestamp::UNIX_EPOCH);
        attempt.process = Some(identity(40));
        attempt.state = AttemptState::Verifying;
        let watched = |attempt: &Attempt| Roster::from_attempts(vec![attempt.clone()]).watched();
        assert_eq!(watched(&attempt).len(), 1);
        attempt.in_review = true;
        assert!(watched(&attempt).is_empty());
    }

    #[test]
    fn a_start_that_does_not_name_its_agent_asks_for_the_ledger() {
        let mut roster = Roster::default();
        let started =
            Fact::AttemptStarted { attempt_id: ATTEMPT.parse().unwrap(), process: identity(40) };
        assert_eq!(roster.apply(&event(None, started)), Err(Unclear));
    }
}
