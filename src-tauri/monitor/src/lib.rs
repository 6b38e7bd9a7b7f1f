//! Measures: the machine, the engine and the process trees of agents, once per interval.
//!
//! One scan of the process table serves every agent; its figures go into telemetry as signals
//! ([`model::signal::CATALOGUE`]) and to whoever watches as a [`Snapshot`]. What could not be
//! measured is absent, never zero, and a missed measurement is a gap that is counted. What agents
//! said of their work - tokens, cost, tools, progress - is sampled beside what their processes use.
//!
//! What is on somebody's screen is looked at four times a second between the measurements of
//! everything ([`CloseUp`]); on battery everything is measured half as often.
//!
//! Invariant: the monitor never decides and never signals a process. It reads the process table,
//! the ledger and the sizes of run files, and writes nothing but telemetry.

mod clocks;
mod collect;
mod flow;
pub mod health;
mod identity;
mod ids;
mod interest;
mod lag;
mod machine;
mod pace;
mod processes;
mod roster;
mod rounds;
mod samples;
mod snapshot;
mod totals;
mod tree;
mod used;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::clock::SharedClock;
use store::Ledger;
use store::telemetry::Telemetry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use crate::interest::{Interest, SHOWN_MAX, Screen};
pub use crate::machine::{Gpu, MachineUsage, Power, Pressure, Slow, Swap};
pub use crate::processes::{Details, Processes};
pub use crate::samples::{Samples, Source, Word};
pub use crate::snapshot::{AgentUsage, AgentWork, CloseUp, CloseUsage, EngineUsage, Snapshot};
pub use crate::totals::AgentTotals;
pub use crate::tree::{Row, Table};
pub use crate::used::WorkTotals;

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
    #[error("read the machine's process table")]
    Open {
        /// What the system said.
        source: std::io::Error,
    },
    /// The running attempts cannot be read.
    #[error("read the running attempts")]
    Attempts {
        /// What the ledger said.
        source: store::ReadError,
    },
    /// What was counted before cannot be read.
    #[error("read the counters of the run before")]
    Counters {
        /// What telemetry said.
        source: store::telemetry::ReadError,
    },
    /// The first measurement did not come to its end.
    #[error("take the first measurement")]
    First {
        /// What happened to it.
        source: tokio::task::JoinError,
    },
}

/// Those who know figures of their own; clones are the same list.
#[derive(Clone, Default)]
pub(crate) struct Sources(Arc<Mutex<Vec<Arc<dyn Source>>>>);

impl Sources {
    fn add(&self, source: Arc<dyn Source>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    pub(crate) fn measure(&self, samples: &mut Samples) {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for source in sources {
            source.measure(samples);
        }
    }
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sources")
    }
}

/// Measures until it is cancelled.
#[derive(Debug)]
pub struct Monitor {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    close_ups: watch::Receiver<Arc<CloseUp>>,
    interest: Interest,
    sources: Sources,
}

impl Monitor {
    /// Takes the first measurement and goes on measuring in a task of `tasks` until `cancel`.
    ///
    /// # Errors
    /// When the machine's figures, the ledger's running attempts or the counters of the run before
    /// cannot be read.
    pub async fn start(
        ctx: MonitorContext,
        tasks: &TaskTracker,
        cancel: CancellationToken,
    ) -> Result<Self, MonitorError> {
        rounds::start(ctx, tasks, cancel).await
    }

    /// The latest measurement, replaced once per interval.
    #[must_use]
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// The latest close-up of the agents on screens, replaced four times a second while there are any.
    #[must_use]
    pub fn close_ups(&self) -> watch::Receiver<Arc<CloseUp>> {
        self.close_ups.clone()
    }

    /// Says which agents are on screens.
    #[must_use]
    pub fn interest(&self) -> Interest {
        self.interest.clone()
    }

    /// Asks this one, too, at every measurement from now on.
    pub fn add(&self, source: Arc<dyn Source>) {
        self.sources.add(source);
    }
}
