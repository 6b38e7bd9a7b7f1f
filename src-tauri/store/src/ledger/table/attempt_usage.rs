//! The table `attempt_usage`: what each attempt has used according to each source.
//!
//! Tested in `tests/ledger/conversation.rs` and by the replay in `tests/ledger/replay.rs`.

use model::id::{AgentId, AttemptId, MissionId};
use model::usage::{Tokens, Usage};
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;

/// The most figures of one mission that are handed out at once.
const FIGURES_MAX: i64 = 4_000;

fn read(body: &str) -> Result<Usage, RowError> {
    column::read_json("attempt_usage.body", body)
}

/// Keeps what a source says now in place of what it said before; says whether the attempt is there.
pub(crate) async fn put(
    conn: &mut SqliteConnection,
    id: AttemptId,
    usage: &Usage,
) -> Result<bool, RowError> {
    let done = sqlx::query(
        "INSERT OR REPLACE INTO attempt_usage (attempt_id, source, body) \
         SELECT id, ?, ? FROM attempts WHERE id = ?",
    )
    .bind(usage.source.as_str())
    .bind(column::json("attempt_usage.body", usage)?)
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What an attempt has used, best source first.
pub(crate) async fn of_attempt(
    conn: &mut SqliteConnection,
    id: AttemptId,
) -> Result<Vec<Usage>, RowError> {
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT body FROM attempt_usage WHERE attempt_id = ?")
            .bind(column::id(id.as_uuid()))
            .fetch_all(conn)
            .await?;
    let mut all: Vec<Usage> = rows.iter().map(|body| read(body)).collect::<Result<_, _>>()?;
    all.sort_by_key(|usage| usage.source);
    Ok(all)
}

/// What the attempts of a mission have used, oldest attempt first, best source first.
pub(crate) async fn of_mission(
    conn: &mut SqliteConnection,
    id: MissionId,
) -> Result<Vec<(AttemptId, Vec<Usage>)>, RowError> {
    let rows: Vec<(Vec<u8>, String)> = sqlx::query_as(
        "SELECT attempts.id, attempt_usage.body FROM attempts \
         JOIN attempt_usage ON attempt_usage.attempt_id = attempts.id \
         WHERE attempts.mission_id = ? ORDER BY attempts.n LIMIT ?",
    )
    .bind(column::id(id.as_uuid()))
    .bind(FIGURES_MAX)
    .fetch_all(conn)
    .await?;
    let mut all: Vec<(AttemptId, Vec<Usage>)> = Vec::new();
    for (attempt, body) in rows {
        let id = column::read_id("attempt_usage.attempt_id", &attempt, AttemptId::from_uuid)?;
        let usage = read(&body)?;
        match all.last_mut().filter(|(last, _)| *last == id) {
            Some((_, figures)) => figures.push(usage),
            None => all.push((id, vec![usage])),
        }
    }
    for (_, figures) in &mut all {
        figures.sort_by_key(|usage| usage.source);
    }
    Ok(all)
}

/// What the attempts of an agent have used in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentUsage {
    /// The agent.
    pub agent_id: AgentId,
    /// Tokens, as far as they are known.
    pub tokens: Tokens,
    /// What it cost as the agent says, in millionths of a US dollar.
    pub reported_cost_micros: Option<u64>,
    /// What it cost by our own prices, in millionths of a US dollar.
    pub own_cost_micros: Option<u64>,
    /// Model requests, as far as they were counted.
    pub requests: Option<u64>,
    /// Tool calls.
    pub tool_calls: u64,
    /// Of these, the ones that failed.
    pub tool_failures: u64,
}

#[derive(sqlx::FromRow)]
struct TotalsRow {
    agent_id: Vec<u8>,
    uncached_input: Option<i64>,
    cache_read: Option<i64>,
    cache_write: Option<i64>,
    output: Option<i64>,
    reasoning: Option<i64>,
    reported: Option<i64>,
    own: Option<i64>,
    requests: Option<i64>,
    tool_calls: Option<i64>,
    tool_failures: Option<i64>,
}

/// What each agent has used in all. Of several sources of one attempt the best counts, as
/// [`Usage::best`] chooses it. A figure beyond [`model::usage::FIGURE_MAX`] counts as that, and sums
/// are of reals, which cannot overflow: ledgers hold figures from before there was a bound.
pub(crate) async fn by_agent(conn: &mut SqliteConnection) -> Result<Vec<AgentUsage>, RowError> {
    let rows: Vec<TotalsRow> = sqlx::query_as(
        "WITH said AS (
             SELECT attempts.agent_id, attempt_usage.attempt_id, attempt_usage.body,
                 COALESCE(body ->> '$.tokens.uncached_input', body ->> '$.tokens.cache_read',
                     body ->> '$.tokens.cache_write', body ->> '$.tokens.output') IS NULL AS silent,
                 CASE source WHEN 'otlp' THEN 0 WHEN 'result' THEN 1 WHEN 'session_file' THEN 2
                     WHEN 'sum' THEN 3 ELSE 4 END AS place
             FROM attempt_usage JOIN attempts ON attempts.id = attempt_usage.attempt_id
         ), ranked AS (
             SELECT agent_id, body, ROW_NUMBER()
                 OVER (PARTITION BY attempt_id ORDER BY silent, place) AS rank
             FROM said
         )
         SELECT agent_id,
             CAST(SUM(MIN(body ->> '$.tokens.uncached_input', 1e15) * 1.0) AS INTEGER) AS uncached_input,
             CAST(SUM(MIN(body ->> '$.tokens.cache_read', 1e15) * 1.0) AS INTEGER) AS cache_read,
             CAST(SUM(MIN(body ->> '$.tokens.cache_write', 1e15) * 1.0) AS INTEGER) AS cache_write,
             CAST(SUM(MIN(body ->> '$.tokens.output', 1e15) * 1.0) AS INTEGER) AS output,
             CAST(SUM(MIN(body ->> '$.tokens.reasoning', 1e15) * 1.0) AS INTEGER) AS reasoning,
             CAST(SUM(MIN(body ->> '$.reported_cost_micros', 1e15) * 1.0) AS INTEGER) AS reported,
             CAST(SUM(MIN(body ->> '$.own_cost_micros', 1e15) * 1.0) AS INTEGER) AS own,
             CAST(SUM(MIN(body ->> '$.requests', 1e15) * 1.0) AS INTEGER) AS requests,
             CAST(SUM(MIN(body ->> '$.tool_calls', 1e15) * 1.0) AS INTEGER) AS tool_calls,
             CAST(SUM(MIN(body ->> '$.tool_failures', 1e15) * 1.0) AS INTEGER) AS tool_failures
         FROM ranked WHERE rank = 1 GROUP BY agent_id",
    )
    .fetch_all(conn)
    .await?;
    rows.iter().map(read_totals).collect()
}

fn read_totals(row: &TotalsRow) -> Result<AgentUsage, RowError> {
    let known = |value: Option<i64>| value.map(|value| u64::try_from(value).unwrap_or(0));
    Ok(AgentUsage {
        agent_id: column::read_id("attempts.agent_id", &row.agent_id, AgentId::from_uuid)?,
        tokens: Tokens {
            uncached_input: known(row.uncached_input),
            cache_read: known(row.cache_read),
            cache_write: known(row.cache_write),
            output: known(row.output),
            reasoning: known(row.reasoning),
        },
        reported_cost_micros: known(row.reported),
        own_cost_micros: known(row.own),
        requests: known(row.requests),
        tool_calls: known(row.tool_calls).unwrap_or(0),
        tool_failures: known(row.tool_failures).unwrap_or(0),
    })
}
