//! The loop around the pure core: one input at a time, recorded before anything is done.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use model::attempt::{Attempt, AttemptState};
use model::clock::SharedClock;
use model::effect::{Effect, OutboxEntry};
use model::event::{Actor, Fact, NewEvent};
use model::id::{
    AgentId, AttemptId, CorrelationId, Draw, EffectId, EventId, MissionId, SHORT_ID_LEN,
    SHORT_ID_LEN_MAX, ShortId,
};
use model::mission::Mission;
use model::refusal::Refusal;
use store::ledger::{Change, CommitError, Committed, Ledger, ReadError, StoredAnswer, Ticket};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error, info_span, warn};

use crate::attached::Attached;
use crate::decide::{Decision, decide};
use crate::entry::{Command, Message, OUTBOX_MAX, Outcome, Reconciled};
use crate::floor::Floor;
use crate::halt::HaltSwitch;
use crate::input::{Cycle, Input};
use crate::recall::{read_dependencies, read_state, read_talk};
use crate::schedule;
use crate::state::State;
use crate::streaks::{Held, Streaks};
use crate::trouble::{key_reused, not_recorded, unreadable};

type Reply = oneshot::Sender<Result<Outcome, Refusal>>;

/// Inputs that are decided on before the first of them is waited for.
const TOGETHER_MAX: usize = 64;

/// How often scheduling is tried again without anything having come in.
const RESCHEDULE: Duration = Duration::from_secs(5);

/// What the loop starts with.
pub(crate) struct Desk {
    pub(crate) ledger: Ledger,
    pub(crate) clock: SharedClock,
    pub(crate) draw: Box<dyn Draw>,
    pub(crate) state: State,
    pub(crate) floor: Floor,
    pub(crate) memory_free_percent: watch::Receiver<Option<u8>>,
    pub(crate) switch: Arc<HaltSwitch>,
    pub(crate) attached: Arc<Attached>,
    pub(crate) streaks: Streaks,
    pub(crate) held: watch::Sender<Held>,
}

/// One input at a time.
pub(crate) struct Loop {
    ledger: Ledger,
    clock: SharedClock,
    draw: Box<dyn Draw>,
    state: State,
    floor: Floor,
    memory_free_percent: watch::Receiver<Option<u8>>,
    switch: Arc<HaltSwitch>,
    /// Agents that run elsewhere.
    attached: Arc<Attached>,
    /// Agents that fail again and again.
    streaks: Streaks,
    /// Which of them are held back, for everybody to see.
    held: watch::Sender<Held>,
    /// Effects that are recorded and not yet carried out, by attempt.
    pending: HashMap<AttemptId, Vec<OutboxEntry>>,
    /// Readable ids of missions that are handed in and not yet on disk.
    short_ids: HashSet<ShortId>,
    /// Readable ids that were looked up together, and that no mission has.
    free_short_ids: HashSet<ShortId>,
    /// Whether missions were read because others depend on them.
    walked: bool,
    /// Whether the ledger may hold what the state does not: a write that failed may have been kept.
    unsure: bool,
}

impl Loop {
    pub(crate) fn new(desk: Desk) -> Self {
        let Desk { ledger, clock, draw, state, floor, memory_free_percent, .. } = desk;
        let Desk { switch, attached, streaks, held, .. } = desk;
        let pending = HashMap::new();
        Self {
            ledger,
            clock,
            draw,
            state,
            floor,
            memory_free_percent,
            switch,
            attached,
            streaks,
            held,
            pending,
            short_ids: HashSet::new(),
            free_short_ids: HashSet::new(),
            walked: false,
            unsure: false,
        }
    }

    /// Carries on where the run before left off: effects first, then running programs.
    pub(crate) fn take_up(&mut self, pending: Vec<OutboxEntry>) {
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

    pub(crate) async fn run(
        mut self,
        mut queue: mpsc::Receiver<Message>,
        cancel: CancellationToken,
    ) {
        self.schedule().await;
        loop {
            let pause = self.until_due();
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(message) = queue.recv() => self.handle(message, &mut queue).await,
                () = tokio::time::sleep(pause) => self.schedule().await,
            }
        }
    }

    /// How long nothing is due, if nothing comes in.
    fn until_due(&self) -> Duration {
        let due = schedule::next_due(&self.state, self.clock.now());
        due.and_then(|due| Duration::try_from(due).ok())
            .map_or(RESCHEDULE, |due| due.min(RESCHEDULE))
    }

    fn cycle(&self) -> Cycle {
        let held = self.streaks.held(self.clock.now());
        self.held.send_if_modified(|known| {
            let changed = *known != held;
            known.clone_from(&held);
            changed
        });
        let absent = self.attached.absent(self.state.agents.values());
        Cycle { held, absent, memory_free_percent: *self.memory_free_percent.borrow() }
    }

    /// Takes what waits in the queue, decides one after the other, and has all of it recorded
    /// together: each decision sees the one before, and nothing is answered or carried out before
    /// the ledger acknowledged it.
    async fn handle(&mut self, first: Message, queue: &mut mpsc::Receiver<Message>) {
        let mut waiting = vec![first];
        let mut open = Vec::new();
        while !waiting.is_empty() {
            take_waiting(queue, &mut waiting, TOGETHER_MAX.saturating_sub(open.len()));
            let wanted = waiting.iter().filter_map(Message::new_mission);
            let wanted = wanted.map(|mission| ShortId::derive(mission.id, SHORT_ID_LEN)).collect();
            self.look_up_short_ids(wanted).await;
            for message in waiting.drain(..) {
                self.take(message, &mut open).await;
            }
            take_waiting(queue, &mut waiting, TOGETHER_MAX.saturating_sub(open.len()));
        }
        self.free_short_ids.clear();
        self.plan(&mut open).await;
        self.settle(&mut open).await;
    }

    async fn take(&mut self, message: Message, open: &mut Vec<Open>) {
        match message {
            Message::Carry { command, reply } => {
                let correlation_id = command.correlation_id.map(|id| id.to_string());
                let span = info_span!("command", correlation_id);
                self.carry(*command, reply, open).instrument(span).await;
            }
            Message::Look(look) => {
                self.settle(open).await;
                look(&self.state, self.cycle(), self.clock.now());
            }
            Message::Reconcile(reply) => {
                self.settle(open).await;
                // Who asked may have gone away.
                drop(reply.send(self.reconcile().await.map_err(unreadable)));
            }
        }
    }

    /// Looks up the readable ids that new missions would have: one read for all of them.
    async fn look_up_short_ids(&mut self, wanted: Vec<ShortId>) {
        if wanted.len() < 2 {
            return;
        }
        // Where it cannot be read, each is looked up by itself, and refused.
        if let Ok(taken) = self.ledger.short_ids_taken(&wanted).await {
            self.free_short_ids.extend(wanted);
            for short in taken {
                self.free_short_ids.remove(&short);
            }
        }
    }

    async fn reconcile(&mut self) -> Result<Reconciled, ReadError> {
        let before = self.state.clone();
        self.unsure = true;
        self.be_sure().await?;
        let live = self.state.attempts.values().filter(|attempt| !attempt.state.is_final());
        let mut reconciled = Reconciled { differed: self.state != before, ..Default::default() };
        for attempt in live {
            reconciled.attempts += 1;
            if self.floor.is_idle(attempt.id) && self.take_up_attempt(attempt) {
                reconciled.taken_up.push(attempt.id);
            }
        }
        Ok(reconciled)
    }

    /// Carries out what is still to be done for an attempt; says whether there was anything.
    fn take_up_attempt(&self, attempt: &Attempt) -> bool {
        let pending = self.pending.get(&attempt.id).into_iter().flatten();
        let effects: Vec<Effect> = pending.map(|entry| entry.effect.clone()).collect();
        let runs = attempt.state == AttemptState::Running && !attempt.stopping;
        if effects.is_empty() && runs {
            self.floor.take_over(attempt.id);
        }
        let any = runs || !effects.is_empty();
        for effect in effects {
            self.floor.carry_out(effect);
        }
        any
    }

    /// Decides on an input, and hands what is decided in to the ledger.
    async fn carry(&mut self, command: Command, reply: Reply, open: &mut Vec<Open>) {
        if command.input == Input::ResumeSwarm {
            self.resume_swarm(command, reply, open).await;
            return;
        }
        let asked = command.answer.as_ref().map(|answer| &answer.key);
        if open.iter().any(|other| asked.is_some() && other.key.as_ref() == asked) {
            // The same request came again before the first was answered.
            self.settle(open).await;
        }
        match self.decide_on(command).await {
            Err(answered) => open.push(Open::answered(reply, answered)),
            Ok(recorded) => self.hand_in(recorded, Some(reply), open).await,
        }
    }

    /// What is to be recorded; what is to be answered at once where nothing is.
    async fn decide_on(&mut self, command: Command) -> Result<Recorded, Result<Outcome, Refusal>> {
        self.be_sure().await.map_err(|err| Err(unreadable(err)))?;
        if let Some(replayed) = self.known(command.answer.as_ref()).await.map_err(Err)? {
            return Err(Ok(Outcome { events: Vec::new(), replayed: Some(replayed) }));
        }
        let Command { mut input, actor, correlation_id, answer } = command;
        self.admit(&mut input).await.map_err(Err)?;
        let decision = decide(&self.state, input, self.clock.now(), self.draw.as_mut());
        Ok(Recorded { decision: decision.map_err(Err)?, actor, correlation_id, answer })
    }

    /// Lets the swarm go on once that is recorded, or where the stop itself could not be.
    async fn resume_swarm(&mut self, command: Command, reply: Reply, open: &mut Vec<Open>) {
        self.settle(open).await;
        if let Err(err) = self.be_sure().await {
            drop(reply.send(Err(unreadable(err))));
            return;
        }
        if self.switch.is_thrown() && self.state.halted.is_none() {
            self.switch.release();
            drop(reply.send(Ok(Outcome::default())));
            return;
        }
        match self.decide_on(command).await {
            Err(answered) => drop(reply.send(answered)),
            Ok(recorded) => {
                self.hand_in(recorded, Some(reply), open).await;
                self.settle(open).await;
                if self.state.halted.is_none() && !self.unsure {
                    self.switch.release();
                }
            }
        }
    }

    /// Reads the ledger again after a write whose outcome is not certain, and takes up the effects
    /// of what turns out to have been kept.
    async fn be_sure(&mut self) -> Result<(), ReadError> {
        if !self.unsure {
            return Ok(());
        }
        let state = read_state(&self.ledger, self.state.running_max).await?;
        let streaks = Streaks::read(&self.ledger, self.clock.now()).await?;
        let open = self.ledger.outbox(OUTBOX_MAX).await?;
        self.unsure = false;
        for id in self.state.attempts.keys().filter(|id| !state.attempts.contains_key(id)) {
            self.floor.forget(*id);
        }
        (self.state, self.streaks) = (state, streaks);
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
        if let Some(id) = input.attempt_id()
            && !self.state.attempts.contains_key(&id)
            && let Some(attempt) = self.ledger.attempt(id).await.map_err(unreadable)?
        {
            self.admit_mission(attempt.mission_id).await?;
            let results = self.ledger.gate_results(id).await.map_err(unreadable)?;
            self.state.admit_attempt(attempt, results);
        }
        if let Some(id) = input.mission_id() {
            self.admit_mission(id).await?;
        }
        let wanted = input.depends_on().to_vec();
        self.walked |= !wanted.is_empty();
        read_dependencies(&mut self.state, &self.ledger, wanted).await.map_err(unreadable)?;
        read_talk(&mut self.state, &self.ledger, input).await.map_err(unreadable)?;
        if let Input::AddMission { mission, .. } = input {
            mission.short_id = self.free_short_id(mission).await?;
        }
        Ok(())
    }

    async fn admit_mission(&mut self, id: MissionId) -> Result<(), Refusal> {
        if self.state.missions.contains_key(&id) {
            return Ok(());
        }
        let found = self.ledger.mission(id).await.map_err(unreadable)?;
        let Some((mission, _)) = found else {
            return Ok(());
        };
        let wanted = mission.depends_on.clone();
        self.walked |= !wanted.is_empty();
        self.state.admit_mission(mission);
        read_dependencies(&mut self.state, &self.ledger, wanted).await.map_err(unreadable)
    }

    /// A readable id that no mission has, those that are not yet on disk included.
    async fn free_short_id(&mut self, mission: &Mission) -> Result<ShortId, Refusal> {
        let mut len = SHORT_ID_LEN;
        loop {
            let short = ShortId::derive(mission.id, len);
            let taken = self.short_ids.contains(&short)
                || !self.free_short_ids.remove(&short)
                    && self.ledger.short_id_taken(&short).await.map_err(unreadable)?;
            if !taken || len >= SHORT_ID_LEN_MAX {
                self.short_ids.insert(short.clone());
                return Ok(short);
            }
            len += 1;
        }
    }

    /// Hands a decision in to the ledger and folds it into the state, so that the next one sees it.
    async fn hand_in(&mut self, recorded: Recorded, reply: Option<Reply>, open: &mut Vec<Open>) {
        let Recorded { decision, actor, correlation_id, answer } = recorded;
        let delivered = decision.delivered(|id| self.pending.get(&id));
        let nothing = decision.facts.is_empty() && decision.effects.is_empty();
        if nothing && delivered.is_empty() && answer.is_none() {
            open.extend(reply.map(|reply| Open::answered(reply, Ok(Outcome::default()))));
            return;
        }
        let now = self.clock.now();
        let effects: Vec<OutboxEntry> = decision
            .effects
            .into_iter()
            .map(|effect| OutboxEntry { id: EffectId::draw(now, self.draw.as_mut()), effect })
            .collect();
        let events: Vec<NewEvent> = decision
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
        let key = answer.as_ref().map(|answer| answer.key.clone());
        for event in &events {
            self.streaks.note(&event.fact, event.at, &self.state);
            self.state.apply(&event.fact);
        }
        for entries in self.pending.values_mut() {
            entries.retain(|entry| !delivered.contains(&entry.id));
        }
        for entry in &effects {
            let of_attempt = self.pending.entry(entry.effect.attempt_id()).or_default();
            of_attempt.push(entry.clone());
        }
        let change =
            Change { events, effects: effects.clone(), delivered, answer, ..Change::default() };
        let ticket = self.ledger.submit(change).await;
        open.push(Open { reply, key, effects, state: Stage::Submitted(ticket) });
    }

    /// Waits until what was handed in is on disk; only then is it answered and carried out.
    async fn settle(&mut self, open: &mut Vec<Open>) {
        for Open { reply, effects, state, .. } in std::mem::take(open) {
            let outcome = match state {
                Stage::Answered(answered) => answered,
                Stage::Submitted(ticket) => {
                    let committed = match ticket {
                        Ok(ticket) => ticket.committed().await,
                        Err(err) => Err(err),
                    };
                    self.take_in(committed, effects)
                }
            };
            // Who asked may have gone away; what was recorded stays.
            if let Some(reply) = reply {
                drop(reply.send(outcome));
            }
        }
        self.short_ids.clear();
        if !self.unsure {
            self.state.forget_finished();
            if std::mem::take(&mut self.walked) {
                self.state.forget_ancestors();
            }
        }
    }

    /// Acts on what the ledger acknowledged. Where it did not, the state holds what the ledger may
    /// not: it is read again before the next decision.
    fn take_in(
        &mut self,
        committed: Result<Committed, CommitError>,
        effects: Vec<OutboxEntry>,
    ) -> Result<Outcome, Refusal> {
        match committed {
            Ok(Committed { events, replayed: None }) => {
                for event in &events {
                    match &event.fact {
                        Fact::AttemptEnded { attempt_id, .. } => {
                            self.pending.remove(attempt_id);
                            self.floor.forget(*attempt_id);
                        }
                        // An earlier stop may have been resumed since the switch was thrown.
                        Fact::SwarmHalted { .. } => self.switch.hold(),
                        // Whoever talks with the agent looks what there is to be said.
                        Fact::MessageQueued { message } => self.poke(message.to),
                        Fact::MessageRetried { .. } | Fact::RequestEnded { .. } => {
                            self.floor.poke_all(event.subject.attempt_id);
                        }
                        _ => {}
                    }
                }
                for entry in effects {
                    self.floor.carry_out(entry.effect);
                }
                Ok(Outcome { events, replayed: None })
            }
            other => {
                self.unsure = true;
                // What of it was kept is found in the outbox, and carried out then.
                for entries in self.pending.values_mut() {
                    entries.retain(|entry| effects.iter().all(|lost| lost.id != entry.id));
                }
                let Committed { events, replayed } = other.map_err(not_recorded)?;
                Ok(Outcome { events, replayed })
            }
        }
    }

    /// Has the conversation an agent is in look whether there is something to be said.
    fn poke(&self, agent: AgentId) {
        if let Some(attempt) = self.state.attempt_of_agent(agent) {
            self.floor.poke_all(Some(attempt.id));
        }
    }

    /// Leases missions to free agents until no pair is left.
    async fn schedule(&mut self) {
        let mut open = Vec::new();
        self.plan(&mut open).await;
        self.settle(&mut open).await;
    }

    /// Hands in one decision of the scheduler after the other, until there is nothing to start.
    async fn plan(&mut self, open: &mut Vec<Open>) {
        if self.switch.is_thrown() {
            return;
        }
        if self.unsure {
            self.settle(open).await;
        }
        if let Err(err) = self.be_sure().await {
            warn!(error = &err as &dyn std::error::Error, "the ledger could not be read again");
            return;
        }
        for _ in 0..=self.state.agents.len() {
            let input = Input::Schedule(self.cycle());
            let decided = decide(&self.state, input, self.clock.now(), self.draw.as_mut());
            let decision = match decided {
                Ok(decision) if decision.facts.is_empty() => return,
                Ok(decision) => decision,
                Err(refusal) => {
                    error!(%refusal, "scheduling decided against its own table");
                    return;
                }
            };
            let recorded =
                Recorded { decision, actor: Actor::Engine, correlation_id: None, answer: None };
            self.hand_in(recorded, None, open).await;
        }
    }
}

/// Takes what waits in the queue, until there are `most`.
fn take_waiting(queue: &mut mpsc::Receiver<Message>, waiting: &mut Vec<Message>, most: usize) {
    while waiting.len() < most
        && let Ok(message) = queue.try_recv()
    {
        waiting.push(message);
    }
}

/// A decision on its way into the ledger.
struct Recorded {
    decision: Decision,
    actor: Actor,
    correlation_id: Option<CorrelationId>,
    answer: Option<StoredAnswer>,
}

/// Something that is to be answered once everything before it is on disk.
struct Open {
    reply: Option<Reply>,
    /// The idempotency key it came under.
    key: Option<String>,
    /// What is to be done once it is on disk.
    effects: Vec<OutboxEntry>,
    state: Stage,
}

enum Stage {
    /// Nothing is to be recorded.
    Answered(Result<Outcome, Refusal>),
    /// It was handed in to the ledger, or could not be.
    Submitted(Result<Ticket, CommitError>),
}

impl Open {
    const fn answered(reply: Reply, answered: Result<Outcome, Refusal>) -> Self {
        let state = Stage::Answered(answered);
        Self { reply: Some(reply), key: None, effects: Vec::new(), state }
    }
}
