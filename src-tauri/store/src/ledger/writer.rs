//! The one task that writes: it takes what waits, commits it as a group, then acknowledges.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::clock::SharedClock;
use model::event::Event;
use model::signal::Histogram;
use model::signal::catalogue::SHORT_BOUNDS;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::chain::Tail;
use super::change::{CHANGE_EVENTS_MAX, Change, Committed};
use super::error::{CommitError, OpenError, RowError};
use super::group::{Failure, Group, Places, Written};
use super::head::HeadFile;
use super::mutant::Mutant;
use super::open::{self, Files, Opened, Settings, WALK_ROWS};
use super::table::{answers, events, outbox};

/// Changes that wait for the writer before `commit` has to wait itself.
pub(crate) const QUEUE_CHANGES_MAX: usize = 1024;
/// Changes committed together.
const GROUP_CHANGES_MAX: usize = 256;
/// Once a group has this many events, it takes no further change.
const GROUP_EVENTS_SOFT: usize = 4096;
/// Events committed together, at most.
pub(crate) const GROUP_EVENTS_MAX: usize = GROUP_EVENTS_SOFT + CHANGE_EVENTS_MAX;
/// Time between two removals of old answers and delivered effects.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// Waits between the attempts to reopen after a failed write.
const REOPEN_WAITS_MS: [u64; 4] = [0, 50, 200, 500];

/// The reply to one change.
pub(crate) type Reply = Result<Committed, CommitError>;

/// A change on its way to the writer.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) change: Change,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// What others may see of the writer at any time.
#[derive(Debug)]
pub(crate) struct Gauges {
    pub(crate) commit_us: AtomicU64,
    pub(crate) commit_s: Histogram,
    pub(crate) groups: AtomicU64,
    pub(crate) changes: AtomicU64,
    pub(crate) head_seq: AtomicU64,
    pub(crate) recovering: AtomicBool,
}

impl Default for Gauges {
    fn default() -> Self {
        Self {
            commit_us: AtomicU64::default(),
            commit_s: Histogram::new(SHORT_BOUNDS),
            groups: AtomicU64::default(),
            changes: AtomicU64::default(),
            head_seq: AtomicU64::default(),
            recovering: AtomicBool::default(),
        }
    }
}

/// What the writer is given.
pub(crate) struct Start {
    pub(crate) files: Files,
    pub(crate) settings: Settings,
    pub(crate) clock: SharedClock,
    pub(crate) inbox: mpsc::Receiver<Request>,
    pub(crate) published: broadcast::Sender<Arc<Event>>,
    pub(crate) gauges: Arc<Gauges>,
}

/// The writer.
pub(crate) struct Writer {
    start: Start,
    /// Nothing while the ledger could not be opened again after a failed write.
    disk: Option<Disk>,
    /// Why it could not be opened again, the last time that was tried.
    shut: Option<Arc<OpenError>>,
    /// The last event that was published.
    tail: Tail,
    places: Places,
    pruned: Option<Instant>,
    mutant: Mutant,
}

struct Disk {
    conn: SqliteConnection,
    head: HeadFile,
}

impl Writer {
    pub(crate) fn new(start: Start, opened: Opened) -> Self {
        let Opened { conn, head, tail } = opened;
        start.gauges.head_seq.store(tail.seq, Ordering::Relaxed);
        Self {
            start,
            disk: Some(Disk { conn, head }),
            shut: None,
            tail,
            places: Places::default(),
            pruned: None,
            mutant: Mutant::chosen(),
        }
    }

    /// Writes until the last handle is gone or `closing` is cancelled; then what waits is still
    /// written.
    pub(crate) async fn run(mut self, closing: CancellationToken) {
        while let Some(first) = self.next(&closing).await {
            let group = self.gather(first);
            self.commit(group).await;
        }
        if let Some(disk) = self.disk.take()
            && let Err(error) = disk.conn.close().await
        {
            tracing::warn!(%error, "ledger did not close in order");
        }
    }

    async fn next(&mut self, closing: &CancellationToken) -> Option<Request> {
        tokio::select! {
            biased;
            () = closing.cancelled(), if !self.start.inbox.is_closed() => {
                self.start.inbox.close();
            }
            first = self.start.inbox.recv() => return first,
        }
        self.start.inbox.recv().await
    }

    fn gather(&mut self, first: Request) -> Vec<Request> {
        let mut events = first.change.events.len();
        let mut group = vec![first];
        while group.len() < GROUP_CHANGES_MAX && events < GROUP_EVENTS_SOFT {
            let Ok(next) = self.start.inbox.try_recv() else {
                break;
            };
            events += next.change.events.len();
            group.push(next);
        }
        group
    }

    async fn commit(&mut self, group: Vec<Request>) {
        let began = Instant::now();
        let (changes, mut replies): (Vec<_>, Vec<_>) =
            group.into_iter().map(|request| (request.change, Some(request.reply))).unzip();
        if self.disk.is_none() {
            self.recover().await;
        }
        let written = match self.disk.as_mut() {
            None => Err(closed_disk(self.shut.clone())),
            Some(disk) => {
                let mut group = Group {
                    conn: &mut disk.conn,
                    now: self.start.clock.now(),
                    mutant: self.mutant,
                    tail: self.tail,
                    places: &mut self.places,
                };
                group.write(&changes, &mut replies).await
            }
        };
        match written {
            Ok(written) => {
                let grew = written.tail != self.tail;
                if grew {
                    let tail = written.tail;
                    self.with_head(move |head| head.write(&tail)).await;
                }
                self.publish(&written);
                self.measure(began, changes.len());
                answer(replies, written.replies);
                if grew {
                    self.with_head(|head| head.sync()).await;
                }
                self.prune().await;
            }
            Err(failure) => {
                tracing::error!(
                    operation = failure.operation,
                    error = %failure.source,
                    "write to the ledger failed; it is opened again and checked"
                );
                self.disk = None;
                self.places.clear();
                // Answered afterwards: who then reads the ledger again sees what was kept.
                self.recover().await;
                let failed = replies.iter().map(|_| failure.reply()).collect();
                answer(replies, failed);
            }
        }
    }

    /// Opens the ledger again and publishes what turns out to have been committed after all.
    async fn recover(&mut self) {
        let gauges = Arc::clone(&self.start.gauges);
        gauges.recovering.store(true, Ordering::Relaxed);
        for wait_ms in REOPEN_WAITS_MS {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            match open::reopen(&self.start.files, &self.start.settings).await {
                Ok(opened) => match self.resume(opened).await {
                    Ok(()) => break,
                    Err(error) => tracing::error!(%error, "ledger cannot be read again"),
                },
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "ledger cannot be opened again");
                    self.shut = Some(Arc::new(error));
                }
            }
        }
        gauges.recovering.store(self.disk.is_none(), Ordering::Relaxed);
    }

    async fn resume(&mut self, opened: Opened) -> Result<(), RowError> {
        let Opened { mut conn, head, tail } = opened;
        while self.tail.seq < tail.seq {
            for row in events::after(&mut conn, self.tail.seq, WALK_ROWS).await? {
                let event = Arc::new(row.read()?);
                self.tail = Tail { seq: event.seq, hash: row.stored_hash()? };
                // No receiver is no reason to stop.
                let _ = self.start.published.send(event);
            }
        }
        self.start.gauges.head_seq.store(tail.seq, Ordering::Relaxed);
        self.tail = tail;
        self.disk = Some(Disk { conn, head });
        Ok(())
    }

    /// Works on the head file. A failure costs no event: the file may be behind the log.
    async fn with_head(
        &mut self,
        work: impl FnOnce(&mut HeadFile) -> std::io::Result<()> + Send + 'static,
    ) {
        let Some(Disk { conn, mut head }) = self.disk.take() else {
            return;
        };
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut head);
            (head, result)
        });
        match done.await {
            Ok((head, result)) => {
                if let Err(error) = result {
                    tracing::error!(%error, "ledger.head cannot be written; check the disk");
                }
                self.disk = Some(Disk { conn, head });
            }
            // The runtime is going down; the next start brings the head file up to date.
            Err(error) => tracing::warn!(%error, "ledger.head was not written"),
        }
    }

    fn publish(&mut self, written: &Written) {
        self.tail = written.tail;
        self.start.gauges.head_seq.store(written.tail.seq, Ordering::Relaxed);
        for committed in written.replies.iter().flatten() {
            for event in &committed.events {
                // No receiver is no reason to stop.
                let _ = self.start.published.send(Arc::clone(event));
            }
        }
    }

    fn measure(&self, began: Instant, changes: usize) {
        let took = began.elapsed();
        let gauges = &self.start.gauges;
        gauges.commit_s.observe(took.as_secs_f64());
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        gauges.commit_us.store(took, Ordering::Relaxed);
        gauges.groups.fetch_add(1, Ordering::Relaxed);
        gauges.changes.fetch_add(changes as u64, Ordering::Relaxed);
    }

    async fn prune(&mut self) {
        let due = self.pruned.is_none_or(|last| last.elapsed() >= PRUNE_EVERY);
        let Some(disk) = self.disk.as_mut().filter(|_| due) else {
            return;
        };
        let now = self.start.clock.now();
        let mut more = false;
        for (what, pruned) in [
            ("answers", answers::prune(&mut disk.conn, now).await),
            ("delivered effects", outbox::prune(&mut disk.conn, now).await),
        ] {
            match pruned {
                Ok(left) => more |= left,
                Err(error) => tracing::warn!(%error, what, "what is old was not removed"),
            }
        }
        // As long as there are more, each group removes some: faster than they can come.
        self.pruned = if more { None } else { Some(Instant::now()) };
    }
}

fn closed_disk(why: Option<Arc<OpenError>>) -> Failure {
    let source: Arc<dyn Error + Send + Sync> = match why {
        Some(why) => why,
        None => Arc::new(std::io::Error::other("the ledger cannot be opened")),
    };
    Failure { operation: "open the ledger again after a failed write", source }
}

fn answer(senders: Vec<Option<oneshot::Sender<Reply>>>, replies: Vec<Reply>) {
    for (sender, reply) in senders.into_iter().zip(replies) {
        if let Some(sender) = sender {
            // Who asked may have gone; the change is committed all the same.
            let _ = sender.send(reply);
        }
    }
}

/// An error with its causes on one line.
struct Chain<'a>(&'a OpenError);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
