//! Opening a workspace: the parts in their order, and what can go wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agents::Launcher;
use agents::vault::Vault;
use journal::Journal;
use model::clock::{SharedClock, SystemClock};
use model::event::{Event, Fact};
use model::id::{Draw as _, SystemDraw};
use monitor::{Monitor, MonitorContext, Snapshot};
use orchestrator::{Orchestrator, Setup};
use store::ledger::{Ledger, Verification};
use store::telemetry::Telemetry;
use store::transcripts::Transcripts;
use store::{DataDir, DataDirError};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backups::Backups;
use crate::halting::Losses;
use crate::health::Health;
use crate::hooks::Hooks;
use crate::keys::Keys;
use crate::live::Hub;
use crate::logins::Logins;
use crate::own::Measuring;
use crate::presets::Shelf;
use crate::reports::Courier;
use crate::rescue::Rescues;
use crate::roster::Roster;
use crate::signals::Questions;
use crate::steady::Steady;
use crate::telemetry_in::Received;
use crate::traces::Traces;
use crate::twins::Twins;
use crate::work::Bench;
use crate::{Engine, Parts, tell};

/// How many attempts run at once unless configured otherwise.
pub const RUNNING_MAX_DEFAULT: u32 = 200;
/// How often the machine and the agents are measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// The file that stands for the emergency stop where the ledger could not record it.
const HALT_MARK: &str = "HALTED";

/// Where agents keep what is their own, in the data directory.
pub(crate) const AGENTS: &str = "agents";

/// What an engine is opened with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The workspace.
    pub data_dir: PathBuf,
    /// The version of the program.
    pub version: &'static str,
    /// How many attempts may run at once.
    pub running_max: u32,
    /// Whether secrets go into the system's keychain where there is one.
    pub keychain: bool,
}

impl Config {
    /// The usual configuration for a workspace.
    #[must_use]
    pub const fn new(data_dir: PathBuf, version: &'static str) -> Self {
        Self { data_dir, version, running_max: RUNNING_MAX_DEFAULT, keychain: true }
    }

    /// The same, with every secret in the workspace's own file, whatever keychain the machine has.
    #[must_use]
    pub fn without_keychain(self) -> Self {
        Self { keychain: false, ..self }
    }
}

/// A workspace could not be opened. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A database cannot be used.
    #[error(transparent)]
    Store(#[from] store::ledger::OpenError),
    /// The file of the measurements or that of the conversations cannot be used.
    #[error(transparent)]
    Spare(#[from] store::SpareError),
    /// The shim is not there.
    #[error(transparent)]
    Launcher(#[from] agents::LaunchError),
    /// The unfinished work could not be taken up.
    #[error("take up the unfinished work")]
    Orchestrator(#[from] orchestrator::StartError),
    /// The machine cannot be measured.
    #[error("start measuring")]
    Monitor(#[from] monitor::MonitorError),
    /// The start could not be recorded.
    #[error("record the start")]
    Record(#[from] store::ledger::CommitError),
    /// The ledger could not be read.
    #[error("read the ledger")]
    Read(#[from] store::ledger::ReadError),
}

impl OpenError {
    /// Whether another engine holds the workspace, so that attaching to it would help.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        matches!(self, Self::DataDir(DataDirError::Locked { .. }))
    }
}

impl Engine {
    /// Opens a workspace and starts every part.
    ///
    /// # Errors
    /// When the data directory cannot be used or is held by another engine, when the ledger is
    /// damaged, not ours or newer, or when the shim is not installed.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let clock: SharedClock = Arc::new(SystemClock);
        Self::open_with(config, clock).await
    }

    pub(crate) async fn open_with(config: Config, clock: SharedClock) -> Result<Self, OpenError> {
        let launcher = Launcher::locate()?;
        let dir = DataDir::open(&config.data_dir)?;
        let ledger = Ledger::open(&dir, Arc::clone(&clock)).await?;
        let telemetry = Telemetry::open(&dir, Arc::clone(&clock)).await?;
        let transcripts = Transcripts::open(&dir, Arc::clone(&clock)).await?;
        let shelf = Shelf::open(&dir);
        let seen = record_start(&ledger, &clock, config.version).await?;
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        // Where a later part fails, those that run already end.
        let unfinished = cancel.clone().drop_guard();
        let events = ledger.subscribe();
        let monitor = Monitor::start(
            MonitorContext {
                ledger: ledger.clone(),
                telemetry: telemetry.clone(),
                clock: Arc::clone(&clock),
                data_dir: dir.root().to_owned(),
                runs: dir.runs(),
                interval: MEASURE_EVERY,
            },
            &tasks,
            cancel.clone(),
        )
        .await?;
        let stores = (ledger.clone(), telemetry.clone());
        begin_journal(stores, &clock, &tasks, &cancel);
        let memory_free_percent = measured_memory(monitor.snapshots(), &tasks, cancel.clone());
        let keys = Keys::read(&ledger).await?;
        let (hooks, vault) = (ledger.hooks().await?, vault(dir.root(), config.keychain));
        let happenings = ledger.subscribe();
        let losses = Losses::read(&ledger, clock.now()).await?;
        let traces_to = ledger.settings().await?.traces_to;
        let url = watch::Sender::new(None);
        let prices = Arc::clone(shelf.live_prices());
        let orchestrator = Orchestrator::start(
            Setup {
                ledger: ledger.clone(),
                clock: Arc::clone(&clock),
                draw: Box::new(SystemDraw),
                launcher: launcher.clone(),
                runs: dir.runs(),
                worktrees: dir.worktrees(),
                agents: dir.root().join(AGENTS),
                transcripts: transcripts.clone(),
                presets: Arc::clone(shelf.live_presets()),
                prices: Arc::clone(&prices),
                vault: vault.clone(),
                supervision: None,
                url: url.subscribe(),
                running_max: config.running_max,
                memory_free_percent: memory_free_percent.clone(),
                halt_mark: dir.root().join(HALT_MARK),
            },
            &tasks,
            cancel.clone(),
        )
        .await?;
        let engine = Self(Arc::new(Parts {
            version: config.version,
            started_at: clock.now(),
            hub: Hub::new(epoch()),
            keys,
            logins: Logins::read(&ledger, clock.now()).await?,
            steady: Steady::new(clock.now()),
            roster: Roster::default(),
            rescues: Rescues::default(),
            twins: Twins::default(),
            losses,
            bench: Bench::default(),
            hooks: Hooks::new(hooks),
            health: Arc::new(Health::new(clock.now())),
            backups: Backups::default(),
            questions: Questions::default(),
            vault,
            agents_turn: tokio::sync::Mutex::default(),
            secrets_turn: tokio::sync::Mutex::default(),
            memory_free_percent,
            running_max: config.running_max,
            snapshots: monitor.snapshots(),
            measuring: Measuring::with(monitor),
            dir,
            clock,
            ledger,
            telemetry,
            transcripts,
            presets: shelf,
            courier: Courier::default(),
            received: Received::new(prices),
            traces: Traces::new(traces_to),
            orchestrator,
            launcher,
            url,
            tasks,
            cancel,
        }));
        engine.begin_pulse(events, seen);
        engine.begin_tending(happenings, seen);
        unfinished.disarm();
        Ok(engine)
    }

    /// Starts what is done beside everything else for as long as the engine runs.
    fn begin_tending(&self, happenings: broadcast::Receiver<Arc<Event>>, seen: u64) {
        self.begin_own_figures();
        let tasks = &self.0.tasks;
        tasks.spawn(self.clone().follow_with_hooks(happenings, seen));
        tasks.spawn(self.clone().tend_the_health(seen));
        tasks.spawn(self.clone().tend_the_trash());
        tasks.spawn(self.clone().tend_the_reports());
        tasks.spawn(self.clone().sweep_trials());
        tasks.spawn(self.clone().tend_the_traces());
        tasks.spawn(self.clone().tend_the_stalled());
        tasks.spawn(self.clone().tend_the_heap());
    }
}

/// Has devlogs written from now on.
fn begin_journal(
    (ledger, telemetry): (Ledger, Telemetry),
    clock: &SharedClock,
    tasks: &TaskTracker,
    cancel: &CancellationToken,
) {
    Journal::start(ledger, telemetry, Arc::clone(clock), tasks, cancel.clone());
}

/// Follows the measurements of the machine and gives how much memory is free, in percent.
fn measured_memory(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    tasks: &TaskTracker,
    cancel: CancellationToken,
) -> watch::Receiver<Option<u8>> {
    let free = watch::Sender::new(None);
    let measured = free.subscribe();
    tasks.spawn(async move {
        loop {
            free.send_replace(free_percent(&snapshots.borrow_and_update()));
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = snapshots.changed() => if changed.is_err() { return },
            }
        }
    });
    measured
}

fn free_percent(snapshot: &Snapshot) -> Option<u8> {
    let (used, total) = (snapshot.machine.memory_used_bytes, snapshot.machine.memory_total_bytes);
    if snapshot.tick == 0 || total == 0 {
        return None;
    }
    let percent = u128::from(total.saturating_sub(used)) * 100 / u128::from(total);
    u8::try_from(percent).ok()
}

/// A name for this run of the engine that no other run has.
fn epoch() -> String {
    SystemDraw.bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the secrets of a workspace are kept.
fn vault(root: &Path, keychain: bool) -> Vault {
    if keychain { Vault::open(root) } else { Vault::without_keychain(root) }
}

/// Records the start, and whether the run before ended in order; gives the ledger's head.
async fn record_start(
    ledger: &Ledger,
    clock: &SharedClock,
    version: &'static str,
) -> Result<u64, OpenError> {
    let head = ledger.counts().await?.events;
    let last = ledger.events_after(head.saturating_sub(1), 1).await?;
    let clean = last.last().is_none_or(|event| event.fact == Fact::EngineStopped);
    let fact = Fact::EngineStarted { version: version.to_owned(), clean };
    ledger.commit(tell::engine_event(clock.now(), fact)).await?;
    Ok(head)
}

/// Checks the ledger of a workspace that no engine holds.
///
/// # Errors
/// When the workspace cannot be opened; what that means is in the error.
pub async fn verify(data_dir: &Path) -> Result<Verification, OpenError> {
    let clock: SharedClock = Arc::new(SystemClock);
    let dir = DataDir::open(data_dir)?;
    let ledger = Ledger::open(&dir, clock).await?;
    let verification = ledger.verify().await?;
    ledger.close().await;
    Ok(verification)
}
