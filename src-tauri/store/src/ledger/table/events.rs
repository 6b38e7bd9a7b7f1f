//! The table `events`: the log itself, one row per event, linked by hashes.
//!
//! Tested in `tests/ledger/damage.rs` and `tests/ledger/commit.rs`.

use std::collections::HashSet;

use model::event::{Event, Fact, Subject};
use model::id::{AgentId, AttemptId, CorrelationId, EventId, MissionId};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::ledger::chain::{Hash, Link, Tail};
use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::{PAGE_BYTES_MAX, push_list};
use crate::ledger::stroke::{Rows, Value, values};

/// Which events to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those about this mission.
    pub mission_id: Option<MissionId>,
    /// Only those about this attempt.
    pub attempt_id: Option<AttemptId>,
    /// Only those about this agent.
    pub agent_id: Option<AgentId>,
    /// Only these kinds, as [`Fact::kind`] says them; empty means all.
    pub kinds: Vec<String>,
    /// Where to go on, from the page before.
    pub cursor: Option<String>,
    /// How many, at most [`crate::ledger::PAGE_ROWS_MAX`].
    pub limit: u32,
}

/// An event exactly as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct EventRow {
    pub(crate) seq: i64,
    id: Vec<u8>,
    at: String,
    actor: String,
    correlation_id: Option<Vec<u8>>,
    mission_id: Option<Vec<u8>>,
    attempt_id: Option<Vec<u8>>,
    agent_id: Option<Vec<u8>>,
    mission_seq: Option<i64>,
    kind: String,
    pub(crate) hash: Vec<u8>,
    body: Vec<u8>,
}

macro_rules! columns {
    () => {
        "seq, id, at, actor, correlation_id, mission_id, attempt_id, agent_id, mission_seq, \
         kind, hash, body"
    };
}

impl EventRow {
    /// An event as it will be stored after `previous`.
    pub(crate) fn of(event: &Event, previous: &Hash) -> Result<Self, RowError> {
        let body = serde_json::to_vec(&event.fact)
            .map_err(|error| RowError::unreadable("events.body", error))?;
        let mut row = Self {
            seq: column::count(event.seq),
            id: column::id(event.id.as_uuid()),
            at: column::time(event.at),
            actor: column::json("events.actor", &event.actor)?,
            correlation_id: event.correlation_id.map(|id| column::id(id.as_uuid())),
            mission_id: event.subject.mission_id.map(|id| column::id(id.as_uuid())),
            attempt_id: event.subject.attempt_id.map(|id| column::id(id.as_uuid())),
            agent_id: event.subject.agent_id.map(|id| column::id(id.as_uuid())),
            mission_seq: event.mission_seq.map(column::count),
            kind: event.fact.kind().to_owned(),
            hash: Vec::new(),
            body,
        };
        row.hash = row.link(previous).to_vec();
        Ok(row)
    }

    /// The hash this row must have after `previous`.
    pub(crate) fn link(&self, previous: &Hash) -> Hash {
        let link = Link::after(previous)
            .number(self.seq)
            .bytes(&self.id)
            .bytes(self.at.as_bytes())
            .bytes(self.actor.as_bytes())
            .maybe(self.correlation_id.as_deref())
            .maybe(self.mission_id.as_deref())
            .maybe(self.attempt_id.as_deref())
            .maybe(self.agent_id.as_deref());
        let link = match self.mission_seq {
            Some(place) => link.number(place),
            None => link.maybe(None),
        };
        link.bytes(self.kind.as_bytes()).bytes(&self.body).seal()
    }

    /// The stored hash.
    pub(crate) fn stored_hash(&self) -> Result<Hash, RowError> {
        read_hash(&self.hash)
    }

    /// The event it holds.
    pub(crate) fn read(&self) -> Result<Event, RowError> {
        let fact: Fact = serde_json::from_slice(&self.body)
            .map_err(|error| RowError::unreadable("events.body", error))?;
        Ok(Event {
            seq: column::read_count("events.seq", self.seq)?,
            id: column::read_id("events.id", &self.id, EventId::from_uuid)?,
            at: column::read_time("events.at", &self.at)?,
            actor: column::read_json("events.actor", &self.actor)?,
            correlation_id: column::read_id_opt(
                "events.correlation_id",
                self.correlation_id.as_deref(),
                CorrelationId::from_uuid,
            )?,
            subject: self.subject()?,
            mission_seq: self
                .mission_seq
                .map(|place| column::read_count("events.mission_seq", place))
                .transpose()?,
            fact,
        })
    }

    fn subject(&self) -> Result<Subject, RowError> {
        let Self { mission_id, attempt_id, agent_id, .. } = self;
        Ok(Subject {
            mission_id: column::read_id_opt(
                "events.mission_id",
                mission_id.as_deref(),
                MissionId::from_uuid,
            )?,
            attempt_id: column::read_id_opt(
                "events.attempt_id",
                attempt_id.as_deref(),
                AttemptId::from_uuid,
            )?,
            agent_id: column::read_id_opt(
                "events.agent_id",
                agent_id.as_deref(),
                AgentId::from_uuid,
            )?,
        })
    }

    /// Its values, as [`INSERT`] takes them.
    pub(crate) fn into_values(self) -> Vec<Value> {
        values![
            self.seq,
            self.id,
            self.at,
            self.actor,
            self.correlation_id,
            self.mission_id,
            self.attempt_id,
            self.agent_id,
            self.mission_seq,
            self.kind,
            self.hash,
            self.body,
        ]
    }
}

/// Adds rows.
pub(crate) static INSERT: Rows = Rows {
    head: concat!("INSERT INTO events (", columns!(), ") VALUES "),
    columns: 12,
    tail: "",
    exact: true,
};

fn read_hash(bytes: &[u8]) -> Result<Hash, RowError> {
    bytes
        .try_into()
        .map_err(|error: std::array::TryFromSliceError| RowError::unreadable("events.hash", error))
}

/// Where the log ends.
pub(crate) async fn tail(conn: &mut SqliteConnection) -> Result<Tail, RowError> {
    let last: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")
            .fetch_optional(conn)
            .await?;
    let Some((seq, hash)) = last else {
        return Ok(Tail::EMPTY);
    };
    Ok(Tail { seq: column::read_count("events.seq", seq)?, hash: read_hash(&hash)? })
}

/// The hash of one event; the genesis for 0; nothing when there is no such event.
pub(crate) async fn hash_at(
    conn: &mut SqliteConnection,
    seq: u64,
) -> Result<Option<Hash>, RowError> {
    if seq == 0 {
        return Ok(Some(Tail::EMPTY.hash));
    }
    let hash: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM events WHERE seq = ?")
        .bind(column::count(seq))
        .fetch_optional(conn)
        .await?;
    hash.as_deref().map(read_hash).transpose()
}

/// The place of a mission's next event.
pub(crate) async fn next_in_mission(
    conn: &mut SqliteConnection,
    id: MissionId,
) -> Result<u64, RowError> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT MAX(mission_seq) FROM events WHERE mission_id = ?")
            .bind(column::id(id.as_uuid()))
            .fetch_one(conn)
            .await?;
    Ok(column::read_count("events.mission_seq", last.unwrap_or(0))? + 1)
}

/// The place of the last event of each mission; 0 where there is none.
pub(crate) async fn last_in_missions(
    conn: &mut SqliteConnection,
    ids: &HashSet<MissionId>,
) -> Result<Vec<(MissionId, u64)>, RowError> {
    let wanted: Vec<String> = ids.iter().map(|id| id.as_uuid().simple().to_string()).collect();
    let rows: Vec<(Vec<u8>, i64)> = sqlx::query_as(
        "SELECT unhex(value), COALESCE((SELECT MAX(mission_seq) FROM events \
         WHERE mission_id = unhex(value)), 0) FROM json_each(?)",
    )
    .bind(column::json("events.mission_id", &wanted)?)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|(id, last)| {
            let id = column::read_id("events.mission_id", id, MissionId::from_uuid)?;
            Ok((id, column::read_count("events.mission_seq", *last)?))
        })
        .collect()
}

/// Rows after `seq`, oldest first, as many as fit into a page of bytes.
pub(crate) async fn after(
    conn: &mut SqliteConnection,
    seq: u64,
    limit: usize,
) -> Result<Vec<EventRow>, RowError> {
    let rows = sqlx::query_as::<_, (i64, i64)>(
        "SELECT seq, length(body) FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
    )
    .bind(column::count(seq))
    .bind(limit as i64)
    .fetch_all(&mut *conn)
    .await?;
    let Some(last) = fitting(&rows).last().map(|(seq, _)| *seq) else {
        return Ok(Vec::new());
    };
    let rows = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM events WHERE seq > ? AND seq <= ? ORDER BY seq"
    ))
    .bind(column::count(seq))
    .bind(last)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// The front of a list of places and sizes that fits into a page; at least one.
fn fitting(rows: &[(i64, i64)]) -> &[(i64, i64)] {
    let mut bytes = 0usize;
    let fits = rows.iter().take_while(|(_, size)| {
        let first = bytes == 0;
        bytes = bytes.saturating_add(usize::try_from(*size).unwrap_or(usize::MAX));
        first || bytes <= PAGE_BYTES_MAX
    });
    &rows[..fits.count()]
}

/// Rows that match, newest first, before `before`; one more than `limit` is a sign of more.
pub(crate) async fn list(
    conn: &mut SqliteConnection,
    filter: &EventFilter,
    before: Option<u64>,
    limit: usize,
) -> Result<(Vec<EventRow>, bool), RowError> {
    let mut places = places(conn, filter, before, limit + 1).await?;
    let more_rows = places.len() > limit;
    places.truncate(limit);
    let fits = fitting(&places).len();
    let more = more_rows || fits < places.len();
    places.truncate(fits);
    if places.is_empty() {
        return Ok((Vec::new(), false));
    }
    let mut query =
        QueryBuilder::<Sqlite>::new(concat!("SELECT ", columns!(), " FROM events WHERE seq IN ("));
    push_list(&mut query, places.iter().map(|(seq, _)| *seq));
    query.push(") ORDER BY seq DESC");
    let rows = query.build_query_as().fetch_all(conn).await?;
    Ok((rows, more))
}

/// Places and sizes of what matches. Without a subject, each kind walks its own index, so that
/// the cost does not grow with the events of other kinds.
async fn places(
    conn: &mut SqliteConnection,
    filter: &EventFilter,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<(i64, i64)>, RowError> {
    let about =
        filter.mission_id.is_some() || filter.attempt_id.is_some() || filter.agent_id.is_some();
    if about || filter.kinds.is_empty() {
        return places_of(conn, filter, &filter.kinds, before, limit).await;
    }
    let mut all = Vec::new();
    let mut kinds = filter.kinds.clone();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        all.extend(places_of(conn, filter, &[kind], before, limit).await?);
    }
    all.sort_unstable_by_key(|(seq, _)| std::cmp::Reverse(*seq));
    all.truncate(limit);
    Ok(all)
}

async fn places_of(
    conn: &mut SqliteConnection,
    filter: &EventFilter,
    kinds: &[String],
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<(i64, i64)>, RowError> {
    let mut query =
        QueryBuilder::<Sqlite>::new("SELECT seq, length(body) FROM events WHERE seq < ");
    query.push_bind(before.map_or(i64::MAX, column::count));
    // The narrowest subject names the index; the others only sift what it finds.
    let subjects = [
        ("attempt_id", filter.attempt_id.map(AttemptId::as_uuid)),
        ("mission_id", filter.mission_id.map(MissionId::as_uuid)),
        ("agent_id", filter.agent_id.map(AgentId::as_uuid)),
    ];
    for (name, uuid) in subjects {
        if let Some(uuid) = uuid {
            query.push(" AND ").push(name).push(" = ");
            query.push_bind(column::id(uuid));
        }
    }
    match kinds {
        [] => {}
        [kind] => {
            query.push(" AND kind = ").push_bind(kind.clone());
        }
        many => {
            query.push(" AND kind IN (");
            push_list(&mut query, many.iter().cloned());
            query.push(")");
        }
    }
    query.push(" ORDER BY seq DESC LIMIT ");
    query.push_bind(limit as i64);
    Ok(query.build_query_as().fetch_all(conn).await?)
}

/// Missions whose events are not numbered 1, 2, 3, …; at most `limit` of them.
pub(crate) async fn missions_with_gaps(
    conn: &mut SqliteConnection,
    limit: usize,
) -> Result<Vec<MissionId>, RowError> {
    let ids: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT mission_id FROM events WHERE mission_id IS NOT NULL GROUP BY mission_id \
         HAVING MIN(mission_seq) <> 1 OR MAX(mission_seq) <> COUNT(*) LIMIT ?",
    )
    .bind(limit as i64)
    .fetch_all(conn)
    .await?;
    ids.iter().map(|id| column::read_id("events.mission_id", id, MissionId::from_uuid)).collect()
}
