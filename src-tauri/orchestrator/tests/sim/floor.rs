//! The fake floor: what the real one does for an attempt, one step at a time, so that anything can
//! happen between two steps.
//!
//! Processes are held or let go in one step with telling of it. In the real floor a moment lies
//! between the two, which the simulation does not look into.

use jiff::Timestamp;
use model::attempt::{Attempt, Checkpoint, Work, Workplace};
use model::effect::Effect;
use model::event::Actor;
use model::gate::{Answerer, GateResult, GateSpec, Verdict};
use model::id::{AgentId, AttemptId, CheckpointId};
use model::mission::Mission;
use model::process::{Exit, ExitRecord, ProcessIdentity};
use model::refusal::Code;
use orchestrator::Input;

use crate::engine::Told;
use crate::machine::{Seen, record};
use crate::sim::Sim;

/// Work on one attempt, which waits for what is before it in its slot.
#[derive(Debug)]
pub(crate) struct Task {
    stage: Stage,
    cancelled: bool,
    review: bool,
}

impl Task {
    pub(crate) const fn take_over() -> Self {
        Self { stage: Stage::TakeOver, cancelled: false, review: false }
    }
}

/// What comes next for an attempt.
#[derive(Debug, Clone)]
enum Stage {
    Begin,
    TellPrepared(Workplace),
    Launch,
    TellStarted(ProcessIdentity),
    TakeOver,
    TellAdopted(ProcessIdentity),
    Watch,
    TellExited(ExitRecord),
    EndRun,
    SecureStopped(ExitRecord),
    TellStopSecured(ExitRecord, Work),
    TellCheckpoint(ExitRecord),
    TellStopped(ExitRecord, Option<String>),
    Secure,
    TellSecured(Work),
    Gate(u32),
    GateRuns(u32),
    TellGate(GateResult),
    TellVerified(Option<String>),
    Review(u32, AgentId),
    ReviewRuns(u32),
    TellReview(GateResult),
    Over,
}

impl Sim {
    /// Carries out an effect, after what is under way for the same attempt.
    pub(crate) fn carry_out(&mut self, effect: Effect) {
        let id = effect.attempt_id();
        let (stage, review) = match effect {
            Effect::Freeze { .. } => return self.engine.freezes.push(id),
            Effect::Start { .. } => (Stage::Begin, false),
            Effect::Stop { .. } => (Stage::EndRun, false),
            Effect::Verify { .. } => (Stage::Secure, false),
            Effect::Review { index, agent_id, .. } => (Stage::Review(index, agent_id), true),
        };
        let slot = self.engine.slots.entry(id).or_default();
        if let Some(newest) = slot.back_mut() {
            let ends = matches!(stage, Stage::EndRun);
            newest.cancelled |= ends || matches!(stage, Stage::Secure) && newest.review;
        }
        slot.push_back(Task { stage, cancelled: false, review });
    }

    /// Forgets an attempt that is over; a review of it that still runs is ended.
    pub(crate) fn forget(&mut self, id: AttemptId) {
        if let Some(newest) = self.engine.slots.get_mut(&id).and_then(|slot| slot.back_mut()) {
            newest.cancelled = true;
        }
    }

    /// Lets something on the floor go on by one step; says whether there was anything.
    pub(crate) fn step_floor(&mut self) -> bool {
        let places = self.engine.slots.len() + self.engine.freezes.len();
        if places == 0 {
            return false;
        }
        let place = usize::try_from(self.dice.below(places as u64)).unwrap_or(0);
        match self.engine.slots.keys().nth(place).copied() {
            Some(id) => self.step_slot(id),
            None => self.step_freeze(place - self.engine.slots.len()),
        }
        true
    }

    /// Lets everything on the floor go on by one step.
    pub(crate) fn step_whole_floor(&mut self) {
        let ids: Vec<AttemptId> = self.engine.slots.keys().copied().collect();
        for id in ids {
            if self.engine.slots.contains_key(&id) {
                self.step_slot(id);
            }
        }
        while !self.engine.freezes.is_empty() {
            self.step_freeze(0);
        }
    }

    fn step_freeze(&mut self, place: usize) {
        let (id, epoch) = (self.engine.freezes[place], self.epoch);
        let frozen = self.book.rows.attempts.get(&id).is_some_and(|it| it.frozen);
        self.machine.freeze(id, frozen);
        let told = self.tell(Input::Froze { id, frozen }, None, Actor::Engine);
        if self.epoch == epoch && !comes_again(&told) {
            self.engine.freezes.remove(place);
        }
    }

    fn step_slot(&mut self, id: AttemptId) {
        let epoch = self.epoch;
        let front = self.engine.slots.get_mut(&id).and_then(|slot| slot.front_mut());
        let Some(front) = front else {
            self.engine.slots.remove(&id);
            return;
        };
        let (stage, cancelled) =
            (std::mem::replace(&mut front.stage, Stage::Over), front.cancelled);
        let next = self.next_stage(id, stage, cancelled);
        if self.epoch != epoch {
            return;
        }
        let Some(slot) = self.engine.slots.get_mut(&id) else {
            return;
        };
        match (next, slot.front_mut()) {
            (Stage::Over, _) => {
                slot.pop_front();
            }
            (next, Some(front)) => front.stage = next,
            _ => {}
        }
        if slot.is_empty() {
            self.engine.slots.remove(&id);
        }
    }

    fn next_stage(&mut self, id: AttemptId, stage: Stage, cancelled: bool) -> Stage {
        let attempt = self.book.rows.attempts[&id].clone();
        let mission = self.book.rows.missions[&attempt.mission_id].mission.clone();
        match stage {
            Stage::Begin | Stage::TellPrepared(_) | Stage::Launch | Stage::TellStarted(_) => {
                self.start_on(&attempt, &mission, stage, cancelled)
            }
            Stage::TakeOver | Stage::TellAdopted(_) | Stage::Watch | Stage::TellExited(_) => {
                self.watch_on(id, stage, cancelled)
            }
            Stage::EndRun
            | Stage::SecureStopped(_)
            | Stage::TellStopSecured(..)
            | Stage::TellCheckpoint(_)
            | Stage::TellStopped(..) => self.stop_on(&attempt, stage),
            Stage::Review(..) | Stage::ReviewRuns(..) | Stage::TellReview(_) => {
                self.review_on(&attempt, &mission, stage, cancelled)
            }
            other => self.verify_on(&attempt, &mission, other, cancelled),
        }
    }

    /// Tells what happened; the same again until it is recorded or refused for good.
    fn tell_then(&mut self, input: Input, again: Stage, recorded: Stage, refused: Stage) -> Stage {
        match self.tell(input, None, Actor::Engine) {
            Told::Kept(_) | Told::Replayed(_) => recorded,
            told if comes_again(&told) => again,
            _ => refused,
        }
    }

    fn start_on(
        &mut self,
        attempt: &Attempt,
        mission: &Mission,
        stage: Stage,
        cancelled: bool,
    ) -> Stage {
        let id = attempt.id;
        match stage {
            _ if cancelled && !matches!(stage, Stage::TellStarted(_)) => Stage::Over,
            Stage::Begin | Stage::Launch if self.engine.thrown => stage,
            Stage::Begin if !self.book.rows.agents.contains_key(&attempt.agent_id) => {
                let reason = "the agent was removed".to_owned();
                Stage::TellExited(record(Exit::NotStarted { reason }, self.now))
            }
            Stage::Begin => {
                let base = mission.repository.is_some().then(|| "base".to_owned());
                let workplace = Workplace {
                    directory: format!("/work/{id}"),
                    branch: base.clone(),
                    base_commit: base,
                    uncommitted_files: 0,
                };
                Stage::TellPrepared(attempt.workplace.clone().unwrap_or(workplace))
            }
            Stage::TellPrepared(ref workplace) => {
                let told = Input::Prepared { id, workplace: workplace.clone() };
                self.tell_then(told, stage, Stage::Launch, Stage::Over)
            }
            Stage::Launch => {
                match self.machine.start((id, None), &mut self.dice, self.calm, self.now) {
                    Ok(process) => Stage::TellStarted(process),
                    Err(reason) => Stage::TellExited(record(Exit::NotStarted { reason }, self.now)),
                }
            }
            Stage::TellStarted(ref process) => {
                let told = Input::Started { id, process: process.clone() };
                self.tell_then(told, stage, Stage::Watch, Stage::Over)
            }
            _ => Stage::Over,
        }
    }

    fn watch_on(&mut self, id: AttemptId, stage: Stage, cancelled: bool) -> Stage {
        match stage {
            Stage::TakeOver => match self.machine.look((id, None), self.now) {
                Seen::Running(process) => Stage::TellAdopted(process),
                Seen::Ended(found) => Stage::TellExited(found),
                Seen::Gone(_) => Stage::Watch,
                Seen::NotStarted => {
                    let reason = "its run directory holds no trace of a process".to_owned();
                    Stage::TellExited(record(Exit::Lost { reason }, self.now))
                }
            },
            Stage::TellAdopted(ref process) => {
                let told = Input::Adopted { id, process: process.clone() };
                self.tell_then(told, stage, Stage::Watch, Stage::Over)
            }
            Stage::Watch => match self.machine.look((id, None), self.now) {
                Seen::Ended(found) => Stage::TellExited(found),
                Seen::Gone(_) => {
                    self.machine.stop((id, None), self.now);
                    let reason = "its supervisor vanished".to_owned();
                    Stage::TellExited(record(Exit::Lost { reason }, self.now))
                }
                _ if cancelled => Stage::Over,
                _ => stage,
            },
            Stage::TellExited(ref found) => {
                let told = Input::Exited { id, record: found.clone() };
                self.tell_then(told, stage, Stage::Over, Stage::Over)
            }
            _ => Stage::Over,
        }
    }

    fn stop_on(&mut self, attempt: &Attempt, stage: Stage) -> Stage {
        let id = attempt.id;
        match stage {
            Stage::EndRun => match self.end_run(id) {
                Some(found) => Stage::SecureStopped(found),
                None => Stage::EndRun,
            },
            Stage::SecureStopped(found) => match &attempt.workplace {
                Some(it) if it.base_commit.is_some() && self.dice.often(50) => {
                    Stage::TellStopped(found, Some("its work is not committed".to_owned()))
                }
                Some(it) if it.base_commit.is_some() => {
                    Stage::TellStopSecured(found, self.machine.work(id))
                }
                _ => Stage::TellStopped(found, None),
            },
            Stage::TellStopSecured(ref found, ref work) => {
                let next = Stage::TellCheckpoint(found.clone());
                let told = Input::Secured { id, work: work.clone() };
                self.tell_then(told, stage.clone(), next.clone(), next)
            }
            Stage::TellCheckpoint(ref found) => {
                let checkpoint = Checkpoint {
                    id: CheckpointId::draw(self.now, &mut self.ids),
                    mission_id: attempt.mission_id,
                    attempt_id: id,
                    n: 1,
                    commit: "kept".to_owned(),
                    tree: "kept".to_owned(),
                    uncommitted_files: 0,
                    output_bytes: 0,
                    note: "stopped".to_owned(),
                    at: self.now,
                };
                let next = Stage::TellStopped(found.clone(), None);
                let told = Input::Checkpointed(checkpoint);
                self.tell_then(told, stage.clone(), next.clone(), next)
            }
            Stage::TellStopped(ref found, ref problem) => {
                let told = Input::Stopped { id, record: found.clone(), problem: problem.clone() };
                self.tell_then(told, stage.clone(), Stage::Over, Stage::Over)
            }
            _ => Stage::Over,
        }
    }

    /// Ends the program of an attempt and those of its gates; nothing while one is still there.
    fn end_run(&mut self, id: AttemptId) -> Option<ExitRecord> {
        let alive = self.machine.runs.range((id, Some(0))..=(id, Some(u32::MAX)));
        let gates: Vec<_> = alive.filter(|(_, run)| run.alive).map(|(gate, _)| *gate).collect();
        for gate in gates {
            self.machine.stop(gate, self.now)?;
        }
        match self.machine.look((id, None), self.now) {
            Seen::NotStarted => Some(record(Exit::Stopped { killed: false }, self.now)),
            Seen::Ended(found) => Some(found),
            _ => self.machine.stop((id, None), self.now),
        }
    }

    fn verify_on(
        &mut self,
        attempt: &Attempt,
        mission: &Mission,
        stage: Stage,
        cancelled: bool,
    ) -> Stage {
        let id = attempt.id;
        match stage {
            Stage::Secure => match &attempt.workplace {
                None => Stage::TellVerified(Some("it has no workplace".to_owned())),
                Some(it) if it.base_commit.is_none() => Stage::Gate(0),
                Some(_) if !self.calm && self.dice.often(30) => {
                    Stage::TellVerified(Some("its work is not committed".to_owned()))
                }
                Some(_) => Stage::TellSecured(self.machine.work(id)),
            },
            Stage::TellSecured(ref work) => {
                self.machine.set_gates_aside(id);
                let told = Input::Secured { id, work: work.clone() };
                self.tell_then(told, stage.clone(), Stage::Gate(0), Stage::Gate(0))
            }
            Stage::Gate(from) => {
                let claims = attempt.exit().is_some_and(Exit::claims_completion);
                let engines = (0..).zip(&mission.gates).find(|(index, gate)| {
                    claims && *index >= from && gate.answerer() == Answerer::Engine
                });
                let Some((index, _)) = engines else {
                    return Stage::TellVerified(None);
                };
                let gate = (id, Some(index));
                match self.machine.start(gate, &mut self.dice, self.calm, self.now) {
                    Ok(_) => Stage::GateRuns(index),
                    Err(_) => self.gate_found(attempt, mission, index, Verdict::Broken),
                }
            }
            Stage::GateRuns(index) => self.gate_on(attempt, mission, index, cancelled),
            Stage::TellGate(_) if cancelled => Stage::Over,
            Stage::TellGate(ref result) => {
                let next = Stage::Gate(result.index + 1);
                let told = Input::GateFinished { id, result: result.clone() };
                self.tell_then(told, stage.clone(), next, Stage::Over)
            }
            Stage::TellVerified(ref problem) => {
                let told = Input::Verified { id, problem: problem.clone() };
                self.tell_then(told, stage.clone(), Stage::Over, Stage::Over)
            }
            _ => Stage::Over,
        }
    }

    fn gate_on(
        &mut self,
        attempt: &Attempt,
        mission: &Mission,
        index: u32,
        cancelled: bool,
    ) -> Stage {
        let gate = (attempt.id, Some(index));
        match self.machine.look(gate, self.now) {
            _ if cancelled => Stage::Over,
            // A gate that was ended with everything else says nothing; its attempt is stopped.
            _ if self.engine.thrown => Stage::GateRuns(index),
            Seen::Ended(found) => {
                let verdict = match found.exit {
                    Exit::Code { code: 0 } => Verdict::Passed,
                    Exit::Code { .. } => Verdict::Failed,
                    _ => Verdict::Broken,
                };
                self.gate_found(attempt, mission, index, verdict)
            }
            _ if self.dice.often(100) => {
                self.machine.stop(gate, self.now);
                self.machine.stop(gate, self.now);
                self.gate_found(attempt, mission, index, Verdict::TimedOut)
            }
            _ => Stage::GateRuns(index),
        }
    }

    fn gate_found(
        &mut self,
        attempt: &Attempt,
        mission: &Mission,
        index: u32,
        verdict: Verdict,
    ) -> Stage {
        let Some(gate) = mission.gates.get(index as usize) else {
            return Stage::Over;
        };
        let mut result = found(attempt, index, gate, verdict, self.now);
        if !self.calm && self.dice.often(40) {
            // It ran, and nothing was checked.
            result.verdict = Verdict::Failed;
            result.checks = Some(0);
        }
        if !self.calm && self.dice.often(30) && result.commit.is_some() {
            result.commit = Some("some other commit".to_owned());
            result.tree = self.dice.often(500).then(|| "some other tree".to_owned());
        }
        Stage::TellGate(result)
    }

    fn review_on(
        &mut self,
        attempt: &Attempt,
        mission: &Mission,
        stage: Stage,
        cancelled: bool,
    ) -> Stage {
        let id = attempt.id;
        match stage {
            Stage::Review(index, agent) => {
                let gate = (id, Some(index));
                if cancelled {
                    return Stage::Over;
                }
                if self.engine.thrown {
                    return stage;
                }
                let there = self.book.rows.agents.contains_key(&agent);
                let started =
                    there && self.machine.start(gate, &mut self.dice, self.calm, self.now).is_ok();
                if started {
                    return Stage::ReviewRuns(index);
                }
                Stage::TellReview(self.review_found(attempt, mission, index, Verdict::Broken))
            }
            Stage::ReviewRuns(index) => {
                let gate = (id, Some(index));
                let verdict = match self.machine.look(gate, self.now) {
                    Seen::Ended(found) => match found.exit {
                        Exit::Code { code: 0 } => Verdict::Passed,
                        Exit::Code { .. } => Verdict::Failed,
                        _ => Verdict::Broken,
                    },
                    _ if cancelled || self.dice.often(60) => {
                        self.machine.stop(gate, self.now);
                        self.machine.stop(gate, self.now);
                        Verdict::TimedOut
                    }
                    _ => return stage,
                };
                if cancelled {
                    return Stage::Over;
                }
                Stage::TellReview(self.review_found(attempt, mission, index, verdict))
            }
            Stage::TellReview(ref result) => {
                let told = Input::GateFinished { id, result: result.clone() };
                self.tell_then(told, stage.clone(), Stage::Over, Stage::Over)
            }
            _ => Stage::Over,
        }
    }

    fn review_found(
        &self,
        attempt: &Attempt,
        mission: &Mission,
        index: u32,
        verdict: Verdict,
    ) -> GateResult {
        let fallback = GateSpec::Reviewer { agent: None };
        let gate = mission.gates.get(index as usize).unwrap_or(&fallback);
        // It answers for what it was asked, whatever the captain has changed since.
        let gate = if gate.answerer() == Answerer::Agent { gate } else { &fallback };
        found(attempt, index, gate, verdict, self.now)
    }
}

/// Whether the floor says it again.
const fn comes_again(told: &Told) -> bool {
    matches!(told, Told::Refused(refusal) if matches!(refusal.code, Code::Busy | Code::Internal))
}

/// What a gate found about the work as it is recorded.
pub(crate) fn found(
    attempt: &Attempt,
    index: u32,
    gate: &GateSpec,
    verdict: Verdict,
    now: Timestamp,
) -> GateResult {
    let work = attempt.work.as_ref();
    GateResult {
        index,
        gate: gate.clone(),
        verdict,
        exit_code: None,
        reason: "so it is".to_owned(),
        output: String::new(),
        output_bytes: 0,
        commit: work.map(|work| work.head_commit.clone()),
        tree: work.and_then(|work| work.tree.clone()),
        checks: None,
        by: (gate.answerer() == Answerer::Agent).then(|| "a reviewer".to_owned()),
        started_at: now,
        duration_ms: 1,
    }
}
