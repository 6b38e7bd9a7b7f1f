//! The table `messages`.
//!
//! Tested in `tests/ledger/conversation.rs` and by the replay in `tests/ledger/replay.rs`.

use jiff::Timestamp;
use model::id::{AgentId, AttemptId, BroadcastId, MessageId, MissionId};
use model::message::{Message, MessageState, Urgency};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::{collect, push_list};
use crate::ledger::query;

/// How many messages one statement names.
const IDS_MAX: usize = 500;

/// Which messages to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// Only those to this agent.
    pub agent_id: Option<AgentId>,
    /// Only those that are this far; empty means all.
    pub states: Vec<MessageState>,
    /// Only those about this mission.
    pub mission_id: Option<MissionId>,
    /// Only those that were sent together.
    pub broadcast_id: Option<BroadcastId>,
    /// Where to go on, from the page before.
    pub cursor: Option<String>,
    /// How many, at most [`crate::ledger::PAGE_ROWS_MAX`].
    pub limit: u32,
}

#[derive(sqlx::FromRow)]
struct MessageRow {
    id: Vec<u8>,
    agent_id: Vec<u8>,
    source: String,
    text: String,
    urgent: bool,
    mission_id: Option<Vec<u8>>,
    broadcast_id: Option<Vec<u8>>,
    attempt_id: Option<Vec<u8>>,
    queued_at: String,
    delivered_at: Option<String>,
    started_at: Option<String>,
    acknowledged_at: Option<String>,
    tries: i64,
    problem: Option<String>,
    quarantined: bool,
    discarded: bool,
}

macro_rules! columns {
    () => {
        "id, agent_id, source, text, urgent, mission_id, broadcast_id, attempt_id, queued_at, \
         delivered_at, started_at, acknowledged_at, tries, problem, quarantined, discarded"
    };
}

fn read(row: MessageRow) -> Result<Message, RowError> {
    let time = column::read_time_opt;
    Ok(Message {
        id: column::read_id("messages.id", &row.id, MessageId::from_uuid)?,
        to: column::read_id("messages.agent_id", &row.agent_id, AgentId::from_uuid)?,
        from: column::read_json("messages.source", &row.source)?,
        text: row.text,
        urgency: if row.urgent { Urgency::Urgent } else { Urgency::Regular },
        mission_id: column::read_id_opt(
            "messages.mission_id",
            row.mission_id.as_deref(),
            MissionId::from_uuid,
        )?,
        broadcast_id: column::read_id_opt(
            "messages.broadcast_id",
            row.broadcast_id.as_deref(),
            BroadcastId::from_uuid,
        )?,
        attempt_id: column::read_id_opt(
            "messages.attempt_id",
            row.attempt_id.as_deref(),
            AttemptId::from_uuid,
        )?,
        queued_at: column::read_time("messages.queued_at", &row.queued_at)?,
        delivered_at: time("messages.delivered_at", row.delivered_at.as_deref())?,
        started_at: time("messages.started_at", row.started_at.as_deref())?,
        acknowledged_at: time("messages.acknowledged_at", row.acknowledged_at.as_deref())?,
        tries: column::read_small("messages.tries", row.tries)?,
        problem: row.problem,
        quarantined: row.quarantined,
        discarded: row.discarded,
    })
}

/// Adds a message; says whether its agent is there.
pub(crate) async fn insert(
    conn: &mut SqliteConnection,
    message: &Message,
) -> Result<bool, RowError> {
    let done = sqlx::query(concat!(
        "INSERT INTO messages (",
        columns!(),
        ") SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16 \
         FROM agents WHERE id = ?2 AND removed_seq IS NULL"
    ))
    .bind(column::id(message.id.as_uuid()))
    .bind(column::id(message.to.as_uuid()))
    .bind(column::json("messages.source", &message.from)?)
    .bind(&message.text)
    .bind(message.urgency == Urgency::Urgent)
    .bind(message.mission_id.map(|id| column::id(id.as_uuid())))
    .bind(message.broadcast_id.map(|id| column::id(id.as_uuid())))
    .bind(message.attempt_id.map(|id| column::id(id.as_uuid())))
    .bind(column::time(message.queued_at))
    .bind(message.delivered_at.map(column::time))
    .bind(message.started_at.map(column::time))
    .bind(message.acknowledged_at.map(column::time))
    .bind(i64::from(message.tries))
    .bind(&message.problem)
    .bind(message.quarantined)
    .bind(message.discarded)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// An attempt's program has them; says whether all of them waited.
pub(crate) async fn deliver(
    conn: &mut SqliteConnection,
    ids: &[MessageId],
    attempt_id: AttemptId,
    at: Timestamp,
) -> Result<bool, RowError> {
    let attempt = column::id(attempt_id.as_uuid());
    each(conn, ids, "state = 'queued'", |set| {
        set.push("delivered_at = ").push_bind(column::time(at));
        set.push(", attempt_id = ").push_bind(attempt.clone());
    })
    .await
}

/// The agent acts on them; says whether it had all of them and acted on none.
pub(crate) async fn start(
    conn: &mut SqliteConnection,
    ids: &[MessageId],
    at: Timestamp,
) -> Result<bool, RowError> {
    each(conn, ids, "state = 'delivered'", |set| {
        set.push("started_at = ").push_bind(column::time(at));
    })
    .await
}

/// The agent answered to them; says whether it had all of them and had answered to none.
pub(crate) async fn acknowledge(
    conn: &mut SqliteConnection,
    ids: &[MessageId],
    at: Timestamp,
) -> Result<bool, RowError> {
    each(conn, ids, "state IN ('delivered', 'started')", |set| {
        set.push("acknowledged_at = ").push_bind(column::time(at));
    })
    .await
}

/// Changes each of these messages; says whether all of them stood as `standing` says.
async fn each(
    conn: &mut SqliteConnection,
    ids: &[MessageId],
    standing: &'static str,
    set: impl Fn(&mut QueryBuilder<Sqlite>),
) -> Result<bool, RowError> {
    // Looked at first, so that who does not fit can still be named.
    for part in ids.chunks(IDS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT COUNT(*) FROM messages WHERE ");
        push_standing(&mut query, part, standing);
        let count: i64 = query.build_query_scalar().fetch_one(&mut *conn).await?;
        // One that is named twice counts once, and so does not fit either.
        if column::read_count("messages", count)? != part.len() as u64 {
            return Ok(false);
        }
    }
    for part in ids.chunks(IDS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new("UPDATE messages SET ");
        set(&mut query);
        query.push(" WHERE ");
        push_standing(&mut query, part, standing);
        query.build().execute(&mut *conn).await?;
    }
    Ok(true)
}

fn push_standing(query: &mut QueryBuilder<Sqlite>, ids: &[MessageId], standing: &'static str) {
    query.push("id IN (");
    push_list(query, ids.iter().map(|id| column::id(id.as_uuid())));
    query.push(") AND ").push(standing);
}

/// How a delivery failed.
pub(crate) struct Failure<'a> {
    pub(crate) problem: &'a str,
    pub(crate) tries: u32,
    pub(crate) quarantined: bool,
}

/// It was not delivered, or in vain: it waits again, or is in quarantine. Says whether it was on
/// its way or waited.
pub(crate) async fn fail(
    conn: &mut SqliteConnection,
    id: MessageId,
    failure: Failure<'_>,
) -> Result<bool, RowError> {
    let done = sqlx::query(
        "UPDATE messages SET problem = ?, tries = ?, quarantined = ?, delivered_at = NULL, \
         started_at = NULL, attempt_id = NULL \
         WHERE id = ? AND state IN ('queued', 'delivered', 'started')",
    )
    .bind(failure.problem)
    .bind(i64::from(failure.tries))
    .bind(failure.quarantined)
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// It waits again, as if it had never been tried; says whether it was in quarantine, or with an
/// agent that has not answered to it.
pub(crate) async fn retry(conn: &mut SqliteConnection, id: MessageId) -> Result<bool, RowError> {
    let done = sqlx::query(
        "UPDATE messages SET tries = 0, quarantined = 0, delivered_at = NULL, started_at = NULL, \
         attempt_id = NULL WHERE id = ? AND state IN ('quarantined', 'delivered', 'started')",
    )
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// It is not delivered any more; says whether it waited or was in quarantine.
pub(crate) async fn discard(conn: &mut SqliteConnection, id: MessageId) -> Result<bool, RowError> {
    let done = sqlx::query(
        "UPDATE messages SET discarded = 1 WHERE id = ? AND state IN ('queued', 'quarantined')",
    )
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What an agent has not got is not delivered any more.
pub(crate) async fn discard_all(conn: &mut SqliteConnection, id: AgentId) -> Result<(), RowError> {
    sqlx::query(
        "UPDATE messages SET discarded = 1 \
         WHERE agent_id = ? AND state IN ('queued', 'quarantined')",
    )
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(())
}

/// One message.
pub(crate) async fn get(
    conn: &mut SqliteConnection,
    id: MessageId,
) -> Result<Option<Message>, RowError> {
    let sql = concat!("SELECT ", columns!(), " FROM messages WHERE id = ?");
    query::one(conn, sql, id.as_uuid(), read).await
}

/// What waits for an agent: urgent ones first, then the oldest, at most `limit`.
pub(crate) async fn waiting(
    conn: &mut SqliteConnection,
    id: AgentId,
    limit: usize,
) -> Result<Vec<Message>, RowError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM messages WHERE agent_id = ? AND state = 'queued' ORDER BY urgent DESC, id LIMIT ?"
    );
    query::some_of(conn, sql, id.as_uuid(), limit, read).await
}

/// How many wait for an agent.
pub(crate) async fn count_waiting(
    conn: &mut SqliteConnection,
    id: AgentId,
) -> Result<u32, RowError> {
    let count =
        sqlx::query_scalar("SELECT COUNT(*) FROM messages WHERE agent_id = ? AND state = 'queued'")
            .bind(column::id(id.as_uuid()))
            .fetch_one(conn)
            .await?;
    column::read_small("messages", count)
}

/// How many messages wait for each agent for which some do.
pub(crate) async fn waiting_by_agent(
    conn: &mut SqliteConnection,
) -> Result<Vec<(AgentId, u32)>, RowError> {
    let rows: Vec<(Vec<u8>, i64)> = sqlx::query_as(
        "SELECT agent_id, COUNT(*) FROM messages WHERE state = 'queued' GROUP BY agent_id",
    )
    .fetch_all(conn)
    .await?;
    collect(rows, |(id, count)| {
        let id = column::read_id("messages.agent_id", &id, AgentId::from_uuid)?;
        Ok((id, column::read_small("messages", count)?))
    })
}

/// What an attempt's program has and its agent has not answered to, in the order it got it.
pub(crate) async fn of_attempt(
    conn: &mut SqliteConnection,
    id: AttemptId,
    limit: usize,
) -> Result<Vec<Message>, RowError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM messages WHERE attempt_id = ? AND state IN ('delivered', 'started') \
         ORDER BY delivered_at, urgent DESC, id LIMIT ?"
    );
    query::some_of(conn, sql, id.as_uuid(), limit, read).await
}

/// Messages that match, newest first, at most `limit`.
pub(crate) async fn list(
    conn: &mut SqliteConnection,
    filter: &MessageFilter,
    before: Option<MessageId>,
    limit: usize,
) -> Result<Vec<Message>, RowError> {
    let mut query =
        QueryBuilder::<Sqlite>::new(concat!("SELECT ", columns!(), " FROM messages WHERE TRUE"));
    query::narrow(&mut query, " AND agent_id = ", filter.agent_id.map(AgentId::as_uuid));
    query::narrow(&mut query, " AND mission_id = ", filter.mission_id.map(MissionId::as_uuid));
    query::narrow(
        &mut query,
        " AND broadcast_id = ",
        filter.broadcast_id.map(BroadcastId::as_uuid),
    );
    if !filter.states.is_empty() {
        let words = filter.states.iter().map(|state| column::word("messages.state", state));
        query.push(" AND state IN (");
        push_list(&mut query, words.collect::<Result<Vec<_>, _>>()?);
        query.push(")");
    }
    query::page(&mut query, before.map(MessageId::as_uuid), limit);
    collect(query.build_query_as().fetch_all(conn).await?, read)
}

/// How many are in quarantine.
pub(crate) async fn count_quarantined(conn: &mut SqliteConnection) -> Result<u64, RowError> {
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM messages WHERE state = 'quarantined'")
        .fetch_one(conn)
        .await?;
    column::read_count("messages", count)
}
