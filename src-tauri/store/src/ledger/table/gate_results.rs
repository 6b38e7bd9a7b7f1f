//! The table `gate_results`.
//!
//! Tested by the replay in `tests/ledger/replay.rs`.

use model::gate::GateResult;
use model::id::AttemptId;
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::query;

#[derive(sqlx::FromRow)]
struct GateRow {
    gate_index: i64,
    gate: String,
    verdict: String,
    exit_code: Option<i64>,
    reason: String,
    output: String,
    output_bytes: i64,
    commit_hash: Option<String>,
    tree: Option<String>,
    checks: Option<i64>,
    answered_by: Option<String>,
    started_at: String,
    duration_ms: i64,
}

fn read(row: GateRow) -> Result<GateResult, RowError> {
    Ok(GateResult {
        index: column::read_small("gate_results.gate_index", row.gate_index)?,
        gate: column::read_json("gate_results.gate", &row.gate)?,
        verdict: column::read_word("gate_results.verdict", row.verdict)?,
        exit_code: row
            .exit_code
            .map(i32::try_from)
            .transpose()
            .map_err(|error| RowError::unreadable("gate_results.exit_code", error))?,
        reason: row.reason,
        output: row.output,
        output_bytes: column::read_count("gate_results.output_bytes", row.output_bytes)?,
        commit: row.commit_hash,
        tree: row.tree,
        checks: row
            .checks
            .map(|checks| column::read_count("gate_results.checks", checks))
            .transpose()?,
        by: row.answered_by,
        started_at: column::read_time("gate_results.started_at", &row.started_at)?,
        duration_ms: column::read_count("gate_results.duration_ms", row.duration_ms)?,
    })
}

/// Adds what a gate found. A gate that ran again after a crash replaces what it found before.
pub(crate) async fn put(
    conn: &mut SqliteConnection,
    id: AttemptId,
    result: &GateResult,
) -> Result<(), RowError> {
    sqlx::query(
        "INSERT OR REPLACE INTO gate_results (attempt_id, gate_index, gate, verdict, exit_code, \
         reason, output, output_bytes, commit_hash, tree, checks, answered_by, started_at, \
         duration_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(column::id(id.as_uuid()))
    .bind(i64::from(result.index))
    .bind(column::json("gate_results.gate", &result.gate)?)
    .bind(result.verdict.as_str())
    .bind(result.exit_code.map(i64::from))
    .bind(&result.reason)
    .bind(&result.output)
    .bind(column::count(result.output_bytes))
    .bind(&result.commit)
    .bind(&result.tree)
    .bind(result.checks.map(column::count))
    .bind(&result.by)
    .bind(column::time(result.started_at))
    .bind(column::count(result.duration_ms))
    .execute(conn)
    .await?;
    Ok(())
}

/// What the gates of an attempt found, in their order.
pub(crate) async fn of_attempt(
    conn: &mut SqliteConnection,
    id: AttemptId,
) -> Result<Vec<GateResult>, RowError> {
    let sql = "SELECT gate_index, gate, verdict, exit_code, reason, output, output_bytes, commit_hash, \
         tree, checks, answered_by, started_at, duration_ms FROM gate_results WHERE attempt_id = ? ORDER BY gate_index";
    query::all_of(conn, sql, id.as_uuid(), read).await
}
