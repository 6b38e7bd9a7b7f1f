//! Streaks: agents that fail again and again at once get no mission for a while, and those that have
//! to be logged in none until somebody says that they are.
//!
//! A restart spends money. What says so is what the ledger says about the last attempts: nothing is
//! kept anywhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use model::attempt::{Attempt, AttemptState};
use model::event::Fact;
use model::id::AgentId;
use model::process::Exit;
use model::status::{CRASH_LOOP_MIN, CRASH_LOOP_TIMES, HeldUntil, failed_at_once};
use store::ledger::{EventFilter, Ledger, ReadError};

use crate::state::State;

/// Agents that are held back, and until when.
pub type Held = Arc<BTreeMap<AgentId, HeldUntil>>;

/// The most attempts, and words of the captain, that are read at the start. An agent whose last attempt
/// is older fails once more before it is held back again.
const READ_MAX: u32 = 500;

/// The most words of the captain about one agent that are read at the start.
const WORDS_MAX: u32 = 20;

/// How the last attempts of agents failed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streaks {
    /// When, those that followed each other with nothing else between.
    failed: BTreeMap<AgentId, Vec<Timestamp>>,
    /// Agents whose last attempt ended because they have to be logged in, and when it did.
    logged_out: BTreeMap<AgentId, Timestamp>,
}

impl Streaks {
    /// What the ledger says of the last attempts.
    pub(crate) async fn read(ledger: &Ledger, now: Timestamp) -> Result<Self, ReadError> {
        let mut this = Self::default();
        for attempt in ledger.attempts_ended_since(Timestamp::UNIX_EPOCH, READ_MAX).await? {
            let at = attempt.ended_at.unwrap_or(now);
            this.ended(&attempt, attempt.state, at);
        }
        let since = now.saturating_sub(window()).unwrap_or(Timestamp::MIN);
        this.failed.values_mut().for_each(|failed| failed.retain(|at| *at >= since));
        this.failed.retain(|_, failed| !failed.is_empty());
        let known: BTreeSet<AgentId> =
            this.failed.keys().chain(this.logged_out.keys()).copied().collect();
        for id in known {
            let kinds = vec!["agent_cleared".to_owned(), "agent_changed".to_owned()];
            let filter = EventFilter {
                agent_id: Some(id),
                kinds,
                limit: WORDS_MAX,
                ..EventFilter::default()
            };
            for event in ledger.events(filter).await?.items {
                this.said(&event.fact, event.at);
            }
        }
        Ok(this)
    }

    /// Takes a fact in, before it is folded into the state.
    pub(crate) fn note(&mut self, fact: &Fact, at: Timestamp, state: &State) {
        match fact {
            Fact::AttemptEnded { attempt_id, state: ended, .. } => {
                if let Some(attempt) = state.attempts.get(attempt_id) {
                    self.ended(attempt, *ended, at);
                }
            }
            Fact::AgentRemoved { agent_id } => {
                self.failed.remove(agent_id);
                self.logged_out.remove(agent_id);
            }
            said => self.said(said, at),
        }
    }

    /// Takes in what the captain said of an agent. Whoever changes an agent, or lets it go on, may have
    /// given it the key it had not.
    fn said(&mut self, fact: &Fact, at: Timestamp) {
        let agent_id = match fact {
            Fact::AgentCleared { agent_id } => {
                if let Some(failed) = self.failed.get_mut(agent_id) {
                    failed.retain(|failed| *failed > at);
                }
                *agent_id
            }
            Fact::AgentChanged { agent } if !agent.paused => agent.id,
            _ => return,
        };
        if self.logged_out.get(&agent_id).is_some_and(|since| *since <= at) {
            self.logged_out.remove(&agent_id);
        }
    }

    fn ended(&mut self, attempt: &Attempt, state: AttemptState, at: Timestamp) {
        if matches!(attempt.exit(), Some(Exit::NoLogin { .. })) {
            self.logged_out.insert(attempt.agent_id, at);
        } else if attempt.process.is_some() {
            self.logged_out.remove(&attempt.agent_id);
        }
        if !failed_at_once(attempt, state) {
            self.failed.remove(&attempt.agent_id);
            return;
        }
        let failed = self.failed.entry(attempt.agent_id).or_default();
        failed.push(at);
        if failed.len() > CRASH_LOOP_TIMES {
            failed.remove(0);
        }
    }

    /// Which agents are held back, and until when: until they are logged in, or so long that no more
    /// than this number of failures falls into the window.
    pub(crate) fn held(&self, now: Timestamp) -> Held {
        let until = |failed: &Vec<Timestamp>| {
            let first = failed.first().filter(|_| failed.len() >= CRASH_LOOP_TIMES)?;
            first.checked_add(window()).ok().filter(|until| now < *until)
        };
        let failed = self.failed.iter();
        let failed = failed.filter_map(|(id, failed)| Some((*id, HeldUntil::At(until(failed)?))));
        // Of the two the later one in this list holds.
        let logged_out = self.logged_out.keys().map(|id| (*id, HeldUntil::LoggedIn));
        Arc::new(failed.chain(logged_out).collect())
    }
}

const fn window() -> SignedDuration {
    SignedDuration::from_mins(CRASH_LOOP_MIN)
}

#[cfg(test)]
mod tests {
    use model::id::{AttemptId, Draw, MissionId, SystemDraw};
    use model::process::{Exit, ExitRecord, ProcessIdentity, ProcessRef};

    use super::*;

    fn attempt(agent: AgentId, exit: Exit) -> Attempt {
        let now = Timestamp::UNIX_EPOCH;
        let draw = &mut SystemDraw as &mut dyn Draw;
        let (id, mission) = (AttemptId::draw(now, draw), MissionId::draw(now, draw));
        let exit = Some(ExitRecord::bare(exit, now));
        let process = Some(ProcessIdentity {
            shim: ProcessRef { pid: 2, start_ticks: 1 },
            program: ProcessRef { pid: 3, start_ticks: 1 },
            boot_id: "b".to_owned(),
            marker: "m".to_owned(),
            started_at: now,
        });
        Attempt { exit, process, ..Attempt::leased(id, mission, agent, 1, now) }
    }

    fn after(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn an_agent_is_held_back_after_five_failures_in_ten_minutes_until_they_are_past() {
        let agent = AgentId::draw(Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let mut streaks = Streaks::default();
        let failing = attempt(agent, Exit::Code { code: 1 });
        for minute in 0..4 {
            streaks.ended(&failing, AttemptState::Rejected, after(minute));
            assert!(streaks.held(after(minute)).is_empty());
        }
        streaks.ended(&failing, AttemptState::Rejected, after(4));
        assert_eq!(streaks.held(after(4)).get(&agent), Some(&HeldUntil::At(after(10))));
        assert!(streaks.held(after(10)).is_empty(), "the window has passed");
        // The next failure is one of five in ten minutes again.
        streaks.ended(&failing, AttemptState::Rejected, after(10));
        assert_eq!(streaks.held(after(10)).get(&agent), Some(&HeldUntil::At(after(11))));
        let mut state = State::default();
        streaks.note(&Fact::AgentCleared { agent_id: agent }, after(10), &state);
        assert!(streaks.held(after(10)).is_empty(), "the captain cleared it");
        state.admit_attempt(failing.clone(), Vec::new());
        for _ in 0..5 {
            let (attempt_id, ended) = (failing.id, AttemptState::Rejected);
            let fact = Fact::AttemptEnded { attempt_id, state: ended, note: None };
            streaks.note(&fact, after(20), &state);
        }
        assert_eq!(streaks.held(after(20)).len(), 1);
        streaks.ended(&attempt(agent, Exit::Code { code: 0 }), AttemptState::Accepted, after(21));
        assert!(streaks.held(after(21)).is_empty(), "it does well again");
    }

    #[test]
    fn an_agent_that_has_to_be_logged_in_is_held_back_until_somebody_says_that_it_is() {
        let agent = AgentId::draw(Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let out = attempt(agent, Exit::NoLogin { reason: "401".into() });
        let held = |streaks: &Streaks| streaks.held(after(600)).get(&agent).copied();
        let logged_out = || {
            let mut streaks = Streaks::default();
            streaks.ended(&out, AttemptState::Rejected, after(1));
            assert_eq!(held(&streaks), Some(HeldUntil::LoggedIn), "however long it takes");
            streaks
        };
        let mut streaks = logged_out();
        streaks.said(&Fact::AgentCleared { agent_id: agent }, after(0));
        assert_eq!(held(&streaks), Some(HeldUntil::LoggedIn), "that was before");
        streaks.said(&Fact::AgentCleared { agent_id: agent }, after(2));
        assert_eq!(held(&streaks), None);
        let mut streaks = logged_out();
        streaks.ended(&attempt(agent, Exit::Code { code: 1 }), AttemptState::Rejected, after(2));
        assert_eq!(held(&streaks), None, "it failed for another reason");
        let mut streaks = logged_out();
        streaks.note(&Fact::AgentRemoved { agent_id: agent }, after(2), &State::default());
        assert_eq!(held(&streaks), None);
    }

    #[test]
    fn work_that_is_claimed_to_be_done_or_was_stopped_is_no_failure_at_once() {
        let agent = AgentId::draw(Timestamp::UNIX_EPOCH, &mut SystemDraw);
        let mut streaks = Streaks::default();
        for (exit, state) in [
            (Exit::Code { code: 0 }, AttemptState::Rejected),
            (Exit::Stopped { killed: false }, AttemptState::Stopped),
            (Exit::Lost { reason: "gone".into() }, AttemptState::Lost),
        ] {
            for _ in 0..2 * CRASH_LOOP_TIMES {
                streaks.ended(&attempt(agent, exit.clone()), state, after(0));
            }
            assert!(streaks.held(after(0)).is_empty(), "{exit:?}");
        }
    }
}
