//! Leases: which mission goes to which agent, and which work is reviewed by whom.

use model::attempt::Attempt;
use model::effect::Effect;
use model::event::{Fact, Subject};
use model::id::AttemptId;
use model::refusal::Refusal;
use model::transition::MissionInput;

use super::Desk;
use crate::fault::{self, Fault};
use crate::input::Cycle;
use crate::schedule::{self, Start};

impl Desk<'_> {
    pub(super) fn schedule(&mut self, cycle: Cycle) -> Result<(), Refusal> {
        for start in schedule::plan(self.state, cycle.clone(), self.now) {
            self.lease(start)?;
        }
        // One review at a time: the next is looked for when this one is recorded.
        if self.decision.facts.is_empty()
            && let Some((attempt_id, index, agent_id)) =
                schedule::next_review(self.state, &cycle.held)
        {
            let mission_id = self.live(attempt_id)?.mission_id;
            let subject = self.state.subject_of_attempt(attempt_id);
            self.fact(subject, Fact::ReviewAssigned { attempt_id, index, agent_id });
            let review = Effect::Review { mission_id, attempt_id, index, agent_id };
            self.decision.effects.push(review);
        }
        Ok(())
    }

    fn lease(&mut self, start: Start) -> Result<(), Refusal> {
        let Start { mission_id, agent_id, choice } = start;
        let mut mission = self.mission(mission_id)?;
        mission.tries += 1;
        mission.not_before = None;
        let attempt_id = AttemptId::draw(self.now, self.draw);
        let attempt = Attempt {
            handoff: mission.handoff.clone(),
            choice: Some(choice),
            ..Attempt::leased(attempt_id, mission_id, agent_id, mission.attempts + 1, self.now)
        };
        let moved = self.moved(&mission, MissionInput::Lease, None)?;
        let subject = Subject {
            mission_id: Some(mission_id),
            attempt_id: Some(attempt_id),
            agent_id: Some(agent_id),
        };
        self.fact(subject, moved);
        self.fact(subject, Fact::AttemptLeased { attempt: attempt.clone() });
        self.decision.effects.push(Effect::Start { mission_id, attempt_id });
        if fault::is_on(Fault::DoubleAssignment) {
            let id = AttemptId::draw(self.now, self.draw);
            self.fact(subject, Fact::AttemptLeased { attempt: Attempt { id, ..attempt } });
        }
        Ok(())
    }
}
