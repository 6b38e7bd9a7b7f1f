//! `decide(state, input, now) → decision`: the pure core.

mod attempt;
mod captain;
mod crew;
mod house;
mod inbox;
mod messages;
mod rescue;
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

pub use house::{possible_policy, possible_settings, possible_template};

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
                | Fact::AttemptTaken { attempt_id: id }
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
    desk.take(input)?;
    desk.withdraw();
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
    /// Decides on one input.
    fn take(&mut self, input: Input) -> Result<(), Refusal> {
        match input {
            Input::AddAgent(agent) => self.add_agent(agent)?,
            Input::RemoveAgent(id) => self.remove_agent(id)?,
            Input::HoldAgent { id, paused } => self.hold_agent(id, paused)?,
            Input::ClearAgent(id) => self.clear_agent(id)?,
            Input::AddMission { mission, brief, queue } => {
                self.add_mission(mission, brief, queue)?
            }
            Input::EditMission { mission, brief } => self.edit_mission(mission, brief)?,
            Input::Ask { id, wish } => self.ask(id, wish)?,
            Input::Assign { id, agent } => self.assign(id, agent)?,
            Input::Progress { id, progress, criteria } => self.progress(id, progress, &criteria)?,
            Input::RemoveMission { id, trash } => self.remove_mission(id, trash)?,
            Input::RestoreMission { id, trash_id } => self.restore_mission(id, trash_id),
            Input::Schedule(cycle) => self.schedule(cycle)?,
            Input::Prepared { id, workplace } => self.prepared(id, workplace)?,
            Input::Started { id, process } => self.started(id, process)?,
            Input::Taken { id } => self.taken(id)?,
            Input::Adopted { id, process } => self.adopted(id, process)?,
            Input::Exited { id, record } => self.exited(id, record)?,
            Input::Secured { id, work } => self.secured(id, work),
            Input::GateFinished { id, result } => self.gate_finished(id, result)?,
            Input::Verified { id, problem } => self.verified(id, problem)?,
            Input::Stopped { id, record, problem } => self.stopped(id, record, problem)?,
            Input::Froze { id, frozen } => self.froze(id, frozen),
            Input::Changed { id, note } => self.changed(id, note)?,
            Input::Checkpointed(checkpoint) => self.checkpointed(checkpoint),
            Input::Restored { id, checkpoint_id, before } => {
                self.restored(id, checkpoint_id, before);
            }
            other => self.take_of_house(other)?,
        }
        Ok(())
    }

    /// Decides on an input that is about the whole workspace.
    fn take_of_house(&mut self, input: Input) -> Result<(), Refusal> {
        match input {
            Input::Halt { note } => self.halt(note)?,
            Input::ResumeSwarm => self.resume_swarm()?,
            Input::Several(inputs) => {
                for input in inputs {
                    self.take(input)?;
                }
            }
            Input::Record(fact) => self.house(fact),
            Input::Configure(settings) => self.configure(settings)?,
            Input::SavePolicy(policy) => self.save_policy(policy)?,
            Input::RemovePolicy(name) => self.remove_policy(name)?,
            Input::SaveTemplate(template) => self.save_template(template)?,
            Input::RemoveTemplate(name) => self.house(Fact::TemplateRemoved { name }),
            Input::Trash(item) => self.trash(item),
            Input::EmptyTrash { id, end } => self.house(Fact::TrashEmptied { trash_id: id, end }),
            Input::OpenTopic(topic) => self.open_topic(topic)?,
            Input::Vote(vote) => self.vote(vote)?,
            Input::CloseTopic { id, option, note } => self.close_topic(id, option, note)?,
            other => self.take_of_talk(other)?,
        }
        Ok(())
    }

    /// Decides on an input that is about what passes between agents and the captain.
    fn take_of_talk(&mut self, input: Input) -> Result<(), Refusal> {
        match input {
            Input::EditAgent(agent) => self.edit_agent(agent)?,
            Input::QueueMessage(message) => self.queue_message(message)?,
            Input::Delivered { messages, id } => self.delivered_messages(&messages, id),
            Input::Begun { messages } => self.begun(&messages),
            Input::Answered { messages } => self.answered(&messages),
            Input::NotDelivered { id, problem } => self.not_delivered(id, problem),
            Input::RetryMessage(id) => self.retry_message(id)?,
            Input::DiscardMessage(id) => self.discard_message(id)?,
            Input::Asked(request) => self.asked(*request)?,
            Input::Reply { id, reply } => self.reply(id, reply)?,
            Input::Withdrawn { id, why } => self.withdrawn(id, why)?,
            Input::ReplyTold(request_id) => self.reply_told(request_id),
            Input::AddRule(rule) => self.house(Fact::RuleAdded { rule }),
            Input::RemoveRule(rule_id) => self.house(Fact::RuleRemoved { rule_id }),
            Input::Measured { id, usage } => self.measured(id, *usage),
            Input::ContextCrossed { id, percent, context } => {
                let subject = self.state.subject_of_attempt(id);
                self.fact(subject, Fact::ContextCrossed { attempt_id: id, percent, context });
            }
            Input::Acknowledged { id, said } => self.acknowledged(id, said),
            Input::WriteHandoff { id, text } => self.write_handoff(id, text)?,
            Input::Rescue(rescue) => self.rescue(rescue)?,
            Input::Note(devlog) => self.noted(devlog),
            Input::Report(report) => self.report(report)?,
            // Everything else is decided on above.
            _ => {}
        }
        Ok(())
    }

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
