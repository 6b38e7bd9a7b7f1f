//! The table `cursors`: how far each follower of the log has come.
//!
//! Tested in `tests/ledger/commit.rs`.

use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;

/// Where a follower stands; 0 before its first step.
pub(crate) async fn get(conn: &mut SqliteConnection, name: &str) -> Result<u64, RowError> {
    let seq: Option<i64> = sqlx::query_scalar("SELECT seq FROM cursors WHERE name = ?")
        .bind(name)
        .fetch_optional(conn)
        .await?;
    column::read_count("cursors.seq", seq.unwrap_or(0))
}

/// Moves a follower forward; says whether `seq` is beyond where it stands.
pub(crate) async fn advance(
    conn: &mut SqliteConnection,
    name: &str,
    seq: u64,
) -> Result<bool, RowError> {
    let done = sqlx::query(
        "INSERT INTO cursors (name, seq) VALUES (?, ?) \
         ON CONFLICT (name) DO UPDATE SET seq = excluded.seq WHERE excluded.seq > cursors.seq",
    )
    .bind(name)
    .bind(column::count(seq))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
