//! The writer: the one task that changes the file. What waits together is written in one
//! transaction and acknowledged after it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use model::clock::SharedClock;
use model::id::AttemptId;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, SqlitePool};
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::row::Row;
use super::{Changed, PutError, TranscriptOptions, retention, tables};
use crate::spare::{self, Opened};

/// Puts and bytes of one transaction.
const GROUP_PUTS_MAX: usize = 256;
const GROUP_BYTES_MAX: usize = 8 << 20;

/// Entries to write.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) attempt: AttemptId,
    pub(super) rows: Vec<Row>,
    /// Their size, about.
    pub(super) bytes: usize,
    pub(super) reply: oneshot::Sender<Result<(), PutError>>,
    /// Its part of what may wait; free again when it is dropped.
    pub(super) _room: OwnedSemaphorePermit,
}

/// What the writer is asked.
#[derive(Debug)]
pub(super) enum Ask {
    Put(Put),
    Forget { attempt: AttemptId, reply: oneshot::Sender<Result<(), PutError>> },
    Retain(oneshot::Sender<Result<(), PutError>>),
}

/// What a writer begins with.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) path: PathBuf,
    pub(super) clock: SharedClock,
    pub(super) options: TranscriptOptions,
    pub(super) inbox: mpsc::Receiver<Ask>,
    pub(super) changes: broadcast::Sender<Changed>,
}

#[derive(Debug)]
pub(super) struct Writer {
    start: Start,
    conn: SqliteConnection,
    /// How `conn` was opened, to open it again.
    connect: SqliteConnectOptions,
    readers: SqlitePool,
    revision: i64,
}

/// The entries of an attempt that are written together: each id once, where it came first, as it
/// came last.
#[derive(Debug, Default)]
struct Together {
    rows: Vec<Row>,
    places: HashMap<String, usize>,
}

impl Together {
    fn add(&mut self, row: Row) {
        match self.places.get(&row.id) {
            Some(place) => self.rows[*place] = row,
            None => {
                self.places.insert(row.id.clone(), self.rows.len());
                self.rows.push(row);
            }
        }
    }
}

impl Writer {
    pub(super) fn new(start: Start, opened: Opened<i64>) -> Self {
        let Opened { writer, writing, readers, found, .. } = opened;
        Self { start, conn: writer, connect: writing, readers, revision: found }
    }

    /// Runs until it is told to close, or until nobody is left to ask.
    pub(super) async fn run(mut self, closing: CancellationToken) {
        let period = self.start.options.retain_every;
        let mut timer = interval_at(Instant::now() + period, period);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // What is due comes first, however much is handed in.
                biased;
                () = closing.cancelled() => break,
                // Said in the log, and tried again with the next one.
                _ = timer.tick() => drop(self.retain().await),
                ask = self.start.inbox.recv() => match ask {
                    Some(ask) => self.serve(ask).await,
                    None => break,
                },
            }
        }
        self.finish().await;
    }

    /// Takes what waits together with the first.
    async fn serve(&mut self, first: Ask) {
        let (mut puts, mut bytes) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(ask) = next {
            match ask {
                Ask::Put(put) => {
                    bytes += put.bytes;
                    puts.push(put);
                    let full = puts.len() >= GROUP_PUTS_MAX || bytes >= GROUP_BYTES_MAX;
                    next = if full { None } else { self.start.inbox.try_recv().ok() };
                }
                Ask::Forget { attempt, reply } => {
                    self.write(std::mem::take(&mut puts)).await;
                    // The asker may be gone; it is forgotten all the same.
                    let _ = reply.send(self.forget(attempt).await);
                    return;
                }
                Ask::Retain(reply) => {
                    self.write(std::mem::take(&mut puts)).await;
                    let _ = reply.send(self.retain().await);
                    return;
                }
            }
        }
        self.write(puts).await;
    }

    async fn write(&mut self, puts: Vec<Put>) {
        if puts.is_empty() {
            return;
        }
        let mut group: BTreeMap<AttemptId, Together> = BTreeMap::new();
        let mut replies = Vec::with_capacity(puts.len());
        let mut rooms = Vec::with_capacity(puts.len());
        for put in puts {
            let together = group.entry(put.attempt).or_default();
            put.rows.into_iter().for_each(|row| together.add(row));
            replies.push(put.reply);
            rooms.push(put._room);
        }
        let written = match spare::mend(&mut self.conn, &self.connect).await {
            Ok(()) => self.transaction(&group).await,
            Err(error) => Err(error),
        };
        let answer = match written {
            Ok(changed) => {
                for changed in changed {
                    // Nobody may be listening.
                    let _ = self.start.changes.send(changed);
                }
                Ok(())
            }
            Err(source) => Err(self.failed(source)),
        };
        for reply in replies {
            // The asker may be gone; it is written all the same.
            let _ = reply.send(answer.clone());
        }
    }

    async fn transaction(
        &mut self,
        group: &BTreeMap<AttemptId, Together>,
    ) -> sqlx::Result<Vec<Changed>> {
        let now_ms = self.start.clock.now().as_millisecond();
        let mut changed = Vec::new();
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        for (attempt_id, together) in group {
            let (key, mut next) = tables::attempt(&mut tx, *attempt_id, now_ms).await?;
            let before = self.revision;
            for row in &together.rows {
                let ordinal = tables::put(&mut tx, key, next, self.revision, row).await?;
                // A revision is never given twice, not even where the transaction fails.
                self.revision += i64::from(ordinal.is_some());
                next += i64::from(ordinal == Some(next));
            }
            if self.revision > before {
                let revision = self.revision - 1;
                tables::advance(&mut tx, key, next, revision).await?;
                retention::trim(&mut tx, key, &self.start.options).await?;
                let revision = u64::try_from(revision).unwrap_or(0);
                changed.push(Changed { attempt_id: *attempt_id, revision });
            }
        }
        tables::set_mark(&mut tx, tables::NEXT_REVISION, self.revision).await?;
        tx.commit().await?;
        Ok(changed)
    }

    async fn forget(&mut self, attempt: AttemptId) -> Result<(), PutError> {
        let done = match spare::mend(&mut self.conn, &self.connect).await {
            Ok(()) => retention::forget(&mut self.conn, attempt).await,
            Err(error) => Err(error),
        };
        done.map_err(|source| self.failed(source))
    }

    async fn retain(&mut self) -> Result<(), PutError> {
        let now_ms = self.start.clock.now().as_millisecond();
        let done = match spare::mend(&mut self.conn, &self.connect).await {
            Ok(()) => retention::retain(&mut self.conn, now_ms, &self.start.options).await,
            Err(error) => Err(error),
        };
        done.map_err(|source| self.failed(source))
    }

    /// Says what went wrong, and remembers damage for the next start.
    fn failed(&self, source: sqlx::Error) -> PutError {
        let damaged = spare::is_damage(&source);
        if damaged {
            spare::suspect(&self.start.path);
        }
        tracing::warn!(
            error = %source,
            damaged,
            "transcripts could not be changed; a damaged file is set aside at the next start"
        );
        PutError::Storage { source: Arc::new(source) }
    }

    /// Writes what still waits, and closes the file.
    async fn finish(mut self) {
        self.start.inbox.close();
        while let Some(ask) = self.start.inbox.recv().await {
            self.serve(ask).await;
        }
        if let Err(error) = tables::set_mark(&mut self.conn, tables::CLOSED_CLEANLY, 1).await {
            tracing::warn!(%error, "transcripts could not be marked as closed");
        }
        self.readers.close().await;
        if let Err(error) = self.conn.close().await {
            tracing::warn!(%error, "transcripts could not be closed");
        }
    }
}
