//! Answers that come from outside: reviewing agents, build servers, and the captain.

use model::attempt::Attempt;
use model::effect::Effect;
use model::event::Fact;
use model::gate::{Answerer, GateResult, GateSpec, Grade, Verdict};
use model::id::{AttemptId, MissionId};
use model::mission::{Mission, MissionState};
use model::refusal::{Code, Refusal};
use model::transition::{AttemptInput, MissionInput, attempt_next, mission_next};

use super::{Desk, of_mission, said};
use crate::input::Wish;
use crate::judge::{self, Judgement, Results, is_fresh};

impl Desk<'_> {
    pub(super) fn gate_finished(
        &mut self,
        id: AttemptId,
        mut result: GateResult,
    ) -> Result<(), Refusal> {
        let Ok(attempt) = self.live(id) else {
            self.late(id, format!("{}: {}", result.gate.label(), result.reason));
            return Ok(());
        };
        let mission = self.mission(attempt.mission_id)?;
        if let GateSpec::Ci { name } = &result.gate {
            result.index = self.place_of_ci(&mission, attempt, name);
        }
        let fresh = is_fresh(&result, attempt);
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::GateFinished { attempt_id: id, result: result.clone() });
        if !attempt.in_review || attempt.stopping || !fresh {
            return Ok(());
        }
        let mut results = self.state.results.get(&id).cloned().unwrap_or_default();
        results.insert(result.index, result.clone());
        self.judge_again(mission, attempt, &results, &result)
    }

    /// The place of a build's result: where one of that name stands already, else that of the
    /// mission's gate of that name, else behind them all.
    fn place_of_ci(&self, mission: &Mission, attempt: &Attempt, name: &str) -> u32 {
        let is_it = |gate: &GateSpec| matches!(gate, GateSpec::Ci { name: its } if its == name);
        let own = (0..).zip(&mission.gates).find(|(_, gate)| is_it(gate)).map(|(index, _)| index);
        self.place(mission, attempt, own, &is_it)
    }

    /// Where the result of a gate is kept, so that it takes the place of no other gate's: the gates
    /// may have been changed since those answered.
    fn place(
        &self,
        mission: &Mission,
        attempt: &Attempt,
        own: Option<u32>,
        is_it: &dyn Fn(&GateSpec) -> bool,
    ) -> u32 {
        let none = Results::new();
        let results = self.state.results.get(&attempt.id).unwrap_or(&none);
        let its = |index: &u32| results.get(index).is_some_and(|there| is_it(&there.gate));
        let before = || results.iter().find(|(_, it)| is_it(&it.gate)).map(|(index, _)| *index);
        let free = own.filter(|index| !results.contains_key(index));
        let behind = u32::try_from(mission.gates.len()).unwrap_or(u32::MAX);
        let next = results.keys().next_back().map_or(behind, |last| (last + 1).max(behind));
        own.filter(its).or_else(before).or(free).unwrap_or(next)
    }

    fn judge_again(
        &mut self,
        mut mission: Mission,
        attempt: &Attempt,
        results: &Results,
        result: &GateResult,
    ) -> Result<(), Refusal> {
        if mission.state != MissionState::InReview {
            return Ok(());
        }
        let rejected =
            result.gate.answerer() == Answerer::Agent && result.verdict == Verdict::Failed;
        if rejected && mission.tries <= mission.retries_max {
            let by = result.by.as_deref().unwrap_or("a reviewing agent");
            let findings = format!("{by} rejected the work: {}", result.reason);
            self.hand_over(&mission, attempt, &format!("{findings}\n\n{}", result.output.trim()));
            self.close_review(Some(attempt), &findings)?;
            let moved = self.moved(&mission, MissionInput::Requeue, Some(findings))?;
            self.fact(of_mission(&mission), moved);
            return Ok(());
        }
        let Some(exit) = attempt.exit() else {
            return Ok(());
        };
        if let Judgement::Done { grade, note } = judge::judge(&mission, attempt, exit, results) {
            mission.grade = grade;
            self.finish(&mission, attempt, MissionInput::Pass, note)?;
        }
        Ok(())
    }

    fn finish(
        &mut self,
        mission: &Mission,
        attempt: &Attempt,
        input: MissionInput,
        note: String,
    ) -> Result<(), Refusal> {
        let state = attempt_next(attempt.state, AttemptInput::Accept)?;
        let moved = self.moved(mission, input, Some(note.clone()))?;
        let subject = self.state.subject_of_attempt(attempt.id);
        self.fact(subject, Fact::AttemptEnded { attempt_id: attempt.id, state, note: Some(note) });
        self.fact(subject, moved);
        Ok(())
    }

    pub(super) fn accept(
        &mut self,
        mut mission: Mission,
        attempt: Option<&Attempt>,
        wish: Wish,
    ) -> Result<(), Refusal> {
        mission_next(mission.state, MissionInput::Accept)?;
        let attempt = attempt.filter(|attempt| attempt.in_review);
        if let Some(attempt) = attempt {
            self.may_accept(&mission, attempt, &wish)?;
            self.answer_for_the_captain(&mission, attempt);
        }
        mission.grade = Grade::Human;
        let note = said("accepted by the captain", wish.note);
        match attempt {
            Some(attempt) => self.finish(&mission, attempt, MissionInput::Accept, note)?,
            None => {
                let moved = self.moved(&mission, MissionInput::Accept, Some(note))?;
                self.fact(of_mission(&mission), moved);
            }
        }
        if let Some(merge) = wish.merge {
            self.fact(of_mission(&mission), Fact::WorkMerged { mission_id: mission.id, merge });
        }
        Ok(())
    }

    fn may_accept(&self, mission: &Mission, attempt: &Attempt, wish: &Wish) -> Result<(), Refusal> {
        let none = Results::new();
        let results = self.state.results.get(&attempt.id).unwrap_or(&none);
        let reasons = judge::in_the_way(mission, attempt, results);
        if !reasons.is_empty() {
            let message =
                format!("{} cannot be accepted: {}", mission.short_id, reasons.join("; "));
            return Err(Refusal::new(Code::Conflict, message).hint(
                "wait for the answer, send the work back, or take the gate off the mission",
            ));
        }
        let there = attempt.work.as_ref().map(|work| work.head_commit.as_str());
        match (wish.reviewed.as_deref(), there) {
            (Some(reviewed), Some(there)) if reviewed != there => {
                let message = format!("the work is at {there}, not at {reviewed}");
                Err(Refusal::new(Code::Conflict, message)
                    .hint("look at the review again; nothing was accepted"))
            }
            _ => Ok(()),
        }
    }

    /// Keeps the captain's answer as evidence for each gate that asks for it.
    fn answer_for_the_captain(&mut self, mission: &Mission, attempt: &Attempt) {
        let subject = self.state.subject_of_attempt(attempt.id);
        for (own, gate) in (0..).zip(&mission.gates) {
            if gate.answerer() == Answerer::Captain {
                let index = self.place(mission, attempt, Some(own), &|its| its == gate);
                let result = GateResult {
                    index,
                    gate: gate.clone(),
                    verdict: Verdict::Passed,
                    exit_code: None,
                    reason: "the captain accepted the work".to_owned(),
                    output: String::new(),
                    output_bytes: 0,
                    commit: attempt.work.as_ref().map(|work| work.head_commit.clone()),
                    tree: attempt.work.as_ref().and_then(|work| work.tree.clone()),
                    checks: None,
                    by: Some("captain".to_owned()),
                    started_at: self.now,
                    duration_ms: 0,
                };
                self.fact(subject, Fact::GateFinished { attempt_id: attempt.id, result });
            }
        }
    }

    /// The work under review is not as it was: its gates run again on what it is now.
    pub(super) fn changed(&mut self, id: MissionId, note: String) -> Result<(), Refusal> {
        let mut mission = self.mission(id)?;
        let attempt = self.state.attempt_of_mission(id).filter(|attempt| attempt.in_review);
        let attempt = attempt.ok_or_else(|| {
            Refusal::new(Code::Conflict, format!("{} has no work under review", mission.short_id))
        })?;
        mission.grade = Grade::None;
        let moved = self.moved(&mission, MissionInput::Recheck, Some(note))?;
        let subject = self.state.subject_of_attempt(attempt.id);
        self.fact(subject, Fact::AttemptVerifying { attempt_id: attempt.id });
        self.fact(subject, moved);
        let verify = Effect::Verify { mission_id: id, attempt_id: attempt.id };
        self.decision.effects.push(verify);
        Ok(())
    }
}
