//! Measures: the machine, the engine and the process trees of agents, once per interval.
//!
//! One scan of the process table serves every agent; its figures go into telemetry as signals
//! ([`model::signal::CATALOGUE`]) and to whoever watches as a [`Snapshot`]. What could not be
//! measured is absent, never zero, and a missed measurement is a gap that is counted. What agents
//! said of their work - tokens, cost, tools, progress - is sampled beside what their processes use.
//!
//! Invariant: the monitor never decides and never signals a process. It reads the process table,
//! the ledger and the sizes of run files, and writes nothing but telemetry.

mod collect;
mod identity;
mod pace;
mod roster;
mod snapshot;
mod tree;
mod used;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::clock::SharedClock;
use model::event::Event;
use model::id::{AttemptId, MissionId};
use store::Ledger;
use store::telemetry::{Recorded, Telemetry};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

pub use crate::snapshot::{AgentUsage, AgentWork, EngineUsage, MachineUsage, Snapshot};

use crate::collect::{Collector, Measured};
use crate::pace::Pace;
use crate::roster::{Roster, Watched};
use crate::used::Used;

/// What the monitor works with.
#[derive(Debug, Clone)]
pub struct MonitorContext {
    /// Where the running attempts are read from.
    pub ledger: Ledger,
    /// Where the samples go.
    pub telemetry: Telemetry,
    /// What time the samples carry.
    pub clock: SharedClock,
    /// The workspace; the space left on its disk is measured.
    pub data_dir: PathBuf,
    /// Where the runs are: `runs/<attempt id>/stdout.log`.
    pub runs: PathBuf,
    /// Time between two measurements; at least 200 ms, one second in the product.
    pub interval: Duration,
}

/// Why the monitor could not begin.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The operating system's figures cannot be read.
    #[error("read the machine's figures")]
    Open {
        /// What the system said.
        source: sysinfo::Error,
    },
    /// The running attempts cannot be read.
    #[error("read the running attempts")]
    Attempts {
        /// What the ledger said.
        source: store::ReadError,
    },
    /// The first measurement did not come to its end.
    #[error("take the first measurement")]
    First {
        /// What happened to it.
        source: tokio::task::JoinError,
    },
}

/// The shortest time between two measurements; below it processor figures mean nothing.
const INTERVAL_MIN: Duration = Duration::from_millis(200);

/// Measures until it is cancelled.
#[derive(Debug)]
pub struct Monitor {
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

impl Monitor {
    /// Takes the first measurement and goes on measuring in a task of `tasks` until `cancel`.
    ///
    /// # Errors
    /// When the machine's figures or the ledger's running attempts cannot be read.
    pub async fn start(
        ctx: MonitorContext,
        tasks: &TaskTracker,
        cancel: CancellationToken,
    ) -> Result<Self, MonitorError> {
        let events = ctx.ledger.subscribe();
        let (roster, mut used) =
            read_roster(&ctx.ledger).await.map_err(|source| MonitorError::Attempts { source })?;
        let collector = Collector::open(&ctx.data_dir, &ctx.runs)
            .map_err(|source| MonitorError::Open { source })?;
        let (collector, measured) = measure(collector, roster.watched())
            .await
            .map_err(|source| MonitorError::First { source })?;
        let began = Instant::now();
        let mut first = measured.into_snapshot(ctx.clock.now(), 1, 0);
        first.work = used.measured(&roster.watched());
        record(&ctx.telemetry, &first);
        let (sender, snapshots) = watch::channel(Arc::new(first));
        let rounds = Rounds {
            pace: Pace::new(began, ctx.interval.max(INTERVAL_MIN)),
            ctx,
            roster,
            used,
            snapshots: sender,
        };
        tasks.spawn(rounds.run(collector, events, cancel));
        Ok(Self { snapshots })
    }

    /// The latest measurement, replaced once per interval.
    #[must_use]
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }
}

/// The state of the measuring task.
struct Rounds {
    ctx: MonitorContext,
    roster: Roster,
    used: Used,
    pace: Pace,
    snapshots: watch::Sender<Arc<Snapshot>>,
}

impl Rounds {
    async fn run(
        mut self,
        collector: Collector,
        mut events: broadcast::Receiver<Arc<Event>>,
        cancel: CancellationToken,
    ) {
        let mut collector = Some(collector);
        let mut following = true;
        let interval = self.pace.interval();
        let mut ticker = tokio::time::interval_at(Instant::now() + interval, interval);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                received = events.recv(), if following => match received {
                    Ok(event) => self.follow(&event).await,
                    Err(RecvError::Lagged(missed)) => {
                        debug!(missed, "fell behind the event stream; reading the running attempts anew");
                        self.reread().await;
                    }
                    Err(RecvError::Closed) => following = false,
                },
                due = ticker.tick() => {
                    self.pace.measured(due);
                    collector = self.round(collector).await;
                }
            }
        }
    }

    async fn follow(&mut self, event: &Event) {
        self.used.apply(event);
        if self.roster.apply(event).is_err() {
            self.reread().await;
        }
    }

    async fn reread(&mut self) {
        match read_roster(&self.ctx.ledger).await {
            Ok((roster, used)) => (self.roster, self.used) = (roster, used),
            Err(failure) => {
                warn!(error = %failure, "running attempts could not be read; measuring those known before");
            }
        }
    }

    /// One measurement; hands the collector back for the next one.
    async fn round(&mut self, collector: Option<Collector>) -> Option<Collector> {
        let collector = match collector {
            Some(collector) => collector,
            None => match Collector::open(&self.ctx.data_dir, &self.ctx.runs) {
                Ok(collector) => collector,
                Err(failure) => {
                    self.pace.lost();
                    warn!(error = %failure, "the machine's figures could not be read");
                    return None;
                }
            },
        };
        let watched = self.roster.watched();
        match measure(collector, watched.clone()).await {
            Ok((collector, measured)) => {
                let mut snapshot = measured.into_snapshot(
                    self.ctx.clock.now(),
                    self.pace.ticks(),
                    self.pace.missed(),
                );
                snapshot.work = self.used.measured(&watched);
                record(&self.ctx.telemetry, &snapshot);
                self.snapshots.send_replace(Arc::new(snapshot));
                Some(collector)
            }
            Err(failure) => {
                self.pace.lost();
                error!(error = %failure, "a measurement broke off; the next one starts afresh");
                None
            }
        }
    }
}

/// The attempts whose programs should be running, and what they have used so far.
async fn read_roster(ledger: &Ledger) -> Result<(Roster, Used), store::ReadError> {
    let attempts = ledger.unfinished_attempts().await?;
    let missions: HashMap<AttemptId, MissionId> =
        attempts.iter().map(|attempt| (attempt.id, attempt.mission_id)).collect();
    let roster = Roster::from_attempts(attempts);
    let mut used = Used::default();
    for watched in roster.watched() {
        let usage = ledger.usage_of(watched.attempt_id).await?;
        let mission_id = missions.get(&watched.attempt_id).copied();
        let percent = match mission_id {
            Some(id) => ledger.mission(id).await?.and_then(|(it, _)| it.progress?.percent),
            None => None,
        };
        used.begin(&watched, mission_id, usage, percent);
    }
    Ok((roster, used))
}

/// Measures away from the async threads: a scan of a thousand processes takes 40 ms.
async fn measure(
    mut collector: Collector,
    watched: Vec<Watched>,
) -> Result<(Collector, Measured), tokio::task::JoinError> {
    tokio::task::spawn_blocking(move || {
        let measured = collector.collect(&watched, std::time::Instant::now());
        (collector, measured)
    })
    .await
}

fn record(telemetry: &Telemetry, snapshot: &Snapshot) {
    if telemetry.record(snapshot.to_tick()) == Recorded::Dropped {
        debug!(tick = snapshot.tick, "telemetry is busy; this measurement is a gap");
    }
}
