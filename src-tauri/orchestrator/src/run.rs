//! The loop around the pure core: one input at a time, recorded before anything is done.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agents::Launcher;
use model::attempt::AttemptState;
use model::clock::SharedClock;
use model::effect::{Effect, OutboxEntry};
use model::event::{Actor, Event, Fact, NewEvent, Subject};
use model::id::{
    AttemptId, CorrelationId, Draw, EffectId, EventId, SHORT_ID_LEN, SHORT_ID_LEN_MAX, ShortId,
};
use model::mission::Mission;
use model::refusal::{Code, Refusal};
use store::ledger::{Change, CommitError, Ledger, ReadError, StoredAnswer};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use crate::decide::{Decision, decide};
use crate::floor::{Floor, FloorSetup};
use crate::input::Input;
use crate::state::State;

/// Inputs that may wait; who comes later waits for a place.
const QUEUE: usize = 256;
/// How long a caller waits for a place in the queue before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often scheduling is tried again without anything having come in.
const RESCHEDULE: Duration = Duration::from_secs(5);
/// Outbox entries taken up at start; an attempt has at most three.
const OUTBOX_MAX: u32 = 100_000;

/// What the orchestrator is made of.
pub struct Setup {
    /// Where everything is recorded.
    pub ledger: Ledger,
    /// The time.
    pub clock: SharedClock,
    /// Random bits for ids.
    pub draw: Box<dyn Draw>,
    /// Starts programs.
    pub launcher: Launcher,
    /// Where attempts keep their files.
    pub runs: PathBuf,
    /// Where worktrees are made.
    pub worktrees: PathBuf,
    /// The address agents can call, once there is one.
    pub url: watch::Receiver<Option<String>>,
    /// How many attempts may run at once.
    pub running_max: u32,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("runs", &self.runs).finish_non_exhaustive()
    }
}

/// The orchestrator could not take up its work.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The ledger could not be read.
    #[error("read the unfinished work")]
    Read(#[from] ReadError),
}

/// An input with who asks, and under which key.
#[derive(Debug, Clone)]
pub struct Command {
    /// What comes in.
    pub input: Input,
    /// Who asks.
    pub actor: Actor,
    /// The request it belongs to.
    pub correlation_id: Option<CorrelationId>,
    /// The answer to keep, so that a repeated request is answered and not carried out again.
    pub answer: Option<StoredAnswer>,
}

impl Command {
    /// An input of the engine's own.
    #[must_use]
    pub const fn own(input: Input) -> Self {
        Self { input, actor: Actor::Engine, correlation_id: None, answer: None }
    }
}

/// What came of an input.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What was recorded.
    pub events: Vec<Arc<Event>>,
    /// The answer of the first time, when the same request came again.
    pub replayed: Option<StoredAnswer>,
}

struct Message {
    command: Command,
    reply: oneshot::Sender<Result<Outcome, Refusal>>,
}

/// The way in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Orchestrator {
    inputs: mpsc::Sender<Message>,
}

impl Orchestrator {
    /// Takes up the unfinished work of the ledger and starts the loop.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn start(
        setup: Setup,
        tasks: &TaskTracker,
        cancel: CancellationToken,
    ) -> Result<Self, StartError> {
        let (inputs, queue) = mpsc::channel(QUEUE);
        let this = Self { inputs };
        let state = read_state(&setup.ledger, setup.running_max).await?;
        let pending = setup.ledger.outbox(OUTBOX_MAX).await?;
        let floor = Floor::new(FloorSetup {
            ledger: setup.ledger.clone(),
            clock: Arc::clone(&setup.clock),
            launcher: setup.launcher,
            runs: setup.runs,
            worktrees: setup.worktrees,
            url: setup.url,
            orchestrator: this.clone(),
            tasks: tasks.clone(),
            cancel: cancel.clone(),
        });
        let mut desk = Loop {
            ledger: setup.ledger,
            clock: setup.clock,
            draw: setup.draw,
            state,
            floor,
            pending: HashMap::new(),
            unsure: false,
        };
        desk.take_up(pending);
        tasks.spawn(desk.run(queue, cancel));
        Ok(this)
    }

    /// Hands an input in and waits until it is recorded, or refused.
    ///
    /// # Errors
    /// When it is refused, when the queue stays full, or when the engine is shutting down.
    pub async fn tell(&self, command: Command) -> Result<Outcome, Refusal> {
        let (reply, answer) = oneshot::channel();
        let closing = || Refusal::new(Code::Busy, "the engine is shutting down");
        self.inputs.send_timeout(Message { command, reply }, PATIENCE).await.map_err(|err| {
            match err {
                mpsc::error::SendTimeoutError::Timeout(_) => {
                    Refusal::new(Code::Busy, "the engine is busy; nothing was changed")
                        .hint("try again in a few seconds")
                }
                mpsc::error::SendTimeoutError::Closed(_) => closing(),
            }
        })?;
        answer.await.map_err(|_| closing())?
    }
}

async fn read_state(ledger: &Ledger, running_max: u32) -> Result<State, ReadError> {
    let mut state = State { running_max, ..State::default() };
    for agent in ledger.agents().await? {
        state.agents.insert(agent.id, agent);
    }
    for mission in ledger.unfinished_missions().await? {
        state.missions.insert(mission.id, mission);
    }
    for attempt in ledger.unfinished_attempts().await? {
        if !state.missions.contains_key(&attempt.mission_id)
            && let Some((mission, _)) = ledger.mission(attempt.mission_id).await?
        {
            state.missions.insert(mission.id, mission);
        }
        state.attempts.insert(attempt.id, attempt);
    }
    Ok(state)
}

struct Loop {
    ledger: Ledger,
    clock: SharedClock,
    draw: Box<dyn Draw>,
    state: State,
    floor: Floor,
    /// Effects that are recorded and not yet carried out, by attempt.
    pending: HashMap<AttemptId, Vec<OutboxEntry>>,
    /// Whether the ledger may hold what the state does not: a write that failed may have been kept.
    unsure: bool,
}

impl Loop {
    /// Carries on where the run before left off: effects first, then running programs.
    fn take_up(&mut self, pending: Vec<OutboxEntry>) {
        let mut stopping = Vec::new();
        for entry in pending {
            let attempt_id = entry.effect.attempt_id();
            match entry.effect {
                Effect::Stop { .. } => stopping.push(attempt_id),
                _ => self.floor.carry_out(entry.effect.clone()),
            }
            self.pending.entry(attempt_id).or_default().push(entry);
        }
        for attempt_id in stopping {
            self.floor.carry_out(Effect::Stop { attempt_id });
        }
        for attempt in self.state.attempts.values() {
            if attempt.state == AttemptState::Running && !attempt.stopping {
                self.floor.take_over(attempt.id);
            }
        }
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Message>, cancel: CancellationToken) {
        self.schedule().await;
        let mut again = tokio::time::interval(RESCHEDULE);
        again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(message) = queue.recv() => self.handle(message).await,
                _ = again.tick() => self.schedule().await,
            }
        }
    }

    async fn handle(&mut self, message: Message) {
        let outcome = self.carry(message.command).await;
        let changed = outcome.as_ref().is_ok_and(|outcome| !outcome.events.is_empty());
        // Who asked may have gone away; what was recorded stays.
        drop(message.reply.send(outcome));
        if changed {
            self.schedule().await;
        }
    }

    async fn carry(&mut self, command: Command) -> Result<Outcome, Refusal> {
        self.be_sure().await.map_err(unreadable)?;
        if let Some(replayed) = self.known(command.answer.as_ref()).await? {
            return Ok(Outcome { events: Vec::new(), replayed: Some(replayed) });
        }
        let Command { mut input, actor, correlation_id, answer } = command;
        self.admit(&mut input).await?;
        let decision = decide(&self.state, input, self.clock.now(), self.draw.as_mut())?;
        let outcome = self.record(decision, actor, correlation_id, answer).await;
        self.state.forget_finished();
        outcome
    }

    /// Reads the ledger again after a write whose outcome is not certain, and takes up the effects
    /// of what turns out to have been kept.
    async fn be_sure(&mut self) -> Result<(), ReadError> {
        if !self.unsure {
            return Ok(());
        }
        let state = read_state(&self.ledger, self.state.running_max).await?;
        let open = self.ledger.outbox(OUTBOX_MAX).await?;
        self.unsure = false;
        for id in self.state.attempts.keys().filter(|id| !state.attempts.contains_key(id)) {
            self.floor.forget(*id);
        }
        self.state = state;
        let known: HashSet<EffectId> =
            self.pending.drain().flat_map(|(_, entries)| entries).map(|entry| entry.id).collect();
        for entry in open {
            if !known.contains(&entry.id) {
                self.floor.carry_out(entry.effect.clone());
            }
            self.pending.entry(entry.effect.attempt_id()).or_default().push(entry);
        }
        Ok(())
    }

    /// The answer to a request that came before under the same key.
    async fn known(&self, answer: Option<&StoredAnswer>) -> Result<Option<StoredAnswer>, Refusal> {
        let Some(wanted) = answer else {
            return Ok(None);
        };
        match self.ledger.answer(&wanted.key).await.map_err(unreadable)? {
            None => Ok(None),
            Some(known) if known.fingerprint == wanted.fingerprint => Ok(Some(known)),
            Some(_) => Err(key_reused()),
        }
    }

    /// Makes sure that what the input is about is known, and that a new mission's id is free.
    async fn admit(&mut self, input: &mut Input) -> Result<(), Refusal> {
        if let Some(id) = input.mission_id()
            && !self.state.missions.contains_key(&id)
            && let Some((mission, _)) = self.ledger.mission(id).await.map_err(unreadable)?
        {
            self.state.missions.insert(id, mission);
        }
        if let Input::AddMission { mission, .. } = input {
            mission.short_id = self.free_short_id(mission).await?;
        }
        Ok(())
    }

    async fn free_short_id(&self, mission: &Mission) -> Result<ShortId, Refusal> {
        let mut len = SHORT_ID_LEN;
        loop {
            let short = ShortId::derive(mission.id, len);
            let taken = self.ledger.short_id_taken(&short).await.map_err(unreadable)?;
            if !taken || len >= SHORT_ID_LEN_MAX {
                return Ok(short);
            }
            len += 1;
        }
    }

    async fn record(
        &mut self,
        decision: Decision,
        actor: Actor,
        correlation_id: Option<CorrelationId>,
        answer: Option<StoredAnswer>,
    ) -> Result<Outcome, Refusal> {
        if decision.facts.is_empty() && decision.effects.is_empty() && answer.is_none() {
            return Ok(Outcome::default());
        }
        let now = self.clock.now();
        let effects: Vec<OutboxEntry> = decision
            .effects
            .into_iter()
            .map(|effect| OutboxEntry { id: EffectId::draw(now, self.draw.as_mut()), effect })
            .collect();
        let delivered = self.delivered(&decision.facts);
        let events = decision
            .facts
            .into_iter()
            .map(|(subject, fact)| NewEvent {
                id: EventId::draw(now, self.draw.as_mut()),
                at: now,
                actor: actor.clone(),
                correlation_id,
                subject,
                fact,
            })
            .collect();
        let change = Change {
            events,
            effects: effects.clone(),
            delivered: delivered.clone(),
            answer,
            cursor: None,
        };
        let committed = self.ledger.commit(change).await.map_err(|err| {
            self.unsure |=
                matches!(err, CommitError::Storage { .. } | CommitError::Conflict { .. });
            not_recorded(err)
        })?;
        if committed.replayed.is_none() {
            for entries in self.pending.values_mut() {
                entries.retain(|entry| !delivered.contains(&entry.id));
            }
            self.take_in(&committed.events, effects);
        }
        Ok(Outcome { events: committed.events, replayed: committed.replayed })
    }

    /// Effects that these facts show to have been carried out.
    fn delivered(&self, facts: &[(Subject, Fact)]) -> Vec<EffectId> {
        let mut delivered = Vec::new();
        for (_, fact) in facts {
            let (id, all) = match fact {
                Fact::AttemptStarted { attempt_id, .. }
                | Fact::AttemptExited { attempt_id, .. } => (attempt_id, false),
                Fact::AttemptEnded { attempt_id, .. } => (attempt_id, true),
                _ => continue,
            };
            let entries = self.pending.get(id).into_iter().flatten();
            let done = entries
                .filter(|entry| all || matches!(entry.effect, Effect::Start { .. }))
                .map(|entry| entry.id);
            delivered.extend(done.filter(|id| !delivered.contains(id)).collect::<Vec<_>>());
        }
        delivered
    }

    /// Folds what the ledger acknowledged into the state, and acts on it.
    fn take_in(&mut self, events: &[Arc<Event>], effects: Vec<OutboxEntry>) {
        for event in events {
            self.state.apply(&event.fact);
            if let Fact::AttemptEnded { attempt_id, .. } = &event.fact {
                self.pending.remove(attempt_id);
                self.floor.forget(*attempt_id);
            }
        }
        for entry in effects {
            self.floor.carry_out(entry.effect.clone());
            self.pending.entry(entry.effect.attempt_id()).or_default().push(entry);
        }
    }

    /// Leases missions to free agents until no pair is left.
    async fn schedule(&mut self) {
        if let Err(err) = self.be_sure().await {
            warn!(error = &err as &dyn std::error::Error, "the ledger could not be read again");
            return;
        }
        for _ in 0..self.state.agents.len() {
            let decided =
                decide(&self.state, Input::Schedule, self.clock.now(), self.draw.as_mut());
            let decision = match decided {
                Ok(decision) if decision.facts.is_empty() => return,
                Ok(decision) => decision,
                Err(refusal) => {
                    error!(%refusal, "scheduling decided against its own table");
                    return;
                }
            };
            if let Err(refusal) = self.record(decision, Actor::Engine, None, None).await {
                warn!(%refusal, "a lease was not recorded; it is tried again");
                return;
            }
        }
    }
}

fn key_reused() -> Refusal {
    Refusal::new(
        Code::IdempotencyMismatch,
        "this idempotency key was used before for another request; nothing was changed",
    )
    .hint("use a new key for a new request")
}

fn unreadable(err: ReadError) -> Refusal {
    error!(error = &err as &dyn std::error::Error, "the ledger could not be read");
    Refusal::new(Code::Internal, format!("the ledger could not be read: {err}"))
        .hint("nothing was changed; see the log in the data directory")
}

fn not_recorded(err: CommitError) -> Refusal {
    match err {
        CommitError::KeyReused => key_reused(),
        CommitError::Busy => Refusal::new(Code::Busy, "the ledger is busy; nothing was changed")
            .hint("try again in a few seconds"),
        // The state is read again before the next try, which then gets an answer that is true.
        CommitError::Conflict { .. } => Refusal::new(
            Code::Busy,
            "it was changed in the meantime; nothing was changed by this request",
        )
        .hint("look again and repeat"),
        full if full.is_disk_full() => {
            error!(error = &full as &dyn std::error::Error, "the disk is full");
            Refusal::new(
                Code::Internal,
                "the disk that holds the data directory is full; whether the change was kept is not certain",
            )
            .hint("free space, look whether it is there, and repeat it if not")
        }
        other => {
            error!(error = &other as &dyn std::error::Error, "a change was not recorded");
            Refusal::new(Code::Internal, format!("the change was not recorded: {other}"))
                .hint("repeat the request with the same idempotency key; see the log in the data directory")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_met_a_full_disk_says_so_and_what_to_do() {
        let failed = |kind: std::io::ErrorKind| {
            let source = Arc::new(std::io::Error::from(kind));
            not_recorded(CommitError::Storage { operation: "write to the ledger", source })
        };
        let full = failed(std::io::ErrorKind::StorageFull);
        assert!(full.message.contains("data directory is full"), "{full:?}");
        assert!(full.hint.is_some_and(|hint| hint.starts_with("free space")));
        let other = failed(std::io::ErrorKind::PermissionDenied);
        assert!(!other.message.contains("full"), "{other:?}");
    }
}
