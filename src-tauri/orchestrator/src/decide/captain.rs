//! What the captain asks of missions.

use std::collections::BTreeSet;

use model::attempt::{Attempt, AttemptState};
use model::effect::Effect;
use model::event::{Fact, Subject};
use model::gate::Grade;
use model::id::{AgentId, MissionId, TrashId};
use model::mission::{Mission, MissionState, Progress};
use model::refusal::{Code, Refusal};
use model::transition::{AttemptInput, MissionInput, allowed, attempt_next};
use model::trash::{TrashEnd, TrashItem};

use super::{Desk, of_mission, said};
use crate::input::Wish;

impl Desk<'_> {
    pub(super) fn add_mission(
        &mut self,
        mission: Mission,
        brief: String,
        queue: bool,
    ) -> Result<(), Refusal> {
        self.check_links(&mission)?;
        let moved = queue.then(|| self.moved(&mission, MissionInput::Queue, None)).transpose()?;
        let subject =
            Subject { mission_id: Some(mission.id), agent_id: mission.agent, attempt_id: None };
        self.fact(subject, Fact::MissionCreated { mission, brief });
        if let Some(moved) = moved {
            self.fact(subject, moved);
        }
        Ok(())
    }

    pub(super) fn edit_mission(
        &mut self,
        mission: Mission,
        brief: Option<String>,
    ) -> Result<(), Refusal> {
        let known = self.mission(mission.id)?;
        let open = matches!(
            known.state,
            MissionState::Draft
                | MissionState::Queued
                | MissionState::Paused
                | MissionState::InReview
                | MissionState::Failed
                | MissionState::Cancelled
        );
        if !open {
            let state = known.state.as_str().replace('_', " ");
            let message = format!("{} is {state}; it cannot be changed now", known.short_id);
            return Err(Refusal::new(Code::TransitionRefused, message)
                .hint("wait until its attempt has ended, or pause it first"));
        }
        self.check_links(&mission)?;
        let mission = Mission {
            id: known.id,
            short_id: known.short_id,
            state: known.state,
            note: known.note,
            attempts: known.attempts,
            tries: known.tries,
            recoveries: known.recoveries,
            not_before: known.not_before,
            handoff: known.handoff,
            progress: known.progress,
            merged: known.merged,
            grade: known.grade,
            demo: known.demo,
            created_at: known.created_at,
            updated_at: self.now,
            ..mission
        };
        self.fact(of_mission(&mission), Fact::MissionChanged { mission, brief });
        Ok(())
    }

    /// Refuses an unknown agent, unknown dependencies and cycles of them.
    fn check_links(&self, mission: &Mission) -> Result<(), Refusal> {
        if let Some(agent) = mission.agent {
            self.agent(agent)?;
        }
        for id in &mission.depends_on {
            if self.state.dependency(*id).is_none() && *id != mission.id {
                let message = format!("there is no mission {id} to depend on");
                return Err(Refusal::new(Code::NotFound, message)
                    .hint("name an existing mission by its id, such as M-7K2P"));
            }
        }
        match self.cycle(mission) {
            None => Ok(()),
            Some(way) => {
                let message = format!("the dependencies go in a circle: {}", way.join(" → "));
                Err(Refusal::new(Code::Conflict, message)
                    .hint("remove one of these dependencies; nothing was changed"))
            }
        }
    }

    /// The readable ids along a circle of dependencies that leads back to the mission.
    fn cycle(&self, mission: &Mission) -> Option<Vec<String>> {
        let name = |id: MissionId| match self.state.dependency(id) {
            _ if id == mission.id => mission.short_id.as_str().to_owned(),
            Some((short, _)) => short.to_owned(),
            None => id.to_string(),
        };
        let mut seen = BTreeSet::new();
        // Each entry is a way from the mission to a place not looked at yet.
        let mut ways: Vec<Vec<MissionId>> =
            mission.depends_on.iter().map(|id| vec![mission.id, *id]).collect();
        while let Some(way) = ways.pop() {
            let last = *way.last()?;
            if last == mission.id {
                return Some(way.into_iter().map(name).collect());
            }
            if seen.insert(last) {
                let known = self.state.missions.get(&last).map(|it| &it.depends_on);
                let known =
                    known.or_else(|| self.state.elsewhere.get(&last).map(|it| &it.depends_on));
                ways.extend(known.into_iter().flatten().map(|next| {
                    let mut further = way.clone();
                    further.push(*next);
                    further
                }));
            }
        }
        None
    }

    pub(super) fn ask(&mut self, id: MissionId, wish: Wish) -> Result<(), Refusal> {
        let mission = self.mission(id)?;
        if !wish.input.is_captains() {
            let message = format!("'{}' is not for the captain to ask", wish.input.as_str());
            let names = allowed(mission.state).iter().map(|i| i.as_str().to_owned()).collect();
            return Err(Refusal::new(Code::TransitionRefused, message).allowed(names));
        }
        let attempt = self.state.attempt_of_mission(id);
        match wish.input {
            MissionInput::Accept => self.accept(mission, attempt, wish),
            MissionInput::Pause => self.pause(mission, attempt, wish),
            MissionInput::Resume => self.resume(mission, attempt, wish),
            MissionInput::Cancel => self.cancel(mission, attempt, wish),
            MissionInput::SendBack => self.send_back(mission, attempt, wish),
            MissionInput::Retry => self.retry(mission, attempt, wish),
            MissionInput::Reject => {
                let note = said("rejected by the captain", wish.note);
                self.close_review(attempt, &note)?;
                let moved = self.moved(&mission, MissionInput::Reject, Some(note))?;
                self.fact(of_mission(&mission), moved);
                Ok(())
            }
            input => {
                let moved = self.moved(&mission, input, wish.note)?;
                self.fact(of_mission(&mission), moved);
                Ok(())
            }
        }
    }

    fn pause(
        &mut self,
        mut mission: Mission,
        attempt: Option<&Attempt>,
        wish: Wish,
    ) -> Result<(), Refusal> {
        let note = said("held back by the captain", wish.note);
        let held = attempt.filter(|attempt| !attempt.stopping);
        let freeze = wish.keep_processes
            && mission.state == MissionState::Running
            && held.is_some_and(|attempt| attempt.state == AttemptState::Running);
        // What is held back did not fail: the try does not count.
        if held.is_some() && !freeze {
            mission.tries = mission.tries.saturating_sub(1);
        }
        let moved = self.moved(&mission, MissionInput::Pause, Some(note))?;
        self.fact(of_mission(&mission), moved);
        match held {
            Some(attempt) if freeze => {
                let subject = self.state.subject_of_attempt(attempt.id);
                self.fact(subject, Fact::AttemptFrozen { attempt_id: attempt.id, frozen: true });
                self.decision.effects.push(Effect::Freeze { attempt_id: attempt.id });
            }
            Some(attempt) => self.stop(attempt.id),
            None => {}
        }
        Ok(())
    }

    fn resume(
        &mut self,
        mut mission: Mission,
        attempt: Option<&Attempt>,
        wish: Wish,
    ) -> Result<(), Refusal> {
        let held = attempt.filter(|attempt| attempt.frozen && !attempt.stopping);
        let Some(held) = held else {
            // What ended while it was held did not fail: there is a try left.
            mission.tries = mission.tries.min(mission.retries_max);
            let moved = self.moved(&mission, MissionInput::Resume, wish.note)?;
            self.fact(of_mission(&mission), moved);
            return Ok(());
        };
        if self.state.halted.is_some() {
            return Err(Refusal::new(Code::Conflict, "everything is stopped")
                .hint("resume the swarm first"));
        }
        let moved = self.moved(&mission, MissionInput::Continue, wish.note)?;
        let subject = self.state.subject_of_attempt(held.id);
        self.fact(subject, moved);
        if self.state.requests_of(held.id).next().is_some() {
            mission.state = MissionState::Running;
            let asks = self.moved(&mission, MissionInput::Ask, Some("still asks".to_owned()))?;
            self.fact(subject, asks);
        }
        self.fact(subject, Fact::AttemptFrozen { attempt_id: held.id, frozen: false });
        self.decision.effects.push(Effect::Freeze { attempt_id: held.id });
        Ok(())
    }

    fn cancel(
        &mut self,
        mission: Mission,
        attempt: Option<&Attempt>,
        wish: Wish,
    ) -> Result<(), Refusal> {
        let note = said("cancelled by the captain", wish.note);
        let moved = self.moved(&mission, MissionInput::Cancel, Some(note))?;
        self.fact(of_mission(&mission), moved);
        if let Some(attempt) = attempt {
            self.stop(attempt.id);
        }
        Ok(())
    }

    fn retry(
        &mut self,
        mut mission: Mission,
        attempt: Option<&Attempt>,
        wish: Wish,
    ) -> Result<(), Refusal> {
        if attempt.is_some_and(|attempt| attempt.stopping || !attempt.in_review) {
            let message = "its last attempt is still being stopped";
            return Err(Refusal::new(Code::Conflict, message).hint("try again in a moment"));
        }
        let moved = {
            mission.tries = 0;
            mission.recoveries = 0;
            mission.not_before = None;
            mission.grade = Grade::None;
            self.moved(&mission, MissionInput::Retry, wish.note)?
        };
        let subject = of_mission(&mission);
        if let Some(attempt) = attempt.filter(|_| !wish.fresh) {
            self.hand_over(&mission, attempt, "The captain wants another attempt at it.");
        }
        self.close_review(attempt, "another attempt was asked for")?;
        if wish.fresh && mission.handoff.is_some() {
            self.fact(subject, Fact::HandoffWritten { mission_id: mission.id, handoff: None });
        }
        self.fact(subject, moved);
        Ok(())
    }

    fn send_back(
        &mut self,
        mut mission: Mission,
        attempt: Option<&Attempt>,
        wish: Wish,
    ) -> Result<(), Refusal> {
        let findings = wish.note.filter(|note| !note.trim().is_empty()).ok_or_else(|| {
            Refusal::new(Code::InvalidInput, "nothing says what is to be changed")
                .hint("write what the agent is to change; it gets exactly this text")
        })?;
        mission.tries = 0;
        mission.recoveries = 0;
        mission.not_before = None;
        mission.grade = Grade::None;
        let note = said("sent back by the captain", Some(findings.clone()));
        let moved = self.moved(&mission, MissionInput::SendBack, Some(note.clone()))?;
        if let Some(attempt) = attempt {
            self.hand_over(&mission, attempt, &format!("The captain's review:\n\n{findings}"));
        }
        self.close_review(attempt, &note)?;
        self.fact(of_mission(&mission), moved);
        Ok(())
    }

    /// Ends the attempt whose work was under review.
    pub(super) fn close_review(
        &mut self,
        attempt: Option<&Attempt>,
        note: &str,
    ) -> Result<(), Refusal> {
        let Some(attempt) = attempt.filter(|attempt| attempt.in_review) else {
            return Ok(());
        };
        let state = attempt_next(attempt.state, AttemptInput::Reject)?;
        let note = Some(note.to_owned());
        let subject = self.state.subject_of_attempt(attempt.id);
        self.fact(subject, Fact::AttemptEnded { attempt_id: attempt.id, state, note });
        Ok(())
    }

    pub(super) fn assign(&mut self, id: MissionId, agent: Option<AgentId>) -> Result<(), Refusal> {
        let mission = self.mission(id)?;
        if let Some(agent) = agent {
            self.agent(agent)?;
        }
        if mission.state.has_live_attempt() || mission.state == MissionState::Done {
            let message = format!(
                "{} is {}; its agent cannot be changed now",
                mission.short_id,
                mission.state.as_str().replace('_', " ")
            );
            return Err(Refusal::new(Code::TransitionRefused, message)
                .hint("cancel it first, then retry it with another agent"));
        }
        let subject = Subject { mission_id: Some(id), agent_id: agent, attempt_id: None };
        self.fact(subject, Fact::MissionAssigned { mission_id: id, agent_id: agent });
        if mission.state == MissionState::Draft {
            let moved = self.moved(&mission, MissionInput::Queue, None)?;
            self.fact(subject, moved);
        }
        Ok(())
    }

    pub(super) fn progress(
        &mut self,
        id: MissionId,
        progress: Progress,
        marks: &[(usize, bool)],
    ) -> Result<(), Refusal> {
        let mission = self.mission(id)?;
        if mission.state.is_final() {
            let message = format!("{} is {}", mission.short_id, mission.state);
            return Err(Refusal::new(Code::Conflict, message));
        }
        let mut criteria = mission.criteria.clone();
        for (place, met) in marks {
            let count = criteria.len();
            let criterion = criteria.get_mut(*place).ok_or_else(|| {
                let message = format!("there is no criterion {place}; there are {count}");
                Refusal::new(Code::InvalidInput, message).hint("they are counted from 0")
            })?;
            criterion.met = *met;
        }
        let subject = of_mission(&mission);
        self.fact(subject, Fact::MissionProgressed { mission_id: id, progress, criteria });
        Ok(())
    }

    pub(super) fn remove_mission(
        &mut self,
        id: MissionId,
        trash: Option<TrashItem>,
    ) -> Result<(), Refusal> {
        let mission = self.mission(id)?;
        let open = !mission.state.is_final() && mission.state != MissionState::Draft;
        if open || self.state.attempt_of_mission(id).is_some() {
            let message = format!("{} is not finished", mission.short_id);
            return Err(Refusal::new(Code::Conflict, message).hint("cancel it first"));
        }
        if let Some(item) = trash {
            self.fact(of_mission(&mission), Fact::Trashed { item });
        }
        self.fact(of_mission(&mission), Fact::MissionRemoved { mission_id: id });
        Ok(())
    }

    pub(super) fn restore_mission(&mut self, id: MissionId, trash_id: TrashId) {
        let subject = Subject { mission_id: Some(id), attempt_id: None, agent_id: None };
        self.fact(subject, Fact::MissionRestored { mission_id: id });
        self.fact(subject, Fact::TrashEmptied { trash_id, end: TrashEnd::Restored });
    }
}
