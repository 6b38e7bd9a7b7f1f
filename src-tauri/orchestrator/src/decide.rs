//! `decide(state, input, now) → decision`: the pure core.

use jiff::Timestamp;
use model::agent::{AGENTS_MAX, Agent};
use model::attempt::{Attempt, AttemptState, Work, Workplace};
use model::effect::Effect;
use model::event::{Fact, Subject};
use model::gate::{GateResult, Grade};
use model::id::{AgentId, AttemptId, Draw, MissionId};
use model::mission::{Mission, MissionState};
use model::process::{Exit, ExitRecord, ProcessIdentity};
use model::refusal::{Code, Refusal};
use model::transition::{AttemptInput, MissionInput, allowed, attempt_next, mission_next};

use crate::input::Input;
use crate::judge::{Judgement, judge};
use crate::schedule;
use crate::state::State;

/// What is to be recorded, and what is to be done once it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Facts, in order.
    pub facts: Vec<(Subject, Fact)>,
    /// Effects, in order.
    pub effects: Vec<Effect>,
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
    let mut desk = Desk { state, now, decision: Decision::default() };
    match input {
        Input::AddAgent(agent) => desk.add_agent(agent)?,
        Input::RemoveAgent(id) => desk.remove_agent(id)?,
        Input::HoldAgent { id, paused } => desk.hold_agent(id, paused)?,
        Input::AddMission { mission, brief, queue } => desk.add_mission(mission, brief, queue)?,
        Input::Ask { id, input, note } => desk.ask(id, input, note)?,
        Input::Assign { id, agent } => desk.assign(id, agent)?,
        Input::RemoveMission(id) => desk.remove_mission(id)?,
        Input::Schedule => desk.schedule(draw)?,
        Input::Prepared { id, workplace } => desk.prepared(id, workplace)?,
        Input::Started { id, process } => desk.started(id, process)?,
        Input::Adopted { id, process } => desk.adopted(id, process)?,
        Input::Exited { id, record } => desk.exited(id, record)?,
        Input::Secured { id, work } => desk.secured(id, work)?,
        Input::GateFinished { id, result } => desk.gate_finished(id, result)?,
        Input::Verified { id, gates, problem } => desk.verified(id, &gates, problem)?,
        Input::Stopped { id, record, problem } => desk.stopped(id, record, problem)?,
    }
    Ok(desk.decision)
}

/// Where one decision is worked out.
struct Desk<'a> {
    state: &'a State,
    now: Timestamp,
    decision: Decision,
}

impl<'a> Desk<'a> {
    fn fact(&mut self, subject: Subject, fact: Fact) {
        self.decision.facts.push((subject, fact));
    }

    fn agent(&self, id: AgentId) -> Result<&'a Agent, Refusal> {
        self.state.agents.get(&id).ok_or_else(|| {
            Refusal::new(Code::NotFound, "there is no such agent")
                .hint("it may have been removed; list the agents")
        })
    }

    fn mission(&self, id: MissionId) -> Result<Mission, Refusal> {
        self.state
            .missions
            .get(&id)
            .cloned()
            .ok_or_else(|| Refusal::new(Code::NotFound, "there is no such mission"))
    }

    fn add_agent(&mut self, agent: Agent) -> Result<(), Refusal> {
        let taken = |other: &Agent| other.name.to_lowercase() == agent.name.to_lowercase();
        if self.state.agents.values().any(taken) {
            let message = format!("there is already an agent named '{}'", agent.name);
            return Err(Refusal::new(Code::Conflict, message).hint("choose another name"));
        }
        if self.state.agents.len() >= AGENTS_MAX {
            let message = format!("a workspace holds at most {AGENTS_MAX} agents");
            return Err(Refusal::new(Code::Conflict, message).hint("remove agents you do not need"));
        }
        self.fact(of_agent(agent.id), Fact::AgentAdded { agent });
        Ok(())
    }

    fn remove_agent(&mut self, id: AgentId) -> Result<(), Refusal> {
        let name = self.agent(id)?.name.clone();
        if self.state.attempt_of_agent(id).is_some() {
            return Err(Refusal::new(Code::Conflict, format!("{name} is at work"))
                .hint("cancel its mission first, or wait until it has ended"));
        }
        self.fact(of_agent(id), Fact::AgentRemoved { agent_id: id });
        Ok(())
    }

    fn hold_agent(&mut self, id: AgentId, paused: bool) -> Result<(), Refusal> {
        let agent = self.agent(id)?;
        if agent.paused != paused {
            let agent = Agent { paused, ..agent.clone() };
            self.fact(of_agent(id), Fact::AgentChanged { agent });
        }
        Ok(())
    }

    fn add_mission(&mut self, mission: Mission, brief: String, queue: bool) -> Result<(), Refusal> {
        if let Some(agent) = mission.agent {
            self.agent(agent)?;
        }
        let (id, agent) = (mission.id, mission.agent);
        let moved = queue.then(|| self.moved(&mission, MissionInput::Queue, None)).transpose()?;
        let subject = Subject { mission_id: Some(id), agent_id: agent, attempt_id: None };
        self.fact(subject, Fact::MissionCreated { mission, brief });
        if let Some(moved) = moved {
            self.fact(subject, moved);
        }
        Ok(())
    }

    fn ask(
        &mut self,
        id: MissionId,
        input: MissionInput,
        note: Option<String>,
    ) -> Result<(), Refusal> {
        let mut mission = self.mission(id)?;
        if !input.is_captains() {
            let message = format!("'{}' is not for the captain to ask", input.as_str());
            let names = allowed(mission.state).iter().map(|i| i.as_str().to_owned()).collect();
            return Err(Refusal::new(Code::TransitionRefused, message).allowed(names));
        }
        let attempt = self.state.attempt_of_mission(id).map(|attempt| attempt.id);
        let note = match input {
            MissionInput::Retry => {
                if attempt.is_some() {
                    let message = "its last attempt is still being stopped";
                    return Err(Refusal::new(Code::Conflict, message).hint("try again in a moment"));
                }
                mission.tries = 0;
                mission.grade = Grade::None;
                note
            }
            MissionInput::Accept => {
                mission.grade = Grade::Human;
                Some(said("accepted by the captain", note))
            }
            MissionInput::Reject => Some(said("rejected by the captain", note)),
            MissionInput::Cancel => Some(said("cancelled by the captain", note)),
            _ => note,
        };
        let moved = self.moved(&mission, input, note)?;
        self.fact(of_mission(&mission), moved);
        if let (MissionInput::Cancel, Some(attempt)) = (input, attempt) {
            self.stop(attempt);
        }
        Ok(())
    }

    fn stop(&mut self, id: AttemptId) {
        let already = self.state.attempts.get(&id).is_some_and(|attempt| attempt.stopping);
        if !already {
            self.fact(self.state.subject_of_attempt(id), Fact::AttemptStopping { attempt_id: id });
            self.decision.effects.push(Effect::Stop { attempt_id: id });
        }
    }

    fn assign(&mut self, id: MissionId, agent: Option<AgentId>) -> Result<(), Refusal> {
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

    fn remove_mission(&mut self, id: MissionId) -> Result<(), Refusal> {
        let mission = self.mission(id)?;
        if !mission.state.is_final() || self.state.attempt_of_mission(id).is_some() {
            let message = format!("{} is not finished", mission.short_id);
            return Err(Refusal::new(Code::Conflict, message).hint("cancel it first"));
        }
        self.fact(of_mission(&mission), Fact::MissionRemoved { mission_id: id });
        Ok(())
    }

    fn schedule(&mut self, draw: &mut dyn Draw) -> Result<(), Refusal> {
        let Some((mission_id, agent_id)) = schedule::next(self.state) else {
            return Ok(());
        };
        let mut mission = self.mission(mission_id)?;
        mission.tries += 1;
        let attempt = Attempt {
            id: AttemptId::draw(self.now, draw),
            mission_id,
            agent_id,
            n: mission.attempts + 1,
            state: AttemptState::Leased,
            stopping: false,
            note: None,
            workplace: None,
            process: None,
            exit: None,
            work: None,
            leased_at: self.now,
            ended_at: None,
        };
        let attempt_id = attempt.id;
        let moved = self.moved(&mission, MissionInput::Lease, None)?;
        let subject = Subject {
            mission_id: Some(mission_id),
            attempt_id: Some(attempt_id),
            agent_id: Some(agent_id),
        };
        self.fact(subject, moved);
        self.fact(subject, Fact::AttemptLeased { attempt });
        self.decision.effects.push(Effect::Start { mission_id, attempt_id });
        Ok(())
    }

    fn prepared(&mut self, id: AttemptId, workplace: Workplace) -> Result<(), Refusal> {
        let attempt = self.live(id)?;
        if attempt.stopping {
            return Err(Refusal::new(Code::Conflict, "the attempt has been asked to stop"));
        }
        if attempt.state == AttemptState::Starting {
            return Ok(());
        }
        attempt_next(attempt.state, AttemptInput::Prepare)?;
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::AttemptPrepared { attempt_id: id, workplace });
        Ok(())
    }

    fn started(&mut self, id: AttemptId, process: ProcessIdentity) -> Result<(), Refusal> {
        let attempt = self.live(id)?;
        if attempt.state == AttemptState::Running && attempt.process.as_ref() == Some(&process) {
            // Told again because the first answer got lost.
            return Ok(());
        }
        attempt_next(attempt.state, AttemptInput::Start)?;
        let mission = self.mission(attempt.mission_id)?;
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::AttemptStarted { attempt_id: id, process });
        if mission.state == MissionState::Assigned {
            let moved = self.moved(&mission, MissionInput::Start, None)?;
            self.fact(subject, moved);
        }
        Ok(())
    }

    fn adopted(&mut self, id: AttemptId, process: ProcessIdentity) -> Result<(), Refusal> {
        self.live(id)?;
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::AttemptAdopted { attempt_id: id, process });
        Ok(())
    }

    fn exited(&mut self, id: AttemptId, record: ExitRecord) -> Result<(), Refusal> {
        let Some(attempt) = self.state.attempts.get(&id) else {
            let note = format!("its program {} after its lease had ended", record.exit);
            let subject = self.state.subject_of_attempt(id);
            self.fact(subject, Fact::ResultLate { attempt_id: id, note });
            return Ok(());
        };
        if attempt.stopping || attempt.exit.as_ref() == Some(&record) {
            return Ok(());
        }
        let mission = self.mission(attempt.mission_id)?;
        if let Exit::NotStarted { reason } = &record.exit {
            let note = format!("the agent's program did not start: {reason}");
            return self.came_to_nothing(&mission, attempt, AttemptInput::Reject, note);
        }
        attempt_next(attempt.state, AttemptInput::Exit)?;
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::AttemptExited { attempt_id: id, record });
        self.fact(subject, Fact::AttemptVerifying { attempt_id: id });
        let moved = self.moved(&mission, MissionInput::Exit, None)?;
        self.fact(subject, moved);
        self.decision.effects.push(Effect::Verify { mission_id: mission.id, attempt_id: id });
        Ok(())
    }

    fn secured(&mut self, id: AttemptId, work: Work) -> Result<(), Refusal> {
        self.live(id)?;
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::WorkRecorded { attempt_id: id, work });
        Ok(())
    }

    fn gate_finished(&mut self, id: AttemptId, result: GateResult) -> Result<(), Refusal> {
        self.live(id)?;
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::GateFinished { attempt_id: id, result });
        Ok(())
    }

    fn verified(
        &mut self,
        id: AttemptId,
        gates: &[GateResult],
        problem: Option<String>,
    ) -> Result<(), Refusal> {
        let attempt = self.live(id)?;
        if attempt.stopping {
            return Ok(());
        }
        let mut mission = self.mission(attempt.mission_id)?;
        let unknown = Exit::Lost { reason: "no record of its end".to_owned() };
        let exit = attempt.exit().unwrap_or(&unknown);
        let judgement = match problem {
            Some(note) => Judgement::Rejected { note },
            None => judge(&mission, exit, gates),
        };
        let (input, grade, note) = match judgement {
            Judgement::Done { grade, note } => (MissionInput::Pass, grade, note),
            Judgement::Review { grade, note } => (MissionInput::AskReview, grade, note),
            Judgement::Rejected { note } => {
                let lost = matches!(exit, Exit::Lost { .. });
                let input = if lost { AttemptInput::Lose } else { AttemptInput::Reject };
                return self.came_to_nothing(&mission, attempt, input, note);
            }
        };
        mission.grade = grade;
        let moved = self.moved(&mission, input, Some(note.clone()))?;
        let ended = attempt_next(attempt.state, AttemptInput::Accept)?;
        let subject = self.state.subject_of_attempt(id);
        self.fact(subject, Fact::AttemptEnded { attempt_id: id, state: ended, note: Some(note) });
        self.fact(subject, moved);
        Ok(())
    }

    fn stopped(
        &mut self,
        id: AttemptId,
        record: ExitRecord,
        problem: Option<String>,
    ) -> Result<(), Refusal> {
        let attempt = self.live(id)?;
        if !attempt.stopping {
            return Err(Refusal::new(Code::Conflict, "the attempt was not asked to stop"));
        }
        let state = attempt_next(attempt.state, AttemptInput::Stop)?;
        let mut note = match &record.exit {
            Exit::Stopped { .. } => format!("the agent's program {}", record.exit),
            other => format!("stopped; the agent's program {other}"),
        };
        if let Some(problem) = problem {
            note = format!("{note}; {problem}");
        }
        let subject = self.state.subject_of_attempt(id);
        if attempt.exit.is_none() && attempt.state == AttemptState::Running {
            self.fact(subject, Fact::AttemptExited { attempt_id: id, record });
        }
        self.fact(subject, Fact::AttemptEnded { attempt_id: id, state, note: Some(note) });
        Ok(())
    }

    /// Ends an attempt that does not count, and gives its mission another try or up.
    fn came_to_nothing(
        &mut self,
        mission: &Mission,
        attempt: &Attempt,
        input: AttemptInput,
        note: String,
    ) -> Result<(), Refusal> {
        let state = attempt_next(attempt.state, input)?;
        let again = mission.tries <= mission.retries_max;
        let moved = if again {
            let left = mission.retries_max + 1 - mission.tries;
            let note = format!("{note}; {left} of {} retries left", mission.retries_max);
            self.moved(mission, MissionInput::Requeue, Some(note))?
        } else {
            self.moved(mission, MissionInput::Fail, Some(note.clone()))?
        };
        let subject = self.state.subject_of_attempt(attempt.id);
        self.fact(subject, Fact::AttemptEnded { attempt_id: attempt.id, state, note: Some(note) });
        self.fact(subject, moved);
        Ok(())
    }

    fn live(&self, id: AttemptId) -> Result<&'a Attempt, Refusal> {
        self.state.attempts.get(&id).ok_or_else(|| {
            Refusal::new(Code::Conflict, "the attempt is over; its result comes too late")
        })
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
        })
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
