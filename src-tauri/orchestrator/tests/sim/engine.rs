//! The loop around the pure core, as the orchestrator runs it: decided, recorded, then acted on. It
//! crashes between any two of these, and takes up its work from the fake ledger.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::effect::{Effect, OutboxEntry};
use model::event::{Actor, Fact, NewEvent};
use model::id::{AttemptId, CorrelationId, EffectId, EventId};
use model::refusal::{Code, Refusal};
use orchestrator::decide::{Decision, decide};
use orchestrator::state::State;
use orchestrator::{Cycle, Input};
use store::ledger::StoredAnswer;

use crate::floor::Task;
use crate::ledger::{Change, NotKept};
use crate::sim::Sim;

/// How many attempts may run at once where the settings do not say.
pub(crate) const RUNNING_MAX: u32 = 4;

/// What lives as long as one run of the engine.
#[derive(Debug, Default)]
pub(crate) struct Engine {
    pub(crate) state: State,
    pub(crate) pending: BTreeMap<AttemptId, Vec<OutboxEntry>>,
    pub(crate) unsure: bool,
    /// Whether the emergency stop holds everything back.
    pub(crate) thrown: bool,
    pub(crate) slots: BTreeMap<AttemptId, VecDeque<Task>>,
    pub(crate) freezes: Vec<AttemptId>,
}

/// What came of an input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    /// It is recorded: so many facts.
    Kept(usize),
    /// The same request was answered before.
    Replayed(StoredAnswer),
    Refused(Refusal),
    /// The engine crashed; nobody was answered.
    Crashed,
}

/// Why nothing came of it.
enum Not {
    Refused(Refusal),
    Crashed,
}

impl From<Refusal> for Not {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

fn internal() -> Refusal {
    Refusal::new(Code::Internal, "the ledger could not be used")
}

impl Sim {
    /// Starts the engine on what the ledger holds: effects first, then running programs.
    pub(crate) fn start_engine(&mut self) {
        let state = self.book.rows.recall(RUNNING_MAX);
        let thrown = state.halted.is_some() || self.halt_mark;
        self.engine = Engine { state, thrown, ..Engine::default() };
        let mut stopping = Vec::new();
        for entry in self.book.open_effects() {
            match entry.effect {
                Effect::Stop { attempt_id } => stopping.push(attempt_id),
                ref other => self.carry_out(other.clone()),
            }
            self.engine.pending.entry(entry.effect.attempt_id()).or_default().push(entry);
        }
        for attempt_id in stopping {
            self.carry_out(Effect::Stop { attempt_id });
        }
        let running: Vec<AttemptId> = self
            .engine
            .state
            .attempts
            .values()
            .filter(|it| it.state == model::attempt::AttemptState::Running && !it.stopping)
            .map(|it| it.id)
            .collect();
        for id in running {
            self.engine.slots.entry(id).or_default().push_back(Task::take_over());
        }
    }

    /// The engine is gone from one moment to the next, and starts again.
    pub(crate) fn crash(&mut self) {
        self.tally.crashes += 1;
        self.epoch += 1;
        let before = std::mem::take(&mut self.engine);
        self.start_engine();
        if !before.unsure
            && let Some(differs) = crate::check::differs(&before.state, &self.engine.state)
        {
            self.violate(format!("after a crash the state is another one: {differs}"));
        }
        self.note(|sim| format!("crash; {} effects are open", sim.book.open_effects().len()));
        self.schedule();
    }

    /// Hands an input in, under a key where the captain chose one.
    pub(crate) fn tell(
        &mut self,
        input: Input,
        answer: Option<StoredAnswer>,
        actor: Actor,
    ) -> Told {
        let about = self.trace.is_some().then(|| format!("{input:?}"));
        let told = match self.carry(input, answer, actor) {
            Ok(told) => told,
            Err(Not::Refused(refusal)) => Told::Refused(refusal),
            Err(Not::Crashed) => Told::Crashed,
        };
        self.note(|_| {
            let about: String = about.unwrap_or_default().chars().take(300).collect();
            match &told {
                Told::Kept(facts) => format!("{about}: {facts} facts"),
                Told::Replayed(_) => format!("{about}: answered as before"),
                Told::Refused(refusal) => format!("{about}: refused, {refusal}"),
                Told::Crashed => format!("{about}: crashed on it"),
            }
        });
        // The loop looks for work after each change; at times something else comes in between.
        if matches!(told, Told::Kept(1..)) && (self.calm || self.dice.often(800)) {
            self.schedule();
        }
        told
    }

    fn carry(
        &mut self,
        mut input: Input,
        answer: Option<StoredAnswer>,
        actor: Actor,
    ) -> Result<Told, Not> {
        self.be_sure()?;
        if let Some(wanted) = &answer
            && let Some(known) = self.book.answers.get(&wanted.key).cloned()
        {
            if known.fingerprint != wanted.fingerprint {
                return Err(Refusal::new(Code::IdempotencyMismatch, "another request").into());
            }
            return Ok(Told::Replayed(known));
        }
        self.admit(&mut input);
        let resumes = input == Input::ResumeSwarm;
        if resumes && self.engine.thrown && self.engine.state.halted.is_none() {
            self.release();
            return Ok(Told::Kept(0));
        }
        let late = self.is_over(&input).then(|| input.clone());
        let decision = decide(&self.engine.state, input, self.now, &mut self.ids)?;
        if let Some(input) = late {
            self.check_late(&input, &decision);
        }
        let outcome = self.record(decision, actor, answer);
        self.engine.state.forget_finished();
        if resumes && outcome.is_ok() {
            self.release();
        }
        outcome.map(Told::Kept)
    }

    fn release(&mut self) {
        self.engine.thrown = false;
        self.halt_mark = false;
    }

    /// Reads the ledger again after a write that may have been kept.
    fn be_sure(&mut self) -> Result<(), Refusal> {
        if !self.engine.unsure {
            return Ok(());
        }
        if !self.calm && self.dice.often(100) {
            return Err(internal());
        }
        let state = self.book.rows.recall(RUNNING_MAX);
        self.engine.unsure = false;
        let known: BTreeSet<AttemptId> = self.engine.state.attempts.keys().copied().collect();
        for id in known.iter().filter(|id| !state.attempts.contains_key(id)) {
            self.forget(*id);
        }
        self.engine.state = state;
        let pending = std::mem::take(&mut self.engine.pending);
        let known: BTreeSet<EffectId> = pending.into_values().flatten().map(|it| it.id).collect();
        for entry in self.book.open_effects() {
            if !known.contains(&entry.id) {
                self.carry_out(entry.effect.clone());
            }
            self.engine.pending.entry(entry.effect.attempt_id()).or_default().push(entry);
        }
        Ok(())
    }

    /// Makes sure that what the input is about is known.
    fn admit(&mut self, input: &mut Input) {
        if let Some(id) = input.attempt_id()
            && !self.engine.state.attempts.contains_key(&id)
            && let Some(attempt) = self.book.rows.attempts.get(&id).cloned()
        {
            self.admit_mission(attempt.mission_id);
            let results = self.book.rows.results_of(id);
            self.engine.state.admit_attempt(attempt, results);
        }
        if let Some(id) = input.mission_id() {
            self.admit_mission(id);
        }
        let wanted = input.depends_on().to_vec();
        self.book.rows.recall_dependencies(&mut self.engine.state, wanted);
    }

    fn admit_mission(&mut self, id: model::id::MissionId) {
        if self.engine.state.missions.contains_key(&id) {
            return;
        }
        if let Some(row) = self.book.rows.missions.get(&id).filter(|row| !row.removed) {
            let wanted = row.mission.depends_on.clone();
            self.engine.state.admit_mission(row.mission.clone());
            self.book.rows.recall_dependencies(&mut self.engine.state, wanted);
        }
    }

    /// Records a decision, and acts on it. The engine may crash before and after.
    fn record(
        &mut self,
        decision: Decision,
        actor: Actor,
        answer: Option<StoredAnswer>,
    ) -> Result<usize, Not> {
        let delivered = decision.delivered(|id| self.engine.pending.get(&id));
        let nothing = decision.facts.is_empty() && decision.effects.is_empty();
        if nothing && delivered.is_empty() && answer.is_none() {
            return Ok(0);
        }
        if !self.calm && self.dice.often(6) {
            self.crash();
            return Err(Not::Crashed);
        }
        let effects: Vec<OutboxEntry> = decision
            .effects
            .into_iter()
            .map(|effect| OutboxEntry { id: EffectId::draw(self.now, &mut self.ids), effect })
            .collect();
        let correlation_id = answer.is_some().then(|| CorrelationId::draw(self.now, &mut self.ids));
        let (now, ids) = (self.now, &mut self.ids);
        let event = |(subject, fact)| NewEvent {
            id: EventId::draw(now, ids),
            at: now,
            actor: actor.clone(),
            correlation_id,
            subject,
            fact,
        };
        let change = Change {
            events: decision.facts.into_iter().map(event).collect(),
            effects: effects.clone(),
            delivered: delivered.clone(),
            answer,
        };
        let first = self.commit(change)?;
        if !self.calm && self.dice.often(6) {
            // What was just kept was not taken in.
            self.engine.unsure = true;
            self.crash();
            return Err(Not::Crashed);
        }
        for entries in self.engine.pending.values_mut() {
            entries.retain(|entry| !delivered.contains(&entry.id));
        }
        self.take_in(first, effects);
        Ok(self.book.events.len() - first)
    }

    /// Writes to the fake ledger: it may fail, and it may fail after it has kept everything.
    fn commit(&mut self, change: Change) -> Result<usize, Refusal> {
        let full = self.full_for > 0;
        let fails = !self.calm && (full || self.dice.often(25));
        let kept = !fails || self.dice.often(if full { 50 } else { 500 });
        self.tally.commits += 1;
        if kept {
            let facts = change.events.len();
            match self.book.commit(change) {
                Ok(first) => self.check_commit(first, facts),
                Err(NotKept::Conflict) => {
                    self.engine.unsure = true;
                    return Err(Refusal::new(Code::Busy, "it was changed in the meantime"));
                }
                Err(NotKept::Broken(why)) => self.violate(why),
            }
            if !fails {
                return Ok(self.book.events.len() - facts);
            }
        }
        self.tally.failed_commits += 1;
        self.engine.unsure = true;
        Err(internal())
    }

    /// Folds what was acknowledged into the state, and acts on it.
    fn take_in(&mut self, first: usize, effects: Vec<OutboxEntry>) {
        for at in first..self.book.events.len() {
            let fact = &self.book.events[at].fact;
            self.engine.state.apply(fact);
            if let Fact::AttemptEnded { attempt_id, .. } = *fact {
                self.engine.pending.remove(&attempt_id);
                self.forget(attempt_id);
            }
        }
        for entry in effects {
            self.carry_out(entry.effect.clone());
            self.engine.pending.entry(entry.effect.attempt_id()).or_default().push(entry);
        }
    }

    /// Leases missions to free agents until no pair is left.
    pub(crate) fn schedule(&mut self) {
        if self.engine.thrown || self.be_sure().is_err() {
            return;
        }
        for _ in 0..=self.engine.state.agents.len() {
            let free = if self.calm { None } else { self.memory_free_percent };
            let input = Input::Schedule(Cycle { memory_free_percent: free, ..Cycle::default() });
            let decision = match decide(&self.engine.state, input, self.now, &mut self.ids) {
                Ok(decision) if decision.facts.is_empty() => return,
                Ok(decision) => decision,
                Err(refusal) => {
                    return self.violate(format!("scheduling is refused: {refusal}"));
                }
            };
            match self.record(decision, Actor::Engine, None) {
                Ok(facts) => self.note(|_| format!("scheduled: {facts} facts")),
                Err(_) => return self.note(|_| "scheduling was not recorded".to_owned()),
            }
        }
    }
}
