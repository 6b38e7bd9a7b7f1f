//! One transaction with several changes. Their rows are laid side by side, which takes a few
//! statements for all of them. Where a change does not fit, everything is taken back and written
//! once more, one change after the other, so that only that change is refused.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::Arc;

use jiff::Timestamp;
use model::event::{Event, Fact, NewEvent};
use model::id::MissionId;
use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::batch::Batch;
use super::chain::Tail;
use super::change::{CHANGE_EVENTS_MAX, Change, Committed, StoredAnswer};
use super::error::{CommitError, RowError};
use super::mutant::Mutant;
use super::project::{project, strokes};
use super::table::events::{self, EventRow};
use super::table::{answers, cursors, keys, outbox};
use super::writer::Reply;

/// Missions whose last event's place is kept in memory; then all are forgotten.
const PLACES_MAX: usize = 4096;
const WRITE: &str = "write to the ledger";

/// A failure that concerns the whole group.
pub(crate) struct Failure {
    pub(crate) operation: &'static str,
    pub(crate) source: Arc<dyn Error + Send + Sync>,
}

impl Failure {
    fn at(operation: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self { operation, source: Arc::new(source) }
    }

    pub(crate) fn reply(&self) -> Reply {
        Err(CommitError::Storage { operation: self.operation, source: Arc::clone(&self.source) })
    }
}

/// A group on its way: the end of the log if it succeeds, and each change's reply.
pub(crate) struct Written {
    pub(crate) tail: Tail,
    pub(crate) replies: Vec<Reply>,
}

/// The place of the last event of missions that were written lately.
#[derive(Debug, Default)]
pub(crate) struct Places(HashMap<MissionId, u64>);

impl Places {
    /// The place of the mission's next event, which it has from now on.
    fn next(&mut self, id: MissionId) -> u64 {
        let place = self.0.entry(id).or_default();
        *place += 1;
        *place
    }

    /// Forgets everything; it is read again where it is needed.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// One transaction with several changes.
pub(crate) struct Group<'c> {
    pub(crate) conn: &'c mut SqliteConnection,
    pub(crate) now: Timestamp,
    pub(crate) mutant: Mutant,
    pub(crate) tail: Tail,
    pub(crate) places: &'c mut Places,
}

impl Group<'_> {
    pub(crate) async fn write(
        &mut self,
        changes: &[Change],
        senders: &mut [Option<oneshot::Sender<Reply>>],
    ) -> Result<Written, Failure> {
        self.begin().await?;
        let replies = if self.mutant.splits() {
            self.one_by_one(changes).await?
        } else {
            self.together_or_one_by_one(changes).await?
        };
        if self.mutant.acknowledges_early() {
            acknowledge_early(senders, &replies);
            self.mutant.linger().await;
        }
        if self.mutant.splits() {
            self.split(&replies).await?;
        }
        self.run("COMMIT", "commit to the ledger").await?;
        let tail = self.tail;
        Ok(Written { tail, replies })
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        self.run("BEGIN IMMEDIATE", "begin a transaction of the ledger").await
    }

    async fn run(&mut self, sql: &'static str, operation: &'static str) -> Result<(), Failure> {
        sqlx::raw_sql(sql)
            .execute(&mut *self.conn)
            .await
            .map(|_| ())
            .map_err(Failure::at(operation))
    }

    async fn together_or_one_by_one(&mut self, changes: &[Change]) -> Result<Vec<Reply>, Failure> {
        let before = self.tail;
        match self.together(changes).await {
            Ok(replies) => Ok(replies),
            Err(Stop::Failed(failure)) => {
                self.places.clear();
                Err(failure)
            }
            Err(Stop::Misfit) => {
                self.places.clear();
                self.tail = before;
                self.run("ROLLBACK", WRITE).await?;
                self.begin().await?;
                self.one_by_one(changes).await
            }
        }
    }

    /// Writes all changes side by side.
    async fn together(&mut self, changes: &[Change]) -> Result<Vec<Reply>, Stop> {
        let known = self.known(changes).await?;
        self.find_places(changes.iter().filter(|change| !is_known(change, &known))).await?;
        let mut batch = Batch::default();
        let mut replies = Vec::with_capacity(changes.len());
        for change in changes {
            replies.push(match refusal(change) {
                Some(refused) => Err(refused),
                None => self.lay(change, &known, &mut batch).await?,
            });
        }
        fits(batch.write(self.conn).await?)?;
        Ok(replies)
    }

    /// The answers that were given before under the keys of these changes.
    async fn known(&mut self, changes: &[Change]) -> Result<HashMap<String, StoredAnswer>, Stop> {
        let mut keys = HashSet::new();
        for answer in changes.iter().filter_map(|change| change.answer.as_ref()) {
            // The second is answered as the first was, which is not written yet.
            fits(keys.insert(answer.key.as_str()))?;
        }
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        Ok(answers::get_all(self.conn, &keys, self.now).await?)
    }

    /// Reads where the missions of these changes stand in the log, where that is not known.
    async fn find_places(&mut self, changes: impl Iterator<Item = &Change>) -> Result<(), Stop> {
        if self.places.0.len() > PLACES_MAX {
            self.places.clear();
        }
        let mut unknown = HashSet::new();
        for new in changes.flat_map(|change| &change.events) {
            let Some(id) = new.subject.mission_id else {
                continue;
            };
            if matches!(new.fact, Fact::MissionCreated { .. }) && !unknown.contains(&id) {
                // Nothing comes before. Where that is wrong, the schema refuses the second.
                self.places.0.entry(id).or_default();
            } else if !self.places.0.contains_key(&id) {
                unknown.insert(id);
            }
        }
        if !unknown.is_empty() {
            self.places.0.extend(events::last_in_missions(self.conn, &unknown).await?);
        }
        Ok(())
    }

    /// Lays what one change writes beside what is there.
    async fn lay(
        &mut self,
        change: &Change,
        known: &HashMap<String, StoredAnswer>,
        batch: &mut Batch,
    ) -> Result<Reply, Stop> {
        if let Some(answer) = &change.answer {
            if let Some(known) = known.get(&answer.key) {
                return Ok(replay(answer, known.clone()));
            }
            batch.lay(answers::put(answer, self.now)?, None);
        }
        let mut events = Vec::with_capacity(change.events.len());
        for new in &change.events {
            let place = new.subject.mission_id.map(|id| self.places.next(id));
            let (event, row) = self.next_event(new, place)?;
            batch.record(row.into_values());
            self.lay_rows(&event, batch).await?;
            events.push(Arc::new(event));
        }
        for entry in &change.effects {
            batch.lay(outbox::insert(entry, self.now)?, None);
        }
        for id in &change.delivered {
            batch.lay(outbox::deliver(*id, self.now), None);
        }
        if let Some((name, seq)) = &change.cursor {
            self.move_cursor(name, *seq).await?;
        }
        keys::note_uses(self.conn, &change.token_uses).await?;
        keys::note_uses(self.conn, &change.login_uses).await?;
        Ok(Ok(Committed { events, replayed: None }))
    }

    async fn lay_rows(&mut self, event: &Event, batch: &mut Batch) -> Result<(), Stop> {
        match strokes(event)? {
            Some(strokes) => {
                let mission = event.subject.mission_id.map(MissionId::as_uuid);
                for stroke in strokes {
                    batch.lay(stroke, mission);
                }
                if batch.is_full() {
                    fits(batch.write(self.conn).await?)?;
                }
            }
            None => {
                fits(batch.write(self.conn).await?)?;
                project(self.conn, event).await?;
            }
        }
        Ok(())
    }

    /// The event after the last, with its row.
    fn next_event(
        &mut self,
        new: &NewEvent,
        mission_seq: Option<u64>,
    ) -> Result<(Event, EventRow), RowError> {
        let event = Event {
            seq: self.tail.seq + 1,
            id: new.id,
            at: new.at,
            actor: new.actor.clone(),
            correlation_id: new.correlation_id,
            subject: new.subject,
            mission_seq,
            fact: new.fact.clone(),
        };
        let row = EventRow::of(&event, &self.tail.hash)?;
        self.tail = Tail { seq: event.seq, hash: row.stored_hash()? };
        Ok((event, row))
    }

    /// Writes one change after the other; one that does not fit is refused alone.
    async fn one_by_one(&mut self, changes: &[Change]) -> Result<Vec<Reply>, Failure> {
        let mut replies = Vec::with_capacity(changes.len());
        for change in changes {
            replies.push(self.attempt(change).await?);
        }
        Ok(replies)
    }

    /// Writes one change; a conflict takes back this change alone.
    async fn attempt(&mut self, change: &Change) -> Result<Reply, Failure> {
        let before = self.tail;
        self.run("SAVEPOINT change", WRITE).await?;
        let refused = match self.apply(change).await {
            Ok(committed) => {
                self.run("RELEASE change", WRITE).await?;
                return Ok(Ok(committed));
            }
            Err(Refused::Change(error)) => error,
            Err(Refused::Row(RowError::Conflict { what, reason })) => {
                CommitError::Conflict { what, reason }
            }
            Err(Refused::Row(RowError::Sql(error))) => return Err(Failure::at(WRITE)(error)),
            Err(Refused::Row(RowError::Unreadable { column, source })) => {
                CommitError::Conflict { what: column, reason: source.to_string() }
            }
        };
        self.run("ROLLBACK TO change; RELEASE change", WRITE).await?;
        self.tail = before;
        Ok(Err(refused))
    }

    async fn apply(&mut self, change: &Change) -> Result<Committed, Refused> {
        if let Some(refused) = refusal(change) {
            return Err(Refused::Change(refused));
        }
        if let Some(answer) = &change.answer {
            if let Some(known) = answers::get(self.conn, &answer.key, self.now).await? {
                return replay(answer, known).map_err(Refused::Change);
            }
            answers::put(answer, self.now)?.write(self.conn).await?;
        }
        let events = self.append(change).await?;
        self.move_outbox(change).await?;
        if let Some((name, seq)) = &change.cursor {
            self.move_cursor(name, *seq).await?;
        }
        keys::note_uses(self.conn, &change.token_uses).await?;
        keys::note_uses(self.conn, &change.login_uses).await?;
        Ok(Committed { events, replayed: None })
    }

    async fn append(&mut self, change: &Change) -> Result<Vec<Arc<Event>>, RowError> {
        let mut events = Vec::with_capacity(change.events.len());
        for new in &change.events {
            let place = match new.subject.mission_id {
                Some(id) => Some(events::next_in_mission(self.conn, id).await?),
                None => None,
            };
            let (event, row) = self.next_event(new, place)?;
            let kind = event.fact.kind();
            let inserted = events::INSERT.write(self.conn, vec![row.into_values()]).await;
            inserted.map_err(|error| error.of(kind))?;
            if !self.mutant.splits() {
                project(self.conn, &event).await?;
            }
            events.push(Arc::new(event));
        }
        Ok(events)
    }

    async fn move_outbox(&mut self, change: &Change) -> Result<(), RowError> {
        for entry in &change.effects {
            let written = outbox::insert(entry, self.now)?.write(self.conn).await;
            written.map_err(|error| error.of("outbox"))?;
        }
        for id in &change.delivered {
            if !outbox::deliver(*id, self.now).write(self.conn).await? {
                let reason = format!("effect {id} is not open any more");
                return Err(RowError::conflict("outbox", reason));
            }
        }
        Ok(())
    }

    async fn move_cursor(&mut self, name: &str, seq: u64) -> Result<(), RowError> {
        if seq > self.tail.seq {
            let reason = format!("there is no event {seq} yet");
            return Err(RowError::conflict("cursor", reason));
        }
        if cursors::advance(self.conn, name, seq).await? {
            return Ok(());
        }
        let reason = format!("follower '{name}' is already at event {seq} or beyond");
        Err(RowError::conflict("cursor", reason))
    }

    /// The fault [`Mutant::Split`]: commits the events, then writes the rows.
    async fn split(&mut self, replies: &[Reply]) -> Result<(), Failure> {
        const OPERATION: &str = "write to the ledger in two steps";
        self.run("COMMIT", OPERATION).await?;
        self.mutant.linger().await;
        self.run("BEGIN IMMEDIATE", OPERATION).await?;
        for event in replies.iter().flatten().flat_map(|done| &done.events) {
            if let Err(RowError::Sql(error)) = project(self.conn, event).await {
                return Err(Failure::at(OPERATION)(error));
            }
        }
        Ok(())
    }
}

/// Why a change is refused whatever is stored.
fn refusal(change: &Change) -> Option<CommitError> {
    let events = change.events.len();
    let too_large = events > CHANGE_EVENTS_MAX;
    too_large.then_some(CommitError::TooLarge { events, max: CHANGE_EVENTS_MAX })
}

/// Whether a change is answered without being written.
fn is_known(change: &Change, known: &HashMap<String, StoredAnswer>) -> bool {
    change.answer.as_ref().is_some_and(|answer| known.contains_key(&answer.key))
}

/// The reply to a change whose key was used before.
fn replay(answer: &StoredAnswer, known: StoredAnswer) -> Reply {
    if known.fingerprint != answer.fingerprint {
        return Err(CommitError::KeyReused);
    }
    Ok(Committed { events: Vec::new(), replayed: Some(known) })
}

/// The fault [`Mutant::AckBeforeCommit`].
fn acknowledge_early(senders: &mut [Option<oneshot::Sender<Reply>>], replies: &[Reply]) {
    for (sender, reply) in senders.iter_mut().zip(replies) {
        if let Some(sender) = sender.take() {
            let _ = sender.send(reply.clone());
        }
    }
}

/// Why changes cannot be written side by side.
enum Stop {
    /// One of them does not fit, or needs what another writes.
    Misfit,
    Failed(Failure),
}

impl From<RowError> for Stop {
    fn from(error: RowError) -> Self {
        match error.of("a group") {
            RowError::Sql(error) => Self::Failed(Failure::at(WRITE)(error)),
            RowError::Conflict { .. } | RowError::Unreadable { .. } => Self::Misfit,
        }
    }
}

const fn fits(it: bool) -> Result<(), Stop> {
    if it { Ok(()) } else { Err(Stop::Misfit) }
}

/// Why a single change is not written.
enum Refused {
    Change(CommitError),
    Row(RowError),
}

impl From<RowError> for Refused {
    fn from(error: RowError) -> Self {
        Self::Row(error)
    }
}
