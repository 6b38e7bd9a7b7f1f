//! The table `checkpoints`.
//!
//! Tested in `tests/ledger/workspace.rs` and by the replay in `tests/ledger/replay.rs`.

use model::attempt::Checkpoint;
use model::id::{AttemptId, CheckpointId, MissionId};
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::query;

#[derive(sqlx::FromRow)]
struct CheckpointRow {
    id: Vec<u8>,
    mission_id: Vec<u8>,
    attempt_id: Vec<u8>,
    n: i64,
    commit_hash: String,
    tree: String,
    uncommitted_files: i64,
    output_bytes: i64,
    note: String,
    at: String,
}

macro_rules! columns {
    () => {
        "id, mission_id, attempt_id, n, commit_hash, tree, uncommitted_files, output_bytes, note, at"
    };
}

fn read(row: CheckpointRow) -> Result<Checkpoint, RowError> {
    let files = column::read_count("checkpoints.uncommitted_files", row.uncommitted_files)?;
    Ok(Checkpoint {
        id: column::read_id("checkpoints.id", &row.id, CheckpointId::from_uuid)?,
        mission_id: column::read_id(
            "checkpoints.mission_id",
            &row.mission_id,
            MissionId::from_uuid,
        )?,
        attempt_id: column::read_id(
            "checkpoints.attempt_id",
            &row.attempt_id,
            AttemptId::from_uuid,
        )?,
        n: column::read_small("checkpoints.n", row.n)?,
        commit: row.commit_hash,
        tree: row.tree,
        uncommitted_files: files,
        output_bytes: column::read_count("checkpoints.output_bytes", row.output_bytes)?,
        note: row.note,
        at: column::read_time("checkpoints.at", &row.at)?,
    })
}

/// Adds a checkpoint.
pub(crate) async fn insert(
    conn: &mut SqliteConnection,
    checkpoint: &Checkpoint,
) -> Result<(), RowError> {
    sqlx::query(concat!(
        "INSERT INTO checkpoints (",
        columns!(),
        ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ))
    .bind(column::id(checkpoint.id.as_uuid()))
    .bind(column::id(checkpoint.mission_id.as_uuid()))
    .bind(column::id(checkpoint.attempt_id.as_uuid()))
    .bind(i64::from(checkpoint.n))
    .bind(&checkpoint.commit)
    .bind(&checkpoint.tree)
    .bind(column::count(checkpoint.uncommitted_files))
    .bind(column::count(checkpoint.output_bytes))
    .bind(&checkpoint.note)
    .bind(column::time(checkpoint.at))
    .execute(conn)
    .await?;
    Ok(())
}

/// One checkpoint.
pub(crate) async fn get(
    conn: &mut SqliteConnection,
    id: CheckpointId,
) -> Result<Option<Checkpoint>, RowError> {
    let sql = concat!("SELECT ", columns!(), " FROM checkpoints WHERE id = ?");
    query::one(conn, sql, id.as_uuid(), read).await
}

/// The checkpoints of an attempt, oldest first.
pub(crate) async fn of_attempt(
    conn: &mut SqliteConnection,
    id: AttemptId,
) -> Result<Vec<Checkpoint>, RowError> {
    let sql = concat!("SELECT ", columns!(), " FROM checkpoints WHERE attempt_id = ? ORDER BY n");
    query::all_of(conn, sql, id.as_uuid(), read).await
}

/// The checkpoints of a mission, oldest first.
pub(crate) async fn of_mission(
    conn: &mut SqliteConnection,
    id: MissionId,
) -> Result<Vec<Checkpoint>, RowError> {
    let sql = concat!("SELECT ", columns!(), " FROM checkpoints WHERE mission_id = ? ORDER BY id");
    query::all_of(conn, sql, id.as_uuid(), read).await
}
