//! The table `attempts`.
//!
//! Tested in `tests/ledger/commit.rs` and by the replay in `tests/ledger/replay.rs`.

use jiff::Timestamp;
use model::attempt::{Attempt, AttemptState, Work, Workplace};
use model::id::{AgentId, AttemptId, MissionId};
use model::process::{ExitRecord, ProcessIdentity};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteQueryResult;
use uuid::Uuid;

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::collect;
use crate::ledger::query;
use crate::ledger::stroke::{Rows, Stroke, values};

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
    acknowledged_at: Option<String>,
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
        "id, mission_id, agent_id, n, state, stopping, in_review, frozen, note, acknowledged_at, \
         handoff, choice, workplace, process, exit, work, leased_at, ended_at"
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
        acknowledged_at: column::read_time_opt(
            "attempts.acknowledged_at",
            row.acknowledged_at.as_deref(),
        )?,
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

static INSERT: Rows = Rows {
    head: concat!("INSERT INTO attempts (", columns!(), ") VALUES "),
    columns: 18,
    tail: "",
    exact: true,
};

/// Adds an attempt.
pub(crate) fn insert(attempt: &Attempt) -> Result<Stroke, RowError> {
    let id = attempt.id.as_uuid();
    let values = values![
        column::id(attempt.id.as_uuid()),
        column::id(attempt.mission_id.as_uuid()),
        column::id(attempt.agent_id.as_uuid()),
        attempt.n,
        attempt.state.as_str(),
        attempt.stopping,
        attempt.in_review,
        attempt.frozen,
        attempt.note.as_ref(),
        attempt.acknowledged_at.map(column::time),
        column::json_opt("attempts.handoff", attempt.handoff.as_ref())?,
        column::json_opt("attempts.choice", attempt.choice.as_ref())?,
        column::json_opt("attempts.workplace", attempt.workplace.as_ref())?,
        column::json_opt("attempts.process", attempt.process.as_ref())?,
        column::json_opt("attempts.exit", attempt.exit.as_ref())?,
        column::json_opt("attempts.work", attempt.work.as_ref())?,
        column::time(attempt.leased_at),
        attempt.ended_at.map(column::time),
    ];
    Ok(Stroke { rows: &INSERT, subject: Some(id), values })
}

fn one(done: &SqliteQueryResult) -> bool {
    done.rows_affected() == 1
}

static PREPARE: Rows = Rows {
    head: "UPDATE attempts SET state = 'starting', workplace = v.column1 FROM (VALUES ",
    columns: 2,
    tail: concat!(") AS v WHERE id = v.column2 AND ", live!()),
    exact: true,
};

/// Its workplace is ready. Like the others below: fits, or says, whether there is such a live
/// attempt.
pub(crate) fn prepare(id: AttemptId, workplace: &Workplace) -> Result<Stroke, RowError> {
    let values = values![column::json("attempts.workplace", workplace)?, column::id(id.as_uuid())];
    Ok(Stroke { rows: &PREPARE, subject: Some(id.as_uuid()), values })
}

static START: Rows = Rows {
    head: "UPDATE attempts SET state = 'running', process = v.column1 FROM (VALUES ",
    columns: 2,
    tail: concat!(") AS v WHERE id = v.column2 AND ", live!()),
    exact: true,
};

/// Its program runs.
pub(crate) fn start(id: AttemptId, process: &ProcessIdentity) -> Result<Stroke, RowError> {
    let values = values![column::json("attempts.process", process)?, column::id(id.as_uuid())];
    Ok(Stroke { rows: &START, subject: Some(id.as_uuid()), values })
}

static TAKE: Rows = Rows {
    head: "UPDATE attempts SET state = 'running' FROM (VALUES ",
    columns: 1,
    tail: concat!(") AS v WHERE id = v.column1 AND ", live!()),
    exact: true,
};

/// Its agent, which runs elsewhere, took it.
pub(crate) fn take(id: AttemptId) -> Stroke {
    let values = values![column::id(id.as_uuid())];
    Stroke { rows: &TAKE, subject: Some(id.as_uuid()), values }
}

/// It was asked to stop.
pub(crate) async fn stop(conn: &mut SqliteConnection, id: AttemptId) -> Result<bool, RowError> {
    let done = sqlx::query(concat!("UPDATE attempts SET stopping = 1 WHERE id = ? AND ", live!()))
        .bind(column::id(id.as_uuid()))
        .execute(conn)
        .await?;
    Ok(one(&done))
}

static EXIT: Rows = Rows {
    head: "UPDATE attempts SET state = 'exited', exit = v.column1, frozen = 0 FROM (VALUES ",
    columns: 2,
    tail: concat!(") AS v WHERE id = v.column2 AND ", live!()),
    exact: true,
};

/// Its program ended.
pub(crate) fn exit(id: AttemptId, record: &ExitRecord) -> Result<Stroke, RowError> {
    let values = values![column::json("attempts.exit", record)?, column::id(id.as_uuid())];
    Ok(Stroke { rows: &EXIT, subject: Some(id.as_uuid()), values })
}

static VERIFY: Rows = Rows {
    head: "UPDATE attempts SET state = 'verifying', in_review = 0 FROM (VALUES ",
    columns: 1,
    tail: concat!(") AS v WHERE id = v.column1 AND ", live!()),
    exact: true,
};

/// Its gates run, for the first time or again.
pub(crate) fn verify(id: AttemptId) -> Stroke {
    let values = values![column::id(id.as_uuid())];
    Stroke { rows: &VERIFY, subject: Some(id.as_uuid()), values }
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

static RECORD: Rows = Rows {
    head: "UPDATE attempts SET work = v.column1 FROM (VALUES ",
    columns: 2,
    tail: ") AS v WHERE id = v.column2",
    exact: true,
};

/// Its agent knows what it is to do; says whether that was not said before. It may come after the
/// attempt's end, because it is read from what the agent left.
pub(crate) async fn acknowledge(
    conn: &mut SqliteConnection,
    id: AttemptId,
    at: Timestamp,
) -> Result<bool, RowError> {
    let done = sqlx::query(
        "UPDATE attempts SET acknowledged_at = ? WHERE id = ? AND acknowledged_at IS NULL",
    )
    .bind(column::time(at))
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(one(&done))
}

/// What it left is secured; allowed after its end, because work is secured then too.
pub(crate) fn record(id: AttemptId, work: &Work) -> Result<Stroke, RowError> {
    let values = values![column::json("attempts.work", work)?, column::id(id.as_uuid())];
    Ok(Stroke { rows: &RECORD, subject: Some(id.as_uuid()), values })
}

static END: Rows = Rows {
    head: "UPDATE attempts SET state = v.column1, stopping = 0, in_review = 0, frozen = 0, note = v.column2, \
           ended_at = v.column3 FROM (VALUES ",
    columns: 4,
    tail: concat!(") AS v WHERE id = v.column4 AND ", live!()),
    exact: true,
};

/// It is over.
pub(crate) fn end(id: AttemptId, state: AttemptState, note: Option<&str>, at: Timestamp) -> Stroke {
    let values = values![state.as_str(), note, column::time(at), column::id(id.as_uuid())];
    Stroke { rows: &END, subject: Some(id.as_uuid()), values }
}

/// One attempt.
pub(crate) async fn get(
    conn: &mut SqliteConnection,
    id: AttemptId,
) -> Result<Option<Attempt>, RowError> {
    let sql = concat!("SELECT ", columns!(), " FROM attempts WHERE id = ?");
    query::one(conn, sql, id.as_uuid(), read).await
}

/// Every attempt of a mission, oldest first.
pub(crate) async fn of_mission(
    conn: &mut SqliteConnection,
    id: MissionId,
) -> Result<Vec<Attempt>, RowError> {
    let sql = concat!("SELECT ", columns!(), " FROM attempts WHERE mission_id = ? ORDER BY n");
    query::all_of(conn, sql, id.as_uuid(), read).await
}

/// The newest attempts of an agent, newest first.
pub(crate) async fn of_agent(
    conn: &mut SqliteConnection,
    id: AgentId,
    limit: usize,
) -> Result<Vec<Attempt>, RowError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM attempts WHERE agent_id = ? ORDER BY id DESC LIMIT ?"
    );
    query::some_of(conn, sql, id.as_uuid(), limit, read).await
}

/// The attempts that ended since then, oldest first; of more than `limit` the newest.
pub(crate) async fn ended_since(
    conn: &mut SqliteConnection,
    since: Timestamp,
    limit: usize,
) -> Result<Vec<Attempt>, RowError> {
    let rows = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM attempts WHERE ended_at >= ? ORDER BY ended_at DESC, id DESC LIMIT ?"
    ))
    .bind(column::time(since))
    .bind(limit as i64)
    .fetch_all(conn)
    .await?;
    let mut attempts = collect(rows, read)?;
    attempts.reverse();
    Ok(attempts)
}

/// The attempts of an agent that are not over, oldest first.
pub(crate) async fn unfinished_of_agent(
    conn: &mut SqliteConnection,
    id: AgentId,
) -> Result<Vec<Attempt>, RowError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM attempts WHERE agent_id = ? AND ",
        live!(),
        " ORDER BY id"
    );
    query::all_of(conn, sql, id.as_uuid(), read).await
}

/// Which agent has which mission, by an attempt that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// The mission.
    pub mission_id: MissionId,
    /// The agent.
    pub agent_id: AgentId,
    /// Whether it keeps the agent from other missions; one in review does not.
    pub occupies_agent: bool,
}

/// What every attempt that is not over holds, oldest first. It is asked with every list of missions,
/// and handing over a row costs far more than what stands in it: all of them come as one text.
pub(crate) async fn holds(conn: &mut SqliteConnection) -> Result<Vec<Hold>, RowError> {
    let text: Option<String> = sqlx::query_scalar(concat!(
        "SELECT group_concat(hex(mission_id) || hex(agent_id) || in_review, '' ORDER BY id) \
         FROM attempts WHERE ",
        live!(),
    ))
    .fetch_one(conn)
    .await?;
    let text = text.unwrap_or_default();
    text.as_bytes().chunks(HOLD_CHARS).map(read_hold).collect()
}

/// Two ids in hexadecimal, and a digit.
const HOLD_CHARS: usize = ID_CHARS * 2 + 1;
const ID_CHARS: usize = 32;

fn read_hold(text: &[u8]) -> Result<Hold, RowError> {
    let (mission, rest) = text.split_at_checked(ID_CHARS).unwrap_or((text, &[]));
    let (agent, in_review) = rest.split_at_checked(ID_CHARS).unwrap_or((rest, &[]));
    let id = |column, text| {
        Uuid::try_parse_ascii(text).map_err(|error| RowError::unreadable(column, error))
    };
    Ok(Hold {
        mission_id: MissionId::from_uuid(id("attempts.mission_id", mission)?),
        agent_id: AgentId::from_uuid(id("attempts.agent_id", agent)?),
        occupies_agent: in_review == b"0",
    })
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
