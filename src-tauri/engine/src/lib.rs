//! Composition root: opens the store, starts every part, and hands out one [`Engine`].
//!
//! Invariant: the engine adds no rule of its own. Each use case is one method on [`Engine`]; what
//! is possible is decided by the orchestrator, what is true is read from the store.

mod about;
mod attached;
mod backups;
mod book;
mod conduct;
mod config;
mod crew;
mod demo;
mod doctor;
mod efficiency;
mod evidence;
mod figures;
mod halting;
mod health;
pub mod heap;
mod hooks;
mod keeping;
mod keys;
mod land;
pub mod live;
mod logins;
mod missions;
mod network;
mod open;
mod output;
mod own;
mod presets;
mod pulse;
mod recovery;
mod reports;
mod rescue;
mod resolve;
mod roster;
mod rules;
mod scope;
mod secrets;
mod signals;
mod steady;
mod talk;
mod telemetry_in;
mod tell;
mod tools;
mod topics;
mod traces;
mod twins;
pub mod view;
mod work;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agents::Launcher;
use agents::vault::Vault;
use jiff::Timestamp;
use model::clock::SharedClock;
use model::event::Actor;
use model::id::CorrelationId;
use model::refusal::{Code, Refusal};
use monitor::Snapshot;
use orchestrator::Orchestrator;
use store::DataDir;
use store::ledger::Ledger;
use store::telemetry::Telemetry;
use store::transcripts::Transcripts;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use agents::desktop;
pub use agents::scan;
pub use agents::secrets::redact as without_secrets;
pub use agents::survey::exists as process_exists;
pub use attached::Lent;
pub use backups::{RestoreError, Revival, restore};
pub use doctor::doctor_without_engine;
pub use efficiency::EFFICIENCY_LAST_S_MAX;
pub use figures::{Figures, UsedBy};
pub use health::CheckQuery;
pub use journal::{Format, Rendered};
pub use keys::Bearer;
pub use logins::{COOKIE_PREFIX, MadeLogin, NewLogin, PAGE_PREFIX, SignedIn};
pub use missions::MissionQuery;
pub use open::{Config, OpenError, RUNNING_MAX_DEFAULT, verify};
pub use output::TranscriptQuery;
pub use scope::Named;
pub use signals::{
    AnswerTier, AnsweredSeries, KnownSeries, LatestSample, QUESTION_DEADLINE,
    QUESTION_DEADLINE_MAX, QuestionStats, SignalAnswer, SignalAsk, SignalQuestion, TopBy, When,
};
pub use store::ledger::{AgentUsage, LedgerStatus, Restored, Revived, RevivedKind, Verification};
pub use store::telemetry::TelemetryCounters;
pub use talk::{ConversationQuery, MessageQuery, RequestQuery, SearchQuery};
pub use telemetry_in::{Exported, Measurement, Names, Sample, Taken, Temporality, Value};
pub use tell::{DevlogQuery, EventQuery, ReportQuery, ReportTarget, SignalQuery};
pub use tools::{
    AskState, CALL_ID_BYTES_MAX, Finding, MissionOfAgent, NoteTaken, OWN_TOOLS, OwnMessage,
    Proposal, Question, Speaker, ToolCall,
};
pub use traces::TraceCounts;
pub use work::{PatchQuery, TrashQuery, WorktreeQuery};

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

/// How long an orderly end may take.
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// Who asks, and under which key.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who asks.
    pub actor: Actor,
    /// The request.
    pub correlation_id: CorrelationId,
    /// The caller's idempotency key.
    pub key: Option<String>,
    /// What was asked, as a digest; the same key with another digest is refused.
    pub fingerprint: [u8; 32],
}

/// One workspace at work. Cheap to clone; every clone is the same engine.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    dir: DataDir,
    version: &'static str,
    started_at: Timestamp,
    clock: SharedClock,
    ledger: Ledger,
    telemetry: Telemetry,
    transcripts: Transcripts,
    presets: Shelf,
    courier: Courier,
    received: Received,
    traces: Traces,
    orchestrator: Orchestrator,
    launcher: Launcher,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    measuring: Measuring,
    hub: Arc<Hub>,
    keys: Keys,
    logins: Logins,
    steady: Steady,
    roster: Roster,
    rescues: Rescues,
    twins: Twins,
    losses: Losses,
    bench: Bench,
    hooks: Hooks,
    backups: Backups,
    questions: Questions,
    health: Arc<Health>,
    vault: Vault,
    /// One change of an agent at a time: each is of what it was before.
    agents_turn: tokio::sync::Mutex<()>,
    /// One change of the secrets at a time.
    secrets_turn: tokio::sync::Mutex<()>,
    running_max: u32,
    memory_free_percent: watch::Receiver<Option<u8>>,
    url: watch::Sender<Option<String>>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Engine {
    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.0.dir.root()
    }

    /// The version of the program.
    #[must_use]
    pub fn version(&self) -> &'static str {
        self.0.version
    }

    /// The time, as this engine tells it.
    #[must_use]
    pub fn clock(&self) -> SharedClock {
        Arc::clone(&self.0.clock)
    }

    /// Whether the engine can work: its ledger answers, and takes what happens.
    ///
    /// # Errors
    /// When it does not.
    pub async fn is_ready(&self) -> Result<(), Refusal> {
        if !self.0.ledger.status().accepting {
            return Err(Refusal::new(Code::Busy, "the ledger takes nothing at the moment"));
        }
        self.0.ledger.cursor("readiness").await.map(drop).map_err(resolve::unreadable)
    }

    /// Says where agents can call the engine.
    pub fn set_endpoint(&self, url: String) {
        self.0.url.send_replace(Some(url));
    }

    /// Does something after a while, unless the engine ends before.
    pub fn later(&self, wait: Duration, work: impl FnOnce() + Send + 'static) {
        let cancel = self.0.cancel.clone();
        self.0.tasks.spawn(async move {
            if cancel.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
                work();
            }
        });
    }

    /// This run of the engine, as in the live stream.
    #[must_use]
    pub fn epoch(&self) -> &str {
        self.0.hub.epoch()
    }

    /// How many listen to the live stream.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.0.hub.listeners()
    }

    /// Listens to the live stream until the engine ends or the listener is too slow; wishes change
    /// what it listens to.
    pub fn live(
        &self,
        from: live::LiveFrom,
        wishes: tokio::sync::mpsc::Receiver<live::Wish>,
    ) -> impl futures::Stream<Item = live::SentFrame> + Send + use<> {
        self.0.hub.listen(from, self.clone(), wishes, self.0.cancel.clone())
    }

    /// Ends in order: takes no more work, flushes, and leaves the agents running; they are taken
    /// over at the next start.
    pub async fn shutdown(&self) {
        let parts = &self.0;
        parts.cancel.cancel();
        parts.tasks.close();
        if tokio::time::timeout(SHUTDOWN_MAX / 2, parts.tasks.wait()).await.is_err() {
            tracing::warn!("not every part ended in time; what is acknowledged is safe");
        }
        if tokio::time::timeout(SHUTDOWN_MAX / 5, parts.launcher.close()).await.is_err() {
            tracing::warn!("ending what a vanished supervisor left goes on at the next start");
        }
        tell::record_stop(parts).await;
        parts.telemetry.close().await;
        parts.transcripts.close().await;
        parts.ledger.close().await;
    }
}

/// Where a workspace lives when nobody says otherwise; nothing where the platform names no place.
#[must_use]
pub fn default_data_dir() -> Option<std::path::PathBuf> {
    DataDir::default_path()
}
