//! The table `requests`: what agents ask the captain.
//!
//! Tested in `tests/ledger/conversation.rs` and by the replay in `tests/ledger/replay.rs`.

use jiff::Timestamp;
use model::id::{AgentId, AttemptId, MissionId, RequestId};
use model::inbox::{Request, RequestEnd};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::collect;
use crate::ledger::query;

/// Which requests to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// Only those that wait for the captain, or only those that do not.
    pub open: Option<bool>,
    /// Only those of this agent.
    pub agent_id: Option<AgentId>,
    /// Only those about this mission.
    pub mission_id: Option<MissionId>,
    /// Where to go on, from the page before.
    pub cursor: Option<String>,
    /// How many, at most [`crate::ledger::PAGE_ROWS_MAX`].
    pub limit: u32,
}

/// How many requests wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) permissions: u64,
    pub(crate) questions: u64,
    pub(crate) deferred: u64,
}

#[derive(sqlx::FromRow)]
struct RequestRow {
    id: Vec<u8>,
    attempt_id: Vec<u8>,
    mission_id: Vec<u8>,
    agent_id: Vec<u8>,
    key: String,
    ask: String,
    asked_at: String,
    not_before: Option<String>,
    outcome: Option<String>,
    ended_at: Option<String>,
    told: bool,
}

macro_rules! columns {
    () => {
        "id, attempt_id, mission_id, agent_id, key, ask, asked_at, not_before, outcome, ended_at, \
         told"
    };
}

fn read(row: RequestRow) -> Result<Request, RowError> {
    Ok(Request {
        id: column::read_id("requests.id", &row.id, RequestId::from_uuid)?,
        attempt_id: column::read_id("requests.attempt_id", &row.attempt_id, AttemptId::from_uuid)?,
        mission_id: column::read_id("requests.mission_id", &row.mission_id, MissionId::from_uuid)?,
        agent_id: column::read_id("requests.agent_id", &row.agent_id, AgentId::from_uuid)?,
        key: row.key,
        ask: column::read_json("requests.ask", &row.ask)?,
        asked_at: column::read_time("requests.asked_at", &row.asked_at)?,
        not_before: column::read_time_opt("requests.not_before", row.not_before.as_deref())?,
        end: column::read_json_opt("requests.outcome", row.outcome.as_deref())?,
        ended_at: column::read_time_opt("requests.ended_at", row.ended_at.as_deref())?,
        told: row.told,
    })
}

/// Adds a request; says whether its attempt is there.
pub(crate) async fn insert(
    conn: &mut SqliteConnection,
    request: &Request,
) -> Result<bool, RowError> {
    let done = sqlx::query(concat!(
        "INSERT INTO requests (",
        columns!(),
        ") SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 FROM attempts WHERE id = ?2"
    ))
    .bind(column::id(request.id.as_uuid()))
    .bind(column::id(request.attempt_id.as_uuid()))
    .bind(column::id(request.mission_id.as_uuid()))
    .bind(column::id(request.agent_id.as_uuid()))
    .bind(&request.key)
    .bind(column::json("requests.ask", &request.ask)?)
    .bind(column::time(request.asked_at))
    .bind(request.not_before.map(column::time))
    .bind(column::json_opt("requests.outcome", request.end.as_ref())?)
    .bind(request.ended_at.map(column::time))
    .bind(request.told)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// It came to an end; says whether it waited.
pub(crate) async fn end(
    conn: &mut SqliteConnection,
    id: RequestId,
    end: &RequestEnd,
    at: Timestamp,
) -> Result<bool, RowError> {
    let done = sqlx::query(
        "UPDATE requests SET outcome = ?, ended_at = ? WHERE id = ? AND outcome IS NULL",
    )
    .bind(column::json("requests.outcome", end)?)
    .bind(column::time(at))
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// It is kept out of the way for a while; says whether it waited.
pub(crate) async fn defer(
    conn: &mut SqliteConnection,
    id: RequestId,
    not_before: Timestamp,
) -> Result<bool, RowError> {
    let done = sqlx::query("UPDATE requests SET not_before = ? WHERE id = ? AND outcome IS NULL")
        .bind(column::time(not_before))
        .bind(column::id(id.as_uuid()))
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The agent has been told the answer; says whether there was one that it did not know.
pub(crate) async fn tell(conn: &mut SqliteConnection, id: RequestId) -> Result<bool, RowError> {
    let done = sqlx::query(
        "UPDATE requests SET told = 1 WHERE id = ? AND outcome IS NOT NULL AND told = 0",
    )
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// One request.
pub(crate) async fn get(
    conn: &mut SqliteConnection,
    id: RequestId,
) -> Result<Option<Request>, RowError> {
    let sql = concat!("SELECT ", columns!(), " FROM requests WHERE id = ?");
    query::one(conn, sql, id.as_uuid(), read).await
}

/// What waits for the captain, oldest first.
pub(crate) async fn open(
    conn: &mut SqliteConnection,
    limit: usize,
) -> Result<Vec<Request>, RowError> {
    let rows = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM requests WHERE outcome IS NULL ORDER BY id LIMIT ?"
    ))
    .bind(limit as i64)
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}

/// What an attempt asked and waits for, oldest first.
pub(crate) async fn open_of(
    conn: &mut SqliteConnection,
    id: AttemptId,
    limit: usize,
) -> Result<Vec<Request>, RowError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM requests WHERE attempt_id = ? AND outcome IS NULL ORDER BY id LIMIT ?"
    );
    query::some_of(conn, sql, id.as_uuid(), limit, read).await
}

/// What an attempt asked and was answered without its agent being told, oldest first.
pub(crate) async fn untold_of(
    conn: &mut SqliteConnection,
    id: AttemptId,
    limit: usize,
) -> Result<Vec<Request>, RowError> {
    // The condition is that of the index, word by word.
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM requests WHERE attempt_id = ? AND told = 0 AND outcome IS NOT NULL \
         AND outcome ->> '$.kind' <> 'withdrawn' ORDER BY id LIMIT ?"
    );
    query::some_of(conn, sql, id.as_uuid(), limit, read).await
}

/// The attempts with answers that were not told, at most `limit`.
pub(crate) async fn untold_attempts(
    conn: &mut SqliteConnection,
    limit: u32,
) -> Result<Vec<AttemptId>, RowError> {
    // The condition is that of the index, word by word.
    let sql = "SELECT DISTINCT attempt_id FROM requests WHERE told = 0 AND outcome IS NOT NULL \
               AND outcome ->> '$.kind' <> 'withdrawn' ORDER BY attempt_id DESC LIMIT ?";
    let ids: Vec<Vec<u8>> = sqlx::query_scalar(sql).bind(limit).fetch_all(conn).await?;
    collect(ids, |id| column::read_id("requests.attempt_id", &id, AttemptId::from_uuid))
}

/// Requests that match, newest first, at most `limit`.
pub(crate) async fn list(
    conn: &mut SqliteConnection,
    filter: &RequestFilter,
    before: Option<RequestId>,
    limit: usize,
) -> Result<Vec<Request>, RowError> {
    let mut query =
        QueryBuilder::<Sqlite>::new(concat!("SELECT ", columns!(), " FROM requests WHERE TRUE"));
    match filter.open {
        Some(true) => _ = query.push(" AND outcome IS NULL"),
        Some(false) => _ = query.push(" AND outcome IS NOT NULL"),
        None => {}
    }
    query::narrow(&mut query, " AND agent_id = ", filter.agent_id.map(AgentId::as_uuid));
    query::narrow(&mut query, " AND mission_id = ", filter.mission_id.map(MissionId::as_uuid));
    query::page(&mut query, before.map(RequestId::as_uuid), limit);
    collect(query.build_query_as().fetch_all(conn).await?, read)
}

/// How many wait for the captain of each agent that asks.
pub(crate) async fn open_by_agent(
    conn: &mut SqliteConnection,
) -> Result<Vec<(AgentId, u32)>, RowError> {
    let rows: Vec<(Vec<u8>, i64)> = sqlx::query_as(
        "SELECT agent_id, COUNT(*) FROM requests WHERE outcome IS NULL GROUP BY agent_id",
    )
    .fetch_all(conn)
    .await?;
    collect(rows, |(id, count)| {
        let id = column::read_id("requests.agent_id", &id, AgentId::from_uuid)?;
        Ok((id, column::read_small("requests", count)?))
    })
}

/// How many wait for the captain by kind, and of these how many are kept out of the way.
pub(crate) async fn count_waiting(
    conn: &mut SqliteConnection,
    now: Timestamp,
) -> Result<Waiting, RowError> {
    let (all, questions, deferred): (i64, i64, i64) = sqlx::query_as(
        "SELECT COUNT(*), COALESCE(SUM(question), 0), COALESCE(SUM(not_before > ?), 0) \
         FROM requests WHERE outcome IS NULL",
    )
    .bind(column::time(now))
    .fetch_one(conn)
    .await?;
    Ok(Waiting {
        permissions: column::read_count("requests", all - questions)?,
        questions: column::read_count("requests", questions)?,
        deferred: column::read_count("requests", deferred)?,
    })
}
