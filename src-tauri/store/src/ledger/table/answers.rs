//! The table `answers`: what was answered under an idempotency key, for a day.
//!
//! Tested here and in `tests/ledger/commit.rs`.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sqlx::SqliteConnection;

use crate::ledger::change::{ANSWER_KEPT_H, StoredAnswer};
use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::stroke::{Rows, Stroke, values};

/// Answers removed at once, so that pruning never holds the writer for long.
const PRUNED_AT_ONCE: i64 = 1_000;

fn oldest_kept_ms(now: Timestamp) -> i64 {
    now.as_millisecond() - ANSWER_KEPT_H * 3_600_000
}

/// The answer under a key, unless it is too old.
pub(crate) async fn get(
    conn: &mut SqliteConnection,
    key: &str,
    now: Timestamp,
) -> Result<Option<StoredAnswer>, RowError> {
    let row: Option<(Vec<u8>, String)> =
        sqlx::query_as("SELECT fingerprint, body FROM answers WHERE key = ? AND kept_at_ms > ?")
            .bind(key)
            .bind(oldest_kept_ms(now))
            .fetch_optional(conn)
            .await?;
    row.map(|(fingerprint, body)| read(key.to_owned(), &fingerprint, &body)).transpose()
}

/// The answers under these keys, unless they are too old.
pub(crate) async fn get_all(
    conn: &mut SqliteConnection,
    keys: &HashSet<&str>,
    now: Timestamp,
) -> Result<HashMap<String, StoredAnswer>, RowError> {
    let rows: Vec<(String, Vec<u8>, String)> = sqlx::query_as(
        "SELECT key, fingerprint, body FROM answers \
         WHERE kept_at_ms > ? AND key IN (SELECT value FROM json_each(?))",
    )
    .bind(oldest_kept_ms(now))
    .bind(column::json("answers.key", keys)?)
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|(key, fingerprint, body)| {
            let answer = read(key, &fingerprint, &body)?;
            Ok((answer.key.clone(), answer))
        })
        .collect()
}

fn read(key: String, fingerprint: &[u8], body: &str) -> Result<StoredAnswer, RowError> {
    let fingerprint = fingerprint.try_into().map_err(|error: std::array::TryFromSliceError| {
        RowError::unreadable("answers.fingerprint", error)
    })?;
    Ok(StoredAnswer { key, fingerprint, body: column::read_json("answers.body", body)? })
}

static PUT: Rows = Rows {
    head: "INSERT OR REPLACE INTO answers (key, fingerprint, body, kept_at_ms) VALUES ",
    columns: 4,
    tail: "",
    exact: true,
};

/// Keeps an answer.
pub(crate) fn put(answer: &StoredAnswer, now: Timestamp) -> Result<Stroke, RowError> {
    let values = values![
        &answer.key,
        answer.fingerprint.to_vec(),
        column::json("answers.body", &answer.body)?,
        now.as_millisecond(),
    ];
    Ok(Stroke { rows: &PUT, subject: None, values })
}

/// Removes some of the answers that are too old; says whether there may be more of them.
pub(crate) async fn prune(conn: &mut SqliteConnection, now: Timestamp) -> Result<bool, RowError> {
    let removed = sqlx::query(
        "DELETE FROM answers WHERE key IN \
         (SELECT key FROM answers WHERE kept_at_ms <= ? ORDER BY kept_at_ms LIMIT ?)",
    )
    .bind(oldest_kept_ms(now))
    .bind(PRUNED_AT_ONCE)
    .execute(conn)
    .await?;
    Ok(removed.rows_affected() >= PRUNED_AT_ONCE as u64)
}

#[cfg(test)]
mod tests {
    use model::clock::{Clock as _, SystemClock};
    use sqlx::Connection as _;

    use super::*;

    #[tokio::test]
    async fn removing_old_answers_goes_on_until_none_is_left_and_keeps_the_others() {
        let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        crate::ledger::open::MIGRATOR.run(&mut conn).await.unwrap();
        let now = SystemClock.now();
        let old = now - jiff::SignedDuration::from_hours(ANSWER_KEPT_H);
        for n in 0..PRUNED_AT_ONCE + 2 {
            let at = if n == 0 { now } else { old };
            let (key, body) = (format!("k-{n}"), serde_json::Value::Null);
            let answer = StoredAnswer { key, fingerprint: [0; 32], body };
            put(&answer, at).unwrap().write(&mut conn).await.unwrap();
        }
        assert!(prune(&mut conn, now).await.unwrap(), "one is left");
        assert!(!prune(&mut conn, now).await.unwrap());
        let left: Vec<String> =
            sqlx::query_scalar("SELECT key FROM answers").fetch_all(&mut conn).await.unwrap();
        assert_eq!(left, ["k-0"]);
    }
}
