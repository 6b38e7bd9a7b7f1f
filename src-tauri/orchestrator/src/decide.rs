//! `decide(state, input, now) → decision`: the pure core.

mod attempt;
mod captain;
mod crew;
mod house;
mod review;
mod start;
mod swarm;

use jiff::Timestamp;
use model::attempt::Attempt;
use model::effect::{Effect, OutboxEntry};
use model::event::{Fact, Subject};
use model::id::{AgentId, AttemptId, Draw, EffectId, MissionId};
use model::mission::Mission;
use model::refusal::{Code, Refusal};
use model::transition::{MissionInput, mission_next};

use crate::input::Input;
use crate::state::State;

pub(crate) use swarm::HALT_AT_ONCE;

/// What is to be recorded, and what is to be done once it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Facts, in order.
    pub facts: Vec<(Subject, Fact)>,
    /// Effects, in order.
    pub effects: Vec<Effect>,
    /// Effects of these attempts and this kind are carried out, although no fact says so.
    pub carried: Vec<(AttemptId, &'static str)>,
}

impl Decision {
    /// Which of the effects that are still open it shows to have been carried out; `open` gives
    /// those of an attempt.
    pub fn delivered<'a>(
        &self,
        open: impl Fn(AttemptId) -> Option<&'a Vec<OutboxEntry>>,
    ) -> Vec<EffectId> {
        let mut delivered = Vec::new();
        let mut mark = |id: AttemptId, is: &dyn Fn(&Effect) -> bool| {
            for entry in open(id).into_iter().flatten() {
                if is(&entry.effect) && !delivered.contains(&entry.id) {
                    delivered.push(entry.id);
                }
            }
        };
        for (_, fact) in &self.facts {
            match fact {
                Fact::AttemptStarted { attempt_id: id, .. }
                | Fact::AttemptExited { attempt_id: id, .. } => {
                    mark(*id, &|effect| matches!(effect, Effect::Start { .. }));
                }
                Fact::AttemptReviewing { attempt_id: id } => {
                    mark(*id, &|effect| matches!(effect, Effect::Verify { .. }));
                }
                Fact::AttemptVerifying { attempt_id: id } => {
                    mark(*id, &|effect| matches!(effect, Effect::Review { .. }));
                }
                Fact::GateFinished { attempt_id: id, result } => {
                    let place = result.index;
                    mark(*id, &|it| matches!(it, Effect::Review { index, .. } if *index == place));
                }
                Fact::AttemptEnded { attempt_id: id, .. } => mark(*id, &|_| true),
                _ => {}
            }
        }
        for (id, kind) in &self.carried {
            mark(*id, &|effect| effect.kind() == *kind);
        }
        delivered
    }
}

/// Decides. The same state, input, time and random bits always give the same decision.
///
/// # Errors
/// When the input is not possible now; nothing is to be recorded then.
pub fn decide(
    state: &State,
    input: Input,
    now: Timestamp,
    draw: &mut dyn Draw,
) -> Result<Decision, Refusal> {
    let mut desk = Desk { state, now, draw, decision: Decision::default() };
    match input {
        Input::AddAgent(agent) => desk.add_agent(agent)?,
        Input::RemoveAgent(id) => desk.remove_agent(id)?,
        Input::HoldAgent { id, paused } => desk.hold_agent(id, paused)?,
        Input::AddMission { mission, brief, queue } => desk.add_mission(mission, brief, queue)?,
        Input::EditMission { mission, brief } => desk.edit_mission(mission, brief)?,
        Input::Ask { id, wish } => desk.ask(id, wish)?,
        Input::Assign { id, agent } => desk.assign(id, agent)?,
        Input::Progress { id, progress, criteria } => desk.progress(id, progress, &criteria)?,
        Input::RemoveMission { id, trash } => desk.remove_mission(id, trash)?,
        Input::RestoreMission { id, trash_id } => desk.restore_mission(id, trash_id),
        Input::Schedule(cycle) => desk.schedule(cycle)?,
        Input::Prepared { id, workplace } => desk.prepared(id, workplace)?,
        Input::Started { id, process } => desk.started(id, process)?,
        Input::Adopted { id, process } => desk.adopted(id, process)?,
        Input::Exited { id, record } => desk.exited(id, record)?,
        Input::Secured { id, work } => desk.secured(id, work),
        Input::GateFinished { id, result } => desk.gate_finished(id, result)?,
        Input::Verified { id, problem } => desk.verified(id, problem)?,
        Input::Stopped { id, record, problem } => desk.stopped(id, record, problem)?,
        Input::Froze { id, frozen } => desk.froze(id, frozen),
        Input::Changed { id, note } => desk.changed(id, note)?,
        Input::Checkpointed(checkpoint) => desk.checkpointed(checkpoint),
        Input::Restored { id, checkpoint_id, before } => {
            desk.restored(id, checkpoint_id, before);
        }
        Input::Halt { note } => desk.halt(note)?,
        Input::ResumeSwarm => desk.resume_swarm()?,
        Input::Configure(settings) => desk.configure(settings)?,
        Input::SavePolicy(policy) => desk.save_policy(policy)?,
        Input::RemovePolicy(name) => desk.remove_policy(name)?,
        Input::SaveTemplate(template) => desk.save_template(template)?,
        Input::RemoveTemplate(name) => desk.house(Fact::TemplateRemoved { name }),
        Input::Trash(item) => desk.trash(item),
        Input::EmptyTrash { id, end } => desk.house(Fact::TrashEmptied { trash_id: id, end }),
        Input::OpenTopic(topic) => desk.open_topic(topic)?,
        Input::Vote(vote) => desk.vote(vote)?,
        Input::CloseTopic { id, option, note } => desk.close_topic(id, option, note)?,
    }
    Ok(desk.decision)
}

/// Where one decision is worked out.
struct Desk<'a> {
    state: &'a State,
    now: Timestamp,
    draw: &'a mut dyn Draw,
    decision: Decision,
}

impl<'a> Desk<'a> {
    fn fact(&mut self, subject: Subject, fact: Fact) {
        self.decision.facts.push((subject, fact));
    }

    fn mission(&self, id: MissionId) -> Result<Mission, Refusal> {
        self.state
            .missions
            .get(&id)
            .cloned()
            .ok_or_else(|| Refusal::new(Code::NotFound, "there is no such mission"))
    }

    /// The attempt, provided it is not over.
    fn live(&self, id: AttemptId) -> Result<&'a Attempt, Refusal> {
        let attempt = self.state.attempts.get(&id).filter(|attempt| !attempt.state.is_final());
        attempt.ok_or_else(|| {
            Refusal::new(Code::Conflict, "the attempt is over; its result comes too late")
        })
    }

    /// Keeps a result of an attempt that no longer holds the lease, without applying it.
    fn late(&mut self, id: AttemptId, note: String) {
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::ResultLate { attempt_id: id, note });
    }

    fn moved(
        &self,
        mission: &Mission,
        input: MissionInput,
        note: Option<String>,
    ) -> Result<Fact, Refusal> {
        Ok(Fact::MissionMoved {
            mission_id: mission.id,
            from: mission.state,
            to: mission_next(mission.state, input)?,
            note,
            grade: mission.grade,
            tries: mission.tries,
            recoveries: mission.recoveries,
            not_before: mission.not_before,
        })
    }

    /// Has an attempt stopped, unless that was asked for already.
    fn stop(&mut self, id: AttemptId) {
        let already = self.state.attempts.get(&id).is_some_and(|attempt| attempt.stopping);
        if !already {
            self.fact(self.state.subject_of_attempt(id), Fact::AttemptStopping { attempt_id: id });
            self.decision.effects.push(Effect::Stop { attempt_id: id });
        }
    }
}

const fn of_agent(id: AgentId) -> Subject {
    Subject { mission_id: None, attempt_id: None, agent_id: Some(id) }
}

const fn of_mission(mission: &Mission) -> Subject {
    Subject { mission_id: Some(mission.id), attempt_id: None, agent_id: mission.agent }
}

fn said(what: &str, note: Option<String>) -> String {
    match note.filter(|note| !note.trim().is_empty()) {
        Some(note) => format!("{what}: {}", note.trim()),
        None => what.to_owned(),
    }
}
