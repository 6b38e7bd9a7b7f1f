//! The emergency stop, and going on after it.

use model::event::{Fact, Subject};
use model::mission::MissionState;
use model::refusal::{Code, Refusal};
use model::transition::MissionInput;

use super::{Desk, said};

/// Attempts that one decision stops; it is asked for again until none is left.
pub(crate) const HALT_AT_ONCE: usize = 200;

impl Desk<'_> {
    /// Stops every attempt, [`HALT_AT_ONCE`] at a time. Missions that were under way wait in the queue; the try does not count.
    pub(super) fn halt(&mut self, note: Option<String>) -> Result<(), Refusal> {
        if self.state.halted.is_none() {
            let fact = Fact::SwarmHalted { note: note.clone(), at: self.now };
            self.fact(Subject::default(), fact);
        }
        let reason = said("stopped with the whole swarm", note);
        let live = self.state.attempts.values().filter(|attempt| attempt.occupies_agent());
        for attempt in live.filter(|attempt| !attempt.stopping).take(HALT_AT_ONCE) {
            let mut mission = self.mission(attempt.mission_id)?;
            self.stop(attempt.id);
            // A mission that is held stays held.
            if mission.state != MissionState::Paused {
                mission.tries = mission.tries.saturating_sub(1);
                let moved = self.moved(&mission, MissionInput::Requeue, Some(reason.clone()))?;
                self.fact(self.state.subject_of_attempt(attempt.id), moved);
            }
        }
        Ok(())
    }

    pub(super) fn resume_swarm(&mut self) -> Result<(), Refusal> {
        if self.state.halted.is_none() {
            return Err(Refusal::new(Code::Conflict, "the swarm is not stopped"));
        }
        self.fact(Subject::default(), Fact::SwarmResumed);
        Ok(())
    }
}
