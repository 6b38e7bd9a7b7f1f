//! Waking an agent that shows no sign of life: each step is recorded with what it sets off.

use model::agent::Agent;
use model::attempt::{Attempt, AttemptState};
use model::event::Fact;
use model::mission::{Mission, MissionState};
use model::refusal::{Code, Refusal};
use model::rescue::RescueStep;
use model::status::span_in_words;
use model::transition::MissionInput;

use super::Desk;
use crate::input::Rescue;

impl Desk<'_> {
    pub(super) fn rescue(&mut self, rescue: Rescue) -> Result<(), Refusal> {
        let Rescue { id, step, silent_s, message } = rescue;
        let attempt = self.live(id)?;
        let mission = self.mission(attempt.mission_id)?;
        let agent = self.agent(attempt.agent_id)?;
        self.may_be_woken(agent, attempt, &mission)?;
        let subject = self.state.subject_of_attempt(id);
        let at = self.now;
        self.fact(subject, Fact::AttemptRescued { attempt_id: id, step, silent_s, at });
        if let Some(message) = message {
            self.queue_message(*message)?;
        }
        if step == RescueStep::Restart {
            self.restart(mission, attempt, silent_s)?;
        }
        Ok(())
    }

    /// Only what works, and is held back by nobody.
    fn may_be_woken(
        &self,
        agent: &Agent,
        attempt: &Attempt,
        mission: &Mission,
    ) -> Result<(), Refusal> {
        let works = attempt.state == AttemptState::Running
            && mission.state == MissionState::Running
            && !attempt.stopping
            && !attempt.frozen;
        if works && !agent.paused && self.state.halted.is_none() {
            return Ok(());
        }
        let message = format!("{} is not at work, or it is held back", agent.name);
        Err(Refusal::new(Code::Conflict, message))
    }

    /// Ends an attempt that could not be woken: another one takes the mission where tries are left.
    fn restart(
        &mut self,
        mut mission: Mission,
        attempt: &Attempt,
        silent_s: u64,
    ) -> Result<(), Refusal> {
        self.stop(attempt.id);
        let note = format!(
            "the agent showed no sign of life for {} and was not to be woken",
            span_in_words(silent_s)
        );
        let left = (mission.retries_max + 1).saturating_sub(mission.tries);
        let moved = if left == 0 {
            self.moved(&mission, MissionInput::Fail, Some(note))?
        } else {
            mission.not_before = Some(self.now + self.backoff(&mission, mission.tries));
            let note = format!("{note}; {left} of {} retries left", mission.retries_max);
            self.moved(&mission, MissionInput::Requeue, Some(note))?
        };
        self.fact(self.state.subject_of_attempt(attempt.id), moved);
        Ok(())
    }
}
