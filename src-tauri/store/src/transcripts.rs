//! Transcripts: what passed between attempts and their agents, in its own file, written by its own
//! task, searchable.
//!
//! The file may be lost: what it holds can be told again from the runs' output. A crash of the
//! engine loses only what was not acknowledged; a power cut may lose a little more, as the file is
//! not synced at every write. Every attempt is bounded in entries and bytes: the oldest go.

mod file;
mod retention;
mod row;
mod search;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use model::clock::SharedClock;
use model::conversation::{Entry, ToolKind};
use model::id::AttemptId;
use serde::Serialize;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, Sqlite, SqlitePool};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::datadir::DataDir;
use crate::ledger::Page;
use crate::ledger::{CODE_INTERRUPT, sqlite_code};
use crate::spare::{self, SpareError};
use row::Row;
use writer::{Ask, Put, Start, Writer};

/// The file's name in the data directory.
const FILE: &str = "transcripts.db";
/// The most entries of one page.
pub const PAGE_ENTRIES_MAX: u32 = 500;
/// The most bytes of entries in one page; a page with a single larger entry is allowed.
const PAGE_BYTES_MAX: u64 = 8 << 20;
/// The most hits of one page of a search.
const HITS_MAX: u32 = 100;
/// Puts that may wait for the writer.
const QUEUE_PUTS_MAX: usize = 1_024;
/// Bytes that may wait for the writer, in the KiB the room is counted in.
const QUEUE_KIB_MAX: usize = 64 << 10;
/// Bytes and entries of one put; what is handed in beyond goes in several.
const PUT_BYTES_MAX: usize = 4 << 20;
const PUT_ENTRIES_MAX: usize = 500;
/// How long a question may take.
const READ_DEADLINE: Duration = Duration::from_secs(5);
/// Steps of SQLite's machine between two looks at the clock.
const STEPS_PER_LOOK: i32 = 4_000;
/// Changes a subscriber may lag behind before it must look for itself.
const CHANGES_MAX: usize = 4_096;

/// Why entries were not written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PutError {
    /// Transcripts were closed.
    #[error("write to the transcript: it is closed")]
    Closed,
    /// An entry cannot be written down.
    #[error("write an entry of the transcript")]
    Unwritable {
        /// Why.
        source: Arc<serde_json::Error>,
    },
    /// SQLite could not write; nothing of it was kept and it may be tried again.
    #[error("write transcripts.db; nothing of it was kept, it can be tried again")]
    Storage {
        /// What SQLite said.
        source: Arc<sqlx::Error>,
    },
}

/// Why a question cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Transcripts were closed.
    #[error("read the transcript: it is closed")]
    Closed,
    /// The answer took longer than the deadline.
    #[error("read the transcript within {} s: ask for less", READ_DEADLINE.as_secs())]
    Deadline,
    /// The cursor is not one of this list.
    #[error("go on from '{cursor}': that is not where a page of this search ended")]
    BadCursor {
        /// What was given, shortened.
        cursor: String,
    },
    /// An entry cannot be understood.
    #[error("read entry {ordinal} of the transcript")]
    Unreadable {
        /// Which one.
        ordinal: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// SQLite could not read the file.
    #[error("read transcripts.db")]
    Storage {
        /// What SQLite said.
        source: sqlx::Error,
    },
}

impl From<sqlx::Error> for ReadError {
    fn from(source: sqlx::Error) -> Self {
        match source {
            sqlx::Error::PoolClosed => Self::Closed,
            sqlx::Error::PoolTimedOut => Self::Deadline,
            source if sqlite_code(&source) == Some(CODE_INTERRUPT) => Self::Deadline,
            source => Self::Storage { source },
        }
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TranscriptOptions {
    /// The most entries of one attempt.
    pub entries_max: u64,
    /// The most bytes of one attempt.
    pub bytes_max: u64,
    /// How long an attempt's entries are kept after the last one changed.
    pub age: Duration,
    /// The size of the file beyond which the oldest is deleted.
    pub disk_budget_bytes: u64,
    /// The time between two looks at what is too old.
    pub retain_every: Duration,
}

impl Default for TranscriptOptions {
    fn default() -> Self {
        Self {
            entries_max: 200_000,
            bytes_max: 256 << 20,
            age: Duration::from_secs(30 * 24 * 3600),
            disk_budget_bytes: 4 << 30,
            retain_every: Duration::from_secs(60),
        }
    }
}

/// An entry with its place in the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// Its place, from 1; it keeps it whatever becomes of it.
    pub ordinal: u64,
    /// When it last changed, in a numbering of all changes of all conversations.
    pub revision: u64,
    /// The entry.
    pub entry: Entry,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFrom {
    /// With the entry after this ordinal; 0 means the beginning.
    After(u64),
    /// It ends with the entry before this ordinal.
    Before(u64),
    /// It ends with the last entry.
    End,
}

/// A part of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EntryPage {
    /// Its entries in order.
    pub entries: Vec<Placed>,
    /// The ordinal of the first entry there is; 0 where there is none.
    pub first: u64,
    /// The ordinal of the last entry there is; 0 where there is none.
    pub last: u64,
    /// How many entries there are.
    pub total: u64,
    /// Entries before this ordinal were given up; 1 where none was.
    pub kept_from: u64,
    /// The revision after which [`Transcripts::since`] tells what is not on this page yet.
    pub revision: u64,
}

/// What changed in a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Entries as they are now, in the order they changed.
    pub entries: Vec<Placed>,
    /// Where to go on.
    pub revision: u64,
    /// Whether there is more.
    pub more: bool,
    /// Entries before this ordinal were given up; 1 where none was.
    pub kept_from: u64,
}

/// That a conversation changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// Which one.
    pub attempt_id: AttemptId,
    /// Its newest revision.
    pub revision: u64,
}

/// What to look for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchFilter {
    /// Words that all have to occur, the last one at least with its beginning; what stands in
    /// quotes has to occur as it stands there.
    pub text: String,
    /// Only in these attempts, of which the first 500 count; empty means all.
    pub attempts: Vec<AttemptId>,
    /// Only entries of these kinds, as [`model::conversation::Body::kind`] says them; empty means
    /// all.
    pub kinds: Vec<String>,
    /// Where to go on, from the page before.
    pub cursor: Option<String>,
    /// How many, at most 100.
    pub limit: u32,
}

/// An entry that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// The entry's place.
    pub ordinal: u64,
    /// The entry's identity.
    pub entry_id: String,
    /// The entry's kind.
    pub kind: String,
    /// When it began.
    pub at: Timestamp,
    /// The text around what was found.
    pub snippet: Vec<Piece>,
}

/// A piece of a text that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// Whether it is what was looked for.
    pub hit: bool,
}

/// The tool calls of an attempt, of those entries that are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ToolCalls {
    /// All of them.
    pub total: u64,
    /// Those that wait or run.
    pub open: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that took longer than they should.
    pub slow: u64,
    /// How long those took that are over, in milliseconds.
    pub total_ms: u64,
    /// The same by kind of tool, the longest first.
    pub by_tool: Vec<ToolTime>,
}

/// What one kind of tool was used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ToolTime {
    /// The kind.
    pub tool: ToolKind,
    /// Its calls.
    pub calls: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that took longer than they should.
    pub slow: u64,
    /// How long those took that are over, in milliseconds.
    pub ms: u64,
}

/// A handle on the transcripts; clones share the file and its writer.
#[derive(Debug, Clone)]
pub struct Transcripts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    queue: mpsc::Sender<Ask>,
    room: Arc<Semaphore>,
    readers: SqlitePool,
    changes: broadcast::Sender<Changed>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Transcripts {
    /// Opens DIR/transcripts.db with the usual options; a damaged file is set aside and replaced.
    ///
    /// # Errors
    /// When no file can be opened, damaged or fresh.
    pub async fn open(dir: &DataDir, clock: SharedClock) -> Result<Self, SpareError> {
        Self::open_with(dir, clock, TranscriptOptions::default()).await
    }

    /// Opens DIR/transcripts.db.
    ///
    /// # Errors
    /// When no file can be opened, damaged or fresh.
    pub async fn open_with(
        dir: &DataDir,
        clock: SharedClock,
        options: TranscriptOptions,
    ) -> Result<Self, SpareError> {
        let path = dir.root().join(FILE);
        let now_ms = clock.now().as_millisecond();
        let opened = file::SPARE.open(&path, now_ms, &file::NextRevision { now_ms }).await?;
        let (queue, inbox) = mpsc::channel(QUEUE_PUTS_MAX);
        let changes = broadcast::Sender::new(CHANGES_MAX);
        let readers = opened.readers.clone();
        let start = Start { path: path.clone(), clock, options, inbox, changes: changes.clone() };
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(Writer::new(start, opened).run(closing.clone()));
        tasks.close();
        let room = Arc::new(Semaphore::new(QUEUE_KIB_MAX));
        Ok(Self(Arc::new(Inner { path, queue, room, readers, changes, closing, tasks })))
    }

    /// Writes entries of an attempt and returns once they are in the file. One that comes again
    /// under the same id takes the place of what was there. Waits while much is on its way.
    ///
    /// # Errors
    /// When they could not be written; some of many may have been.
    pub async fn put(&self, attempt: AttemptId, entries: Vec<Entry>) -> Result<(), PutError> {
        let mut answers = Vec::new();
        let mut rows = Vec::new();
        let mut bytes = 0;
        for entry in &entries {
            let row = Row::of(entry)
                .map_err(|source| PutError::Unwritable { source: Arc::new(source) })?;
            let size = row.size();
            if !rows.is_empty() && (rows.len() >= PUT_ENTRIES_MAX || bytes + size > PUT_BYTES_MAX) {
                answers.push(self.hand_in(attempt, std::mem::take(&mut rows), bytes).await?);
                bytes = 0;
            }
            bytes += size;
            rows.push(row);
        }
        if !rows.is_empty() {
            answers.push(self.hand_in(attempt, rows, bytes).await?);
        }
        for answer in answers {
            answer.await.map_err(|_| PutError::Closed)??;
        }
        Ok(())
    }

    async fn hand_in(
        &self,
        attempt: AttemptId,
        rows: Vec<Row>,
        bytes: usize,
    ) -> Result<oneshot::Receiver<Result<(), PutError>>, PutError> {
        let kib = u32::try_from((bytes >> 10).clamp(1, QUEUE_KIB_MAX)).unwrap_or(1);
        let room = Arc::clone(&self.0.room).acquire_many_owned(kib).await;
        let room = room.map_err(|_| PutError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let put = Put { attempt, rows, bytes, reply, _room: room };
        self.0.queue.send(Ask::Put(put)).await.map_err(|_| PutError::Closed)?;
        Ok(answer)
    }

    /// Removes everything of an attempt.
    ///
    /// # Errors
    /// When it could not be removed, or not all of it.
    pub async fn forget(&self, attempt: AttemptId) -> Result<(), PutError> {
        let (reply, answer) = oneshot::channel();
        let asked = self.0.queue.send(Ask::Forget { attempt, reply }).await;
        asked.map_err(|_| PutError::Closed)?;
        answer.await.map_err(|_| PutError::Closed)?
    }

    /// Gives up what is too old or too much, as happens by itself every now and then: at most a few
    /// thousand entries in one go.
    ///
    /// # Errors
    /// When it could not be given up.
    pub async fn retain(&self) -> Result<(), PutError> {
        let (reply, answer) = oneshot::channel();
        self.0.queue.send(Ask::Retain(reply)).await.map_err(|_| PutError::Closed)?;
        answer.await.map_err(|_| PutError::Closed)?
    }

    /// Tells of every conversation that changes from now on, after it is in the file. Who lags
    /// behind looks with [`Transcripts::since`].
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Changed> {
        self.0.changes.subscribe()
    }

    /// What a question is answered with; a file that it shows to be damaged is remembered as such.
    async fn asked<T>(
        &self,
        answer: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        let answer = answer.await;
        if let Err(ReadError::Storage { source }) = &answer
            && spare::is_damage(source)
        {
            spare::suspect(&self.0.path);
            tracing::warn!(error = %source, "the transcripts are damaged; they are set aside at the next start");
        }
        answer
    }

    async fn begin(&self) -> Result<PoolConnection<Sqlite>, ReadError> {
        let until = Instant::now() + READ_DEADLINE;
        let mut conn = self.0.readers.acquire().await?;
        let mut handle = conn.lock_handle().await?;
        handle.set_progress_handler(STEPS_PER_LOOK, move || Instant::now() < until);
        drop(handle);
        Ok(conn)
    }

    /// A page of a conversation, at most [`PAGE_ENTRIES_MAX`] entries and 8 MiB.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn page(
        &self,
        attempt: AttemptId,
        from: PageFrom,
        limit: u32,
    ) -> Result<EntryPage, ReadError> {
        self.asked(async {
            let mut conn = self.begin().await?;
            let mut snapshot = conn.begin().await?;
            let Some(known) = tables::known(&mut snapshot, attempt).await? else {
                return Ok(EntryPage { kept_from: 1, ..EntryPage::default() });
            };
            let limit = limit.clamp(1, PAGE_ENTRIES_MAX);
            let sizes = tables::sizes(&mut snapshot, known.key, from, limit).await?;
            let taken = fitting(&sizes);
            let entries = match (sizes[..taken].first(), sizes[..taken].last()) {
                (Some((one, _)), Some((other, _))) => {
                    let range = (*one).min(*other)..=(*one).max(*other);
                    tables::entries(&mut snapshot, known.key, range).await?
                }
                _ => Vec::new(),
            };
            let (first, last) = tables::ends(&mut snapshot, known.key).await?;
            Ok(EntryPage {
                entries,
                first,
                last,
                total: known.entries,
                kept_from: known.kept_from,
                revision: known.revision,
            })
        })
        .await
    }

    /// What changed in a conversation after a revision, oldest change first, at most
    /// [`PAGE_ENTRIES_MAX`] entries and 8 MiB.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn since(
        &self,
        attempt: AttemptId,
        revision: u64,
        limit: u32,
    ) -> Result<Changes, ReadError> {
        self.asked(async {
            let mut conn = self.begin().await?;
            let mut snapshot = conn.begin().await?;
            let Some(known) = tables::known(&mut snapshot, attempt).await? else {
                return Ok(Changes { revision, kept_from: 1, ..Changes::default() });
            };
            let limit = limit.clamp(1, PAGE_ENTRIES_MAX);
            let changed = tables::changed(&mut snapshot, known.key, revision, limit + 1).await?;
            let taken = fitting(&changed).min(limit as usize);
            let more = taken < changed.len();
            let mut entries = Vec::new();
            if let Some((last, _)) = changed[..taken].last() {
                entries = tables::revised(&mut snapshot, known.key, revision, *last).await?;
            }
            let newest = entries.last().map(|placed| placed.revision);
            let end = if more { newest } else { Some(known.revision) };
            Ok(Changes {
                entries,
                revision: end.unwrap_or(revision).max(revision),
                more,
                kept_from: known.kept_from,
            })
        })
        .await
    }

    /// Entries in which something occurs, newest first.
    ///
    /// # Errors
    /// When they cannot be read in time, or the cursor is not one of this search.
    pub async fn search(&self, filter: SearchFilter) -> Result<Page<Hit>, ReadError> {
        self.asked(async {
            let before = match &filter.cursor {
                Some(text) => Some(text.parse::<i64>().map_err(|_| ReadError::BadCursor {
                    cursor: text.chars().take(80).collect(),
                })?),
                None => None,
            };
            let Some(words) = search::Words::of(&filter.text) else {
                return Ok(Page { items: Vec::new(), next: None });
            };
            let mut conn = self.begin().await?;
            let mut snapshot = conn.begin().await?;
            let keys = tables::keys(&mut snapshot, &filter.attempts).await?;
            if keys.is_empty() && !filter.attempts.is_empty() {
                return Ok(Page { items: Vec::new(), next: None });
            }
            let expression = words.expression(&keys, &filter.kinds);
            let limit = filter.limit.clamp(1, HITS_MAX) as usize;
            let mut found =
                tables::found(&mut snapshot, &expression, before.unwrap_or(i64::MAX), limit + 1)
                    .await?;
            let more = found.len() > limit;
            found.truncate(limit);
            let next = found.last().filter(|_| more).map(|row| row.place.to_string());
            let items = found.iter().map(|row| row.hit(&words)).collect::<Result<_, _>>()?;
            Ok(Page { items, next })
        })
        .await
    }

    /// The tool calls of an attempt that wait or run, in order, at most [`PAGE_ENTRIES_MAX`].
    ///
    /// # Errors
    /// When they cannot be read in time.
    pub async fn open_calls(&self, attempt: AttemptId) -> Result<Vec<Placed>, ReadError> {
        self.asked(async {
            let mut conn = self.begin().await?;
            tables::open_calls(&mut conn, attempt).await
        })
        .await
    }

    /// What an attempt used tools for.
    ///
    /// # Errors
    /// When it cannot be read in time.
    pub async fn tool_calls(&self, attempt: AttemptId) -> Result<ToolCalls, ReadError> {
        self.asked(async {
            let mut conn = self.begin().await?;
            tables::tool_calls(&mut conn, attempt).await
        })
        .await
    }

    /// Writes what waits, then closes. Later calls are refused; calling it again is harmless.
    pub async fn close(&self) {
        self.0.readers.close().await;
        self.0.closing.cancel();
        self.0.tasks.wait().await;
    }
}

/// How many of these fit on a page; the first always does.
fn fitting(sizes: &[(u64, u64)]) -> usize {
    let mut bytes = 0;
    let over = sizes.iter().position(|(_, size)| {
        bytes += size;
        bytes > PAGE_BYTES_MAX
    });
    over.map_or(sizes.len(), |at| at.max(1))
}
