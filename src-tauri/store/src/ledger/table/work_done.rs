//! The table `attempts` as work done: what ended in a stretch of time, and what is under way.
//!
//! Tested by a recount from the log in `engine/src/efficiency/tests.rs`.

use jiff::Timestamp;
use model::attempt::AttemptState;
use model::gate::Grade;
use model::id::AgentId;
use model::usage::Usage;
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::collect;

/// The most ended attempts that are handed out at once.
pub const ENDED_READ_MAX: usize = 20_000;
/// The most attempts under way that are handed out at once, far more than ever run.
const UNDER_WAY_MAX: i64 = 20_000;

/// An attempt that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedAttempt {
    /// Its agent.
    pub agent_id: AgentId,
    /// How it ended.
    pub state: AttemptState,
    /// When the lease was given.
    pub leased_at: Timestamp,
    /// When its agent got the mission for the first time.
    pub taken_at: Timestamp,
    /// When its program had ended, or it itself where none ran.
    pub exited_at: Timestamp,
    /// When it was over.
    pub ended_at: Timestamp,
    /// Whether an earlier attempt of its agent at the mission was rejected.
    pub redone: bool,
    /// What is proved of its mission by now.
    pub grade: Grade,
    /// Tokens it used, by the best source, as far as they are known.
    pub tokens: Option<u64>,
    /// What it cost by our prices, or else as its agent says, in millionths of a US dollar.
    pub cost_micros: Option<u64>,
}

/// An attempt that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenAttempt {
    /// Its agent.
    pub agent_id: AgentId,
    /// When the lease was given.
    pub leased_at: Timestamp,
    /// When its program had ended, where it has: its work is checked or in review.
    pub exited_at: Option<Timestamp>,
}

/// What was done in a stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkDone {
    /// What ended in it, newest first; of more than [`ENDED_READ_MAX`] the newest.
    pub ended: Vec<EndedAttempt>,
    /// Whether there was more than that.
    pub more: bool,
    /// What is under way now.
    pub open: Vec<OpenAttempt>,
}

#[derive(sqlx::FromRow)]
struct EndedRow {
    agent_id: Vec<u8>,
    state: String,
    leased_at: String,
    first: Option<String>,
    exited_at: String,
    ended_at: String,
    redone: bool,
    grade: String,
    used: String,
}

fn read(row: EndedRow) -> Result<EndedAttempt, RowError> {
    let leased_at = column::read_time("attempts.leased_at", &row.leased_at)?;
    let first = column::read_time_opt("attempts.leased_at", row.first.as_deref())?;
    let mut used: Vec<Usage> = column::read_json("attempt_usage.body", &row.used)?;
    used.sort_by_key(|usage| usage.source);
    let best = Usage::best(&used);
    Ok(EndedAttempt {
        agent_id: column::read_id("attempts.agent_id", &row.agent_id, AgentId::from_uuid)?,
        state: column::read_word("attempts.state", row.state)?,
        leased_at,
        taken_at: first.map_or(leased_at, |first| first.min(leased_at)),
        exited_at: column::read_time("attempts.exit", &row.exited_at)?,
        ended_at: column::read_time("attempts.ended_at", &row.ended_at)?,
        redone: row.redone,
        grade: column::read_word("missions.grade", row.grade)?,
        tokens: best.and_then(|usage| usage.tokens.total()),
        cost_micros: best.and_then(|usage| usage.own_cost_micros.or(usage.reported_cost_micros)),
    })
}

/// What ended after `after` and not after `until`, and what is under way. Both are found by their
/// indices, whatever else there is.
pub(crate) async fn between(
    conn: &mut SqliteConnection,
    after: Timestamp,
    until: Timestamp,
) -> Result<WorkDone, RowError> {
    let rows = sqlx::query_as(
        "SELECT one.agent_id, one.state, one.leased_at,
             (SELECT MIN(leased_at) FROM attempts WHERE mission_id = one.mission_id
                 AND agent_id = one.agent_id AND n < one.n) AS first,
             COALESCE(one.exit ->> '$.ended_at', one.ended_at) AS exited_at, one.ended_at,
             EXISTS (SELECT 1 FROM attempts WHERE mission_id = one.mission_id
                 AND agent_id = one.agent_id AND n < one.n AND state = 'rejected') AS redone,
             missions.grade,
             (SELECT json_group_array(json(body)) FROM attempt_usage
                 WHERE attempt_id = one.id) AS used
         FROM attempts AS one JOIN missions ON missions.id = one.mission_id
         WHERE one.ended_at > ? AND one.ended_at <= ? ORDER BY one.ended_at DESC LIMIT ?",
    )
    .bind(column::time(after))
    .bind(column::time(until))
    .bind(ENDED_READ_MAX as i64 + 1)
    .fetch_all(&mut *conn)
    .await?;
    let mut ended = collect(rows, read)?;
    let more = ended.len() > ENDED_READ_MAX;
    ended.truncate(ENDED_READ_MAX);
    Ok(WorkDone { ended, more, open: open(conn).await? })
}

async fn open(conn: &mut SqliteConnection) -> Result<Vec<OpenAttempt>, RowError> {
    // The condition on `state` is that of the index, word by word.
    let rows: Vec<(Vec<u8>, String, Option<String>)> = sqlx::query_as(
        "SELECT agent_id, leased_at, exit ->> '$.ended_at' FROM attempts \
         WHERE state NOT IN ('accepted', 'rejected', 'lost', 'stopped') LIMIT ?",
    )
    .bind(UNDER_WAY_MAX)
    .fetch_all(conn)
    .await?;
    collect(rows, |(agent_id, leased_at, exited_at)| {
        Ok(OpenAttempt {
            agent_id: column::read_id("attempts.agent_id", &agent_id, AgentId::from_uuid)?,
            leased_at: column::read_time("attempts.leased_at", &leased_at)?,
            exited_at: column::read_time_opt("attempts.exit", exited_at.as_deref())?,
        })
    })
}
