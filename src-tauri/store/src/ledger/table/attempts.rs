//! The table `attempts`.
//!
//! Tested in `tests/ledger/commit.rs` and by the replay in `tests/ledger/replay.rs`.

use jiff::Timestamp;
use model::attempt::{Attempt, AttemptState, Work, Workplace};
use model::id::{AgentId, AttemptId, MissionId};
use model::process::{ExitRecord, ProcessIdentity};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteQueryResult;

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::collect;

#[derive(sqlx::FromRow)]
struct AttemptRow {
    id: Vec<u8>,
    mission_id: Vec<u8>,
    agent_id: Vec<u8>,
    n: i64,
    state: String,
    stopping: bool,
    in_review: bool,
    frozen: bool,
    note: Option<String>,
    handoff: Option<String>,
    choice: Option<String>,
    workplace: Option<String>,
    process: Option<String>,
    exit: Option<String>,
    work: Option<String>,
    leased_at: String,
    ended_at: Option<String>,
}

macro_rules! columns {
    () => {
        "id, mission_id, agent_id, n, state, stopping, in_review, frozen, note, handoff, choice, \
         workplace, process, exit, work, leased_at, ended_at"
    };
}

/// The condition of an attempt that is not over.
macro_rules! live {
    () => {
        "state NOT IN ('accepted', 'rejected', 'lost', 'stopped')"
    };
}

fn read(row: AttemptRow) -> Result<Attempt, RowError> {
    Ok(Attempt {
        id: column::read_id("attempts.id", &row.id, AttemptId::from_uuid)?,
        mission_id: column::read_id("attempts.mission_id", &row.mission_id, MissionId::from_uuid)?,
        agent_id: column::read_id("attempts.agent_id", &row.agent_id, AgentId::from_uuid)?,
        n: column::read_small("attempts.n", row.n)?,
        state: column::read_word("attempts.state", row.state)?,
        stopping: row.stopping,
        in_review: row.in_review,
        frozen: row.frozen,
        note: row.note,
        acknowledged_at: None,
        handoff: column::read_json_opt("attempts.handoff", row.handoff.as_deref())?,
        choice: column::read_json_opt("attempts.choice", row.choice.as_deref())?,
        workplace: column::read_json_opt("attempts.workplace", row.workplace.as_deref())?,
        process: column::read_json_opt("attempts.process", row.process.as_deref())?,
        exit: column::read_json_opt("attempts.exit", row.exit.as_deref())?,
        work: column::read_json_opt("attempts.work", row.work.as_deref())?,
        leased_at: column::read_time("attempts.leased_at", &row.leased_at)?,
        ended_at: column::read_time_opt("attempts.ended_at", row.ended_at.as_deref())?,
    })
}

/// Adds an attempt.
pub(crate) async fn insert(conn: &mut SqliteConnection, attempt: &Attempt) -> Result<(), RowError> {
    sqlx::query(concat!(
        "INSERT INTO attempts (",
        columns!(),
        ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ))
    .bind(column::id(attempt.id.as_uuid()))
    .bind(column::id(attempt.mission_id.as_uuid()))
    .bind(column::id(attempt.agent_id.as_uuid()))
    .bind(i64::from(attempt.n))
    .bind(attempt.state.as_str())
    .bind(attempt.stopping)
    .bind(attempt.in_review)
    .bind(attempt.frozen)
    .bind(&attempt.note)
    .bind(column::json_opt("attempts.handoff", attempt.handoff.as_ref())?)
    .bind(column::json_opt("attempts.choice", attempt.choice.as_ref())?)
    .bind(column::json_opt("attempts.workplace", attempt.workplace.as_ref())?)
    .bind(column::json_opt("attempts.process", attempt.process.as_ref())?)
    .bind(column::json_opt("attempts.exit", attempt.exit.as_ref())?)
    .bind(column::json_opt("attempts.work", attempt.work.as_ref())?)
    .bind(column::time(attempt.leased_at))
    .bind(attempt.ended_at.map(column::time))
    .execute(conn)
    .await?;
    Ok(())
}

fn one(done: &SqliteQueryResult) -> bool {
    done.rows_affected() == 1
}

/// Its workplace is ready. Like the others below: says whether there is such a live attempt.
pub(crate) async fn prepare(
    conn: &mut SqliteConnection,
    id: AttemptId,
    workplace: &Workplace,
) -> Result<bool, RowError> {
    let done = sqlx::query(concat!(
        "UPDATE attempts SET state = 'starting', workplace = ? WHERE id = ? AND ",
        live!()
    ))
    .bind(column::json("attempts.workplace", workplace)?)
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(one(&done))
}

/// Its program runs.
pub(crate) async fn start(
    conn: &mut SqliteConnection,
    id: AttemptId,
    process: &ProcessIdentity,
) -> Result<bool, RowError> {
    let done = sqlx::query(concat!(
        "UPDATE attempts SET state = 'running', process = ? WHERE id = ? AND ",
        live!()
    ))
    .bind(column::json("attempts.process", process)?)
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(one(&done))
}

/// It was asked to stop.
pub(crate) async fn stop(conn: &mut SqliteConnection, id: AttemptId) -> Result<bool, RowError> {
    let done = sqlx::query(concat!("UPDATE attempts SET stopping = 1 WHERE id = ? AND ", live!()))
        .bind(column::id(id.as_uuid()))
        .execute(conn)
        .await?;
    Ok(one(&done))
}

/// Its program ended.
pub(crate) async fn exit(
    conn: &mut SqliteConnection,
    id: AttemptId,
    record: &ExitRecord,
) -> Result<bool, RowError> {
    let done = sqlx::query(concat!(
        "UPDATE attempts SET state = 'exited', exit = ?, frozen = 0 WHERE id = ? AND ",
        live!()
    ))
    .bind(column::json("attempts.exit", record)?)
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(one(&done))
}

/// Its gates run, for the first time or again.
pub(crate) async fn verify(conn: &mut SqliteConnection, id: AttemptId) -> Result<bool, RowError> {
    let done = sqlx::query(concat!(
        "UPDATE attempts SET state = 'verifying', in_review = 0 WHERE id = ? AND ",
        live!()
    ))
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(one(&done))
}

/// Its gates passed, and somebody's answer is awaited.
pub(crate) async fn review(conn: &mut SqliteConnection, id: AttemptId) -> Result<bool, RowError> {
    let done =
        sqlx::query("UPDATE attempts SET in_review = 1 WHERE id = ? AND state = 'verifying'")
            .bind(column::id(id.as_uuid()))
            .execute(conn)
            .await?;
    Ok(one(&done))
}

/// Its processes are held, or go on.
pub(crate) async fn freeze(
    conn: &mut SqliteConnection,
    id: AttemptId,
    frozen: bool,
) -> Result<bool, RowError> {
    let done = sqlx::query(concat!("UPDATE attempts SET frozen = ? WHERE id = ? AND ", live!()))
        .bind(frozen)
        .bind(column::id(id.as_uuid()))
        .execute(conn)
        .await?;
    Ok(one(&done))
}

/// What it left is secured; allowed after its end, because work is secured then too.
pub(crate) async fn record(
    conn: &mut SqliteConnection,
    id: AttemptId,
    work: &Work,
) -> Result<bool, RowError> {
    let done = sqlx::query("UPDATE attempts SET work = ? WHERE id = ?")
        .bind(column::json("attempts.work", work)?)
        .bind(column::id(id.as_uuid()))
        .execute(conn)
        .await?;
    Ok(one(&done))
}

/// It is over.
pub(crate) async fn end(
    conn: &mut SqliteConnection,
    id: AttemptId,
    state: AttemptState,
    note: Option<&str>,
    at: Timestamp,
) -> Result<bool, RowError> {
    let done = sqlx::query(concat!(
        "UPDATE attempts SET state = ?, stopping = 0, in_review = 0, frozen = 0, note = ?, \
         ended_at = ? WHERE id = ? AND ",
        live!()
    ))
    .bind(state.as_str())
    .bind(note)
    .bind(column::time(at))
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(one(&done))
}

/// One attempt.
pub(crate) async fn get(
    conn: &mut SqliteConnection,
    id: AttemptId,
) -> Result<Option<Attempt>, RowError> {
    let row: Option<AttemptRow> =
        sqlx::query_as(concat!("SELECT ", columns!(), " FROM attempts WHERE id = ?"))
            .bind(column::id(id.as_uuid()))
            .fetch_optional(conn)
            .await?;
    row.map(read).transpose()
}

/// Every attempt of a mission, oldest first.
pub(crate) async fn of_mission(
    conn: &mut SqliteConnection,
    id: MissionId,
) -> Result<Vec<Attempt>, RowError> {
    let rows = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM attempts WHERE mission_id = ? ORDER BY n"
    ))
    .bind(column::id(id.as_uuid()))
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}

/// The newest attempts of an agent, newest first.
pub(crate) async fn of_agent(
    conn: &mut SqliteConnection,
    id: AgentId,
    limit: usize,
) -> Result<Vec<Attempt>, RowError> {
    let rows = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM attempts WHERE agent_id = ? ORDER BY id DESC LIMIT ?"
    ))
    .bind(column::id(id.as_uuid()))
    .bind(limit as i64)
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}

/// The attempts of an agent that are not over, oldest first.
pub(crate) async fn unfinished_of_agent(
    conn: &mut SqliteConnection,
    id: AgentId,
) -> Result<Vec<Attempt>, RowError> {
    let rows = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM attempts WHERE agent_id = ? AND ",
        live!(),
        " ORDER BY id"
    ))
    .bind(column::id(id.as_uuid()))
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}

/// Every attempt that is not over, oldest first.
pub(crate) async fn unfinished(conn: &mut SqliteConnection) -> Result<Vec<Attempt>, RowError> {
    let rows = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM attempts WHERE ",
        live!(),
        " ORDER BY id"
    ))
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}

/// Attempts whose branch has a worktree that is neither in the trash nor gone, newest first.
pub(crate) async fn with_worktree(
    conn: &mut SqliteConnection,
    before: Option<AttemptId>,
    limit: usize,
) -> Result<Vec<Attempt>, RowError> {
    // The condition on `workplace` is that of the index, word by word.
    let rows = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM attempts WHERE instr(workplace, ',\"branch\":\"') > 0 \
         AND (?1 IS NULL OR id < ?1) AND NOT EXISTS (SELECT 1 FROM trash \
         WHERE trash.mission_id = attempts.mission_id AND trash.attempt = attempts.n \
         AND trash.kind = 'worktree' AND (trash.ended IS NULL OR trash.ended = 'purged')) \
         ORDER BY id DESC LIMIT ?2"
    ))
    .bind(before.map(|id| column::id(id.as_uuid())))
    .bind(limit as i64)
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}
