//! The ledger: the append-only, hash-chained log of events, and the rows that follow from it.
//!
//! One task writes and acknowledges after commit; a few read-only connections read with a
//! deadline. It must never know whether a change makes sense, only whether it fits.

mod backup;
mod batch;
mod chain;
mod change;
mod column;
mod conversation_reads;
mod error;
mod group;
mod head;
mod health_reads;
mod misfit;
mod mission_reads;
mod mutant;
mod open;
mod page;
mod project;
mod query;
mod reader;
mod stroke;
mod table;
#[cfg(test)]
mod tests;
mod token_reads;
mod verify;
mod workspace_reads;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::agent::Agent;
use model::clock::SharedClock;
use model::devlog::Devlog;
use model::effect::OutboxEntry;
use model::event::Event;
use model::id::{AgentId, DevlogId};
use model::mission::MissionState;
use serde::Serialize;
use sqlx::Connection;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use backup::{Backup, BackupError, Restored, Revival, Revived, RevivedKind, restore};
pub use change::{ANSWER_KEPT_H, CHANGE_EVENTS_MAX, Change, Committed, StoredAnswer};
pub use conversation_reads::{InboxCounts, OPEN_REQUESTS_MAX, WaitingOf};
pub(crate) use error::{CODE_INTERRUPT, sqlite_code};
pub use error::{CommitError, OpenError, ReadError};
pub(crate) use open::CACHE_SIZE;
pub use page::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, Page};
pub use table::attempt_history::{AgentCounts, PAST_MAX, PastAttempt};
pub use table::attempt_usage::AgentUsage;
pub use table::attempts::Hold;
pub use table::checks::{CHANGES_READ_MAX, ChangeFilter};
pub use table::devlogs::DevlogFilter;
pub use table::events::EventFilter;
pub use table::logins::KeptLogin;
pub use table::messages::MessageFilter;
pub use table::mission_lists::{
    MissionFilter, MissionStanding, MissionText, TEXT_BYTES_MAX, TEXTS_MAX,
};
pub use table::named::{Halted, KeptSecret};
pub use table::reports::REPORTS_KEPT;
pub use table::requests::RequestFilter;
pub use table::rules::RULES_MAX;
pub use table::tokens::KeptToken;
pub use table::trash::TrashFilter;
pub use table::work_done::{ENDED_READ_MAX, EndedAttempt, OpenAttempt, WorkDone};
pub use verify::{FINDINGS_MAX, Finding, Verification};
pub use workspace_reads::Circumstances;

use crate::datadir::DataDir;
use open::{Files, Settings};
use page::{clamp, cut, read_cursor};
use reader::{Readers, read};
use table::{agents, answers, cursors, devlogs, events, mission_lists, outbox};
use writer::{Gauges, QUEUE_CHANGES_MAX, Request, Start, Writer};

/// How long `commit` waits for a place in a full queue.
const BUSY_AFTER: Duration = Duration::from_secs(5);
/// Events a subscriber may lag behind before it must read them with [`Ledger::events_after`].
const PUBLISHED_MAX: usize = 4096;

/// How much there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Missions in each state that has any.
    pub missions: BTreeMap<MissionState, u64>,
    /// Agents.
    pub agents: u64,
    /// Events, which is also the place of the last.
    pub events: u64,
}

/// How the ledger does at this moment; costs one look at a file's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LedgerStatus {
    /// Whether changes are written; false while the ledger is opened again after a failed write.
    pub accepting: bool,
    /// Changes that wait for the writer.
    pub queued: usize,
    /// Changes that may wait.
    pub queue_max: usize,
    /// How long the last group took from begin to acknowledgement, in microseconds.
    pub last_commit_us: u64,
    /// Groups committed since the start.
    pub groups: u64,
    /// Changes decided since the start.
    pub changes: u64,
    /// The place of the last event.
    pub head_seq: u64,
    /// Size of the write-ahead log, in bytes.
    pub wal_bytes: u64,
}

/// A handle to the ledger; clones share one writer.
#[derive(Debug, Clone)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: mpsc::Sender<Request>,
    published: broadcast::Sender<Arc<Event>>,
    readers: Readers,
    gauges: Arc<Gauges>,
    clock: SharedClock,
    files: Files,
    settings: Settings,
    closing: CancellationToken,
    tasks: TaskTracker,
    /// One verification at a time: they share a scratch file.
    verifying: tokio::sync::Mutex<()>,
}

/// A change that was handed in. Dropping it does not take the change back.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Result<Committed, CommitError>>);

impl Ticket {
    /// Waits until the change is on disk.
    ///
    /// # Errors
    /// As [`Ledger::commit`].
    pub async fn committed(self) -> Result<Committed, CommitError> {
        self.0.await.unwrap_or(Err(CommitError::Closed))
    }
}

impl Ledger {
    /// Opens the ledger in a data directory, making it where there is none, and starts its writer.
    ///
    /// # Errors
    /// When the file is not ours, damaged or newer; it is then left as it was found.
    pub async fn open(dir: &DataDir, clock: SharedClock) -> Result<Self, OpenError> {
        Self::open_with(dir.root(), clock, Settings::default()).await
    }

    async fn open_with(
        root: &Path,
        clock: SharedClock,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let files = Files::within(root);
        let opened = open::open(&files, &settings, &clock).await?;
        let (queue, inbox) = mpsc::channel(QUEUE_CHANGES_MAX);
        let published = broadcast::Sender::new(PUBLISHED_MAX);
        let gauges = Arc::new(Gauges::default());
        let start = Start {
            files: files.clone(),
            settings: settings.clone(),
            clock: Arc::clone(&clock),
            inbox,
            published: published.clone(),
            gauges: Arc::clone(&gauges),
        };
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(Writer::new(start, opened).run(closing.clone()));
        tasks.close();
        Ok(Self(Arc::new(Inner {
            queue,
            published,
            readers: Readers::new(open::options(&files.db, &settings), settings.read_deadline),
            gauges,
            clock,
            files,
            settings,
            closing,
            tasks,
            verifying: tokio::sync::Mutex::new(()),
        })))
    }

    /// Writes a change and returns once it is on disk. A caller that stops waiting does not take
    /// the change back.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] when it does not fit what is stored, and the others as they say.
    pub async fn commit(&self, change: Change) -> Result<Committed, CommitError> {
        self.submit(change).await?.committed().await
    }

    /// Hands a change in, behind those handed in before. What waits together is written together,
    /// in order; whether one is on disk, its ticket says.
    ///
    /// # Errors
    /// [`CommitError::Busy`] and [`CommitError::Closed`]; nothing is written then.
    pub async fn submit(&self, change: Change) -> Result<Ticket, CommitError> {
        use tokio::sync::mpsc::error::SendTimeoutError;
        let (reply, answer) = oneshot::channel();
        let request = Request { change, reply };
        match self.0.queue.send_timeout(request, BUSY_AFTER).await {
            Ok(()) => Ok(Ticket(answer)),
            Err(SendTimeoutError::Timeout(_)) => Err(CommitError::Busy),
            Err(SendTimeoutError::Closed(_)) => Err(CommitError::Closed),
        }
    }

    /// Events from now on, in order, after they are committed. A receiver that lags goes on with
    /// [`Ledger::events_after`].
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.0.published.subscribe()
    }

    /// Events after a place, oldest first. Fewer than `limit` do not mean the end, none do: a page
    /// is also bounded in bytes.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn events_after(&self, seq: u64, limit: u32) -> Result<Vec<Event>, ReadError> {
        read!(self, "read events", |conn| async {
            let rows = events::after(conn, seq, clamp(limit)).await?;
            rows.iter().map(events::EventRow::read).collect()
        })
    }

    /// Events that match, newest first.
    ///
    /// # Errors
    /// When they cannot be read in time, or the cursor is not one of this list.
    pub async fn events(&self, filter: EventFilter) -> Result<Page<Event>, ReadError> {
        let before = read_cursor(filter.cursor.as_deref(), |text| text.parse::<u64>().ok())?;
        let limit = clamp(filter.limit);
        read!(self, "list events", |conn| async {
            let (rows, more) = events::list(conn, &filter, before, limit).await?;
            let items: Vec<Event> =
                rows.iter().map(events::EventRow::read).collect::<Result<_, _>>()?;
            let last = items.last().filter(|_| more);
            let next = last.map(|event| event.seq.to_string());
            Ok(Page { items, next })
        })
    }

    /// Every agent, by name.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn agents(&self) -> Result<Vec<Agent>, ReadError> {
        read!(self, "list agents", |conn| agents::all(conn))
    }

    /// One agent; nothing when it was removed.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn agent(&self, id: AgentId) -> Result<Option<Agent>, ReadError> {
        let found = read!(self, "read an agent", |conn| agents::get(conn, id))?;
        Ok(found.filter(|(_, removed)| !removed).map(|(agent, _)| agent))
    }

    /// One agent, even when it was removed since; for telling what happened.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn agent_ever(&self, id: AgentId) -> Result<Option<Agent>, ReadError> {
        let found = read!(self, "read an agent", |conn| agents::get(conn, id))?;
        Ok(found.map(|(agent, _)| agent))
    }

    /// Effects that are still to be carried out, oldest first.
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn outbox(&self, limit: u32) -> Result<Vec<OutboxEntry>, ReadError> {
        read!(self, "list the outbox", |conn| outbox::open(conn, clamp(limit)))
    }

    /// Devlogs that match, newest first.
    ///
    /// # Errors
    /// When they cannot be read in time, or the cursor is not one of this list.
    pub async fn devlogs(&self, filter: DevlogFilter) -> Result<Page<Devlog>, ReadError> {
        let before = read_cursor(filter.cursor.as_deref(), devlogs::place)?;
        let limit = clamp(filter.limit);
        let rows =
            read!(self, "list devlogs", |conn| devlogs::list(conn, &filter, before, limit + 1))?;
        Ok(cut(rows, limit, devlogs::cursor))
    }

    /// One devlog; nothing when it was removed.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn devlog(&self, id: DevlogId) -> Result<Option<Devlog>, ReadError> {
        read!(self, "read a devlog", |conn| devlogs::get(conn, id))
    }

    /// How much there is.
    ///
    /// # Errors
    /// When it cannot be counted in time.
    pub async fn counts(&self) -> Result<Counts, ReadError> {
        read!(self, "count", |conn| async {
            let mut snapshot = conn.begin().await?;
            Ok(Counts {
                missions: mission_lists::counts(&mut snapshot).await?,
                agents: agents::count(&mut snapshot).await?,
                events: events::tail(&mut snapshot).await?.seq,
            })
        })
    }

    /// Where a follower of the log stands; 0 before its first step.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn cursor(&self, name: &str) -> Result<u64, ReadError> {
        read!(self, "read a cursor", |conn| cursors::get(conn, name))
    }

    /// The answer kept under an idempotency key, unless it is older than a day.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn answer(&self, key: &str) -> Result<Option<StoredAnswer>, ReadError> {
        let now = self.0.clock.now();
        read!(self, "read a kept answer", |conn| answers::get(conn, key, now))
    }

    /// Checks everything that is stored: links of the chain, head file, the database file itself,
    /// and that the rows are what the events say. Takes as long as it takes.
    ///
    /// # Errors
    /// When the verification itself cannot be done; damage is a finding, not an error.
    pub async fn verify(&self) -> Result<Verification, ReadError> {
        let _alone = self.0.verifying.lock().await;
        verify::verify(&self.0.files, &self.0.settings).await
    }

    /// How the ledger does at this moment.
    #[must_use]
    pub fn status(&self) -> LedgerStatus {
        let gauges = &self.0.gauges;
        let queued = QUEUE_CHANGES_MAX - self.0.queue.capacity().min(QUEUE_CHANGES_MAX);
        LedgerStatus {
            accepting: !gauges.recovering.load(Ordering::Relaxed) && !self.0.queue.is_closed(),
            queued,
            queue_max: QUEUE_CHANGES_MAX,
            last_commit_us: gauges.commit_us.load(Ordering::Relaxed),
            groups: gauges.groups.load(Ordering::Relaxed),
            changes: gauges.changes.load(Ordering::Relaxed),
            head_seq: gauges.head_seq.load(Ordering::Relaxed),
            wal_bytes: std::fs::metadata(&self.0.files.wal).map_or(0, |meta| meta.len()),
        }
    }

    /// How long groups took from begin to acknowledgement since the start, in seconds.
    #[must_use]
    pub fn commit_times(&self) -> &model::signal::Histogram {
        &self.0.gauges.commit_s
    }

    /// Writes what waits, then closes. Later calls are refused; calling it again is harmless.
    pub async fn close(&self) {
        // Readers first: the last connection to go empties the write-ahead log, and that is the
        // writer's.
        self.0.readers.close().await;
        self.0.closing.cancel();
        self.0.tasks.wait().await;
    }
}
