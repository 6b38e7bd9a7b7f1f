//! The way in to the orchestrator: what can be asked of its loop, and by whom.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agents::Launcher;
use agents::runtime::presets::Presets;
use agents::runtime::prices::Prices;
use agents::runtime::sheet::Live;
use agents::vault::Vault;
use jiff::Timestamp;
use model::activity::Activity;
use model::clock::SharedClock;
use model::event::{Actor, Event};
use model::id::{AttemptId, CorrelationId, Draw};
use model::mission::Mission;
use model::process::Supervision;
use model::refusal::{Code, Refusal};
use model::usage::Usage;
use store::ledger::{Ledger, ReadError, StoredAnswer};
use store::transcripts::Transcripts;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attached::Attached;
use crate::decide::HALT_AT_ONCE;
use crate::floor::{Board, Floor, FloorSetup, NotReached, Poke, Starts};
use crate::halt::HaltSwitch;
use crate::input::{Cycle, Input};
use crate::recall::read_state;
use crate::run::{Desk, Loop};
use crate::state::State;
use crate::streaks::{Held, Streaks};

/// Inputs that may wait; who comes later waits for a place.
const QUEUE: usize = 256;
/// How long a caller waits for a place in the queue before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);
/// Outbox entries taken up at start; an attempt has at most three.
pub(crate) const OUTBOX_MAX: u32 = 100_000;

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
    /// How many attempts may run at once where the settings do not say.
    pub running_max: u32,
    /// How much of the machine's memory is free, in percent; nothing before it was measured.
    pub memory_free_percent: watch::Receiver<Option<u8>>,
    /// Where agents keep what is their own.
    pub agents: PathBuf,
    /// How processes are kept together; nothing means the surest way this machine has.
    pub supervision: Option<Supervision>,
    /// Where conversations are kept.
    pub transcripts: Transcripts,
    /// How the known kinds of agents behave.
    pub presets: Arc<Live<Presets>>,
    /// What models cost.
    pub prices: Arc<Live<Prices>>,
    /// Where the secrets are that agents' environments name.
    pub vault: Vault,
    /// A file that stands for the emergency stop where the ledger could not record it.
    pub halt_mark: PathBuf,
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

type Look = Box<dyn FnOnce(&State, Cycle, Timestamp) + Send>;

/// What waits for the loop.
pub(crate) enum Message {
    /// Something is to happen.
    Carry { command: Box<Command>, reply: oneshot::Sender<Result<Outcome, Refusal>> },
    /// Somebody looks at the state, and changes nothing.
    Look(Look),
    /// The ledger is read anew and what is not under way is taken up.
    Reconcile(oneshot::Sender<Result<Reconciled, Refusal>>),
}

impl Message {
    /// The mission it adds, where it adds one.
    pub(crate) fn new_mission(&self) -> Option<&Mission> {
        let Self::Carry { command, .. } = self else {
            return None;
        };
        match &command.input {
            Input::AddMission { mission, .. } => Some(mission),
            _ => None,
        }
    }
}

/// What reconciling found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Attempts that are not over.
    pub attempts: u64,
    /// Whether the orchestrator's own picture was different from the ledger.
    pub differed: bool,
    /// Attempts nobody was working on, which were taken up again.
    pub taken_up: Vec<AttemptId>,
}

/// What the emergency stop did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HaltReport {
    /// Process trees that were found alive.
    pub trees: u64,
    /// Processes that were ended.
    pub ended: u64,
    /// Processes that are still there: their ids and programs.
    pub survivors: Vec<(u32, String)>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Why it is not in the ledger, where it could not be recorded.
    pub not_recorded: Option<String>,
}

/// The way in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Orchestrator {
    inputs: mpsc::Sender<Message>,
    switch: Arc<HaltSwitch>,
    board: Arc<Board>,
    attached: Arc<Attached>,
    held: watch::Receiver<Held>,
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
        let state = read_state(&setup.ledger, setup.running_max).await?;
        let halted = state.halted.is_some() || setup.halt_mark.exists();
        let switch = HaltSwitch::new(
            setup.launcher.clone(),
            setup.runs.clone(),
            setup.halt_mark,
            Arc::clone(&setup.clock),
            halted,
        );
        if halted {
            // The run before may have died while it ended what ran.
            switch.sweep().await;
        }
        let switch = Arc::new(switch);
        let board = Arc::new(Board::new(Arc::clone(&setup.clock)));
        let attached = Arc::new(Attached::new(Arc::clone(&setup.clock)));
        let streaks = Streaks::read(&setup.ledger, setup.clock.now()).await?;
        let held = watch::Sender::new(streaks.held(setup.clock.now()));
        let this = Self {
            inputs,
            switch: Arc::clone(&switch),
            board: Arc::clone(&board),
            attached: Arc::clone(&attached),
            held: held.subscribe(),
        };
        let pending = setup.ledger.outbox(OUTBOX_MAX).await?;
        let floor = Floor::new(FloorSetup {
            ledger: setup.ledger.clone(),
            clock: Arc::clone(&setup.clock),
            launcher: setup.launcher,
            runs: setup.runs,
            worktrees: setup.worktrees,
            url: setup.url,
            orchestrator: this.clone(),
            switch: Arc::clone(&switch),
            agents: setup.agents,
            supervision: setup.supervision,
            transcripts: setup.transcripts,
            presets: setup.presets,
            prices: setup.prices,
            vault: setup.vault,
            board,
            attached: Arc::clone(&attached),
            starts: Starts::default(),
            freezing: tokio::sync::Mutex::new(()),
            tasks: tasks.clone(),
            cancel: cancel.clone(),
        });
        let mut desk = Loop::new(Desk {
            ledger: setup.ledger,
            clock: setup.clock,
            draw: setup.draw,
            state,
            floor,
            memory_free_percent: setup.memory_free_percent,
            switch,
            attached,
            streaks,
            held,
        });
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
        self.send(Message::Carry { command: Box::new(command), reply }).await?;
        answer.await.map_err(|_| closing())?
    }

    /// Looks at the state between two inputs.
    ///
    /// # Errors
    /// When the queue stays full, or when the engine is shutting down.
    pub async fn look<T, F>(&self, look: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&State, Cycle, Timestamp) -> T + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let look = move |state: &State, cycle: Cycle, now: Timestamp| {
            // Who asked may have gone away.
            drop(reply.send(look(state, cycle, now)));
        };
        self.send(Message::Look(Box::new(look))).await?;
        answer.await.map_err(|_| closing())
    }

    /// Reads the ledger anew, and takes up every attempt nobody works on.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the engine is shutting down.
    pub async fn reconcile(&self) -> Result<Reconciled, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Reconcile(reply)).await?;
        answer.await.map_err(|_| closing())?
    }

    /// Ends every process tree at once, and starts nothing until the swarm is resumed.
    ///
    /// The processes are ended before anything is recorded, so that it works whatever the ledger
    /// and the queue are doing.
    pub async fn halt(&self, mut command: Command) -> HaltReport {
        let mut report = self.switch.throw().await;
        // Attempts are stopped a number at a time, as one transaction holds.
        loop {
            match self.tell(command.clone()).await {
                // The rest is not the same request again, which would only be answered.
                Ok(outcome) if outcome.events.len() >= HALT_AT_ONCE => command.answer = None,
                Ok(_) => break,
                Err(refusal) => {
                    report.not_recorded = Some(refusal.message);
                    break;
                }
            }
        }
        report
    }

    /// What the conversation of an attempt is doing; nothing where there is none.
    #[must_use]
    pub fn activity(&self, id: AttemptId) -> Option<Activity> {
        self.board.activity(id)
    }

    /// What all conversations are doing.
    #[must_use]
    pub fn activities(&self) -> HashMap<AttemptId, Activity> {
        self.board.activities()
    }

    /// What a conversation that is under way has used by now, according to each source that was heard
    /// since it was taken up: newer than what is recorded, which is done at a slower pace.
    #[must_use]
    pub fn used(&self, id: AttemptId) -> Vec<Usage> {
        self.board.usage(id)
    }

    /// Agents that failed again and again and get no mission, and until when.
    #[must_use]
    pub fn held(&self) -> Held {
        Held::clone(&self.held.borrow())
    }

    /// Agents that run elsewhere.
    #[must_use]
    pub fn attached(&self) -> &Arc<Attached> {
        &self.attached
    }

    /// Has the scheduler look again: somebody came.
    ///
    /// # Errors
    /// As [`Orchestrator::look`].
    pub async fn look_again(&self) -> Result<(), Refusal> {
        self.look(|_, _, _| ()).await
    }

    /// Types into the terminal of an attempt.
    ///
    /// # Errors
    /// When nobody listens, or too much waits already.
    pub fn type_into(&self, id: AttemptId, text: String) -> Result<(), NotReached> {
        self.board.poke(id, Poke::Type(text))
    }

    /// Tells the terminal of an attempt its size.
    ///
    /// # Errors
    /// As [`Orchestrator::type_into`].
    pub fn resize(&self, id: AttemptId, cols: u16, rows: u16) -> Result<(), NotReached> {
        self.board.poke(id, Poke::Resize { cols, rows })
    }

    /// Calls off the turn an agent works on, for the captain; what it asks is answered first. Where
    /// nothing waits to be told, its attempt ends, and its mission is held without having lost a try.
    ///
    /// # Errors
    /// As [`Orchestrator::type_into`].
    pub fn cancel_turn(&self, id: AttemptId) -> Result<(), NotReached> {
        self.board.poke(id, Poke::CancelTurn)
    }

    /// Calls off the turn an agent works on, so that it hears what waits. Unlike what the captain
    /// calls off, an attempt that ends by it has failed.
    ///
    /// # Errors
    /// As [`Orchestrator::type_into`].
    pub fn interrupt_turn(&self, id: AttemptId) -> Result<(), NotReached> {
        self.board.poke(id, Poke::InterruptTurn)
    }

    /// Whether nothing is started because everything was stopped.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.switch.is_thrown()
    }

    async fn send(&self, message: Message) -> Result<(), Refusal> {
        self.inputs.send_timeout(message, PATIENCE).await.map_err(|err| match err {
            mpsc::error::SendTimeoutError::Timeout(_) => {
                Refusal::new(Code::Busy, "the engine is busy; nothing was changed")
                    .hint("try again in a few seconds")
            }
            mpsc::error::SendTimeoutError::Closed(_) => closing(),
        })
    }
}

fn closing() -> Refusal {
    Refusal::new(Code::Busy, "the engine is shutting down")
}
