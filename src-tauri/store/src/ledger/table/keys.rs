//! What tokens and logins have in common: whether there ever was one, and when each was used last.
//!
//! Tested in `tests/ledger/tokens.rs` and `tests/ledger/logins.rs`.

use jiff::Timestamp;
use model::id::{LoginId, TokenId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::ledger::column;
use crate::ledger::error::RowError;

/// A key, by its id.
pub(crate) trait Key: Copy {
    /// Asks for one.
    const KNOWN: &'static str;
    /// Notes a use, unless a later one is noted, or there is no such key.
    const USED: &'static str;
    /// Its id as it stands in the tables.
    fn id(self) -> Uuid;
}

impl Key for TokenId {
    const KNOWN: &'static str = "SELECT 1 FROM tokens WHERE id = ?";
    const USED: &'static str = "INSERT INTO token_uses (token_id, at) \
        SELECT id, ? FROM tokens WHERE id = ? ON CONFLICT (token_id) \
        DO UPDATE SET at = excluded.at WHERE excluded.at > token_uses.at";

    fn id(self) -> Uuid {
        self.as_uuid()
    }
}

impl Key for LoginId {
    const KNOWN: &'static str = "SELECT 1 FROM logins WHERE id = ?";
    const USED: &'static str = "INSERT INTO login_uses (login_id, at) \
        SELECT id, ? FROM logins WHERE id = ? ON CONFLICT (login_id) \
        DO UPDATE SET at = excluded.at WHERE excluded.at > login_uses.at";

    fn id(self) -> Uuid {
        self.as_uuid()
    }
}

/// Whether there ever was such a key.
pub(crate) async fn is_known<K: Key>(
    conn: &mut SqliteConnection,
    key: K,
) -> Result<bool, RowError> {
    let found: Option<i64> =
        sqlx::query_scalar(K::KNOWN).bind(column::id(key.id())).fetch_optional(conn).await?;
    Ok(found.is_some())
}

/// Notes when keys were used; a use that is older than the one that is noted changes nothing.
pub(crate) async fn note_uses<K: Key>(
    conn: &mut SqliteConnection,
    uses: &[(K, Timestamp)],
) -> Result<(), RowError> {
    for (key, at) in uses {
        sqlx::query(K::USED)
            .bind(column::time(*at))
            .bind(column::id(key.id()))
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// The most keys of one kind that are compared: more than there can be.
const STANDING_MAX: i64 = 100_000;

/// A key that is good.
#[derive(sqlx::FromRow)]
pub(crate) struct Standing {
    id: Vec<u8>,
    /// The name of a token, or what a browser calls itself.
    pub(crate) name: String,
}

impl Standing {
    /// Its id.
    pub(crate) fn id<K>(&self, wrap: fn(Uuid) -> K) -> Result<K, RowError> {
        column::read_id("id", &self.id, wrap)
    }
}

/// The tokens that are good at a time. It asks for what every version of the tables has.
pub(crate) async fn good_tokens(
    conn: &mut SqliteConnection,
    now: Timestamp,
) -> Result<Vec<Standing>, RowError> {
    let sql = "SELECT id, name FROM tokens \
               WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?) LIMIT ?";
    standing(conn, sql, now).await
}

/// The logins that are good at a time, likewise.
pub(crate) async fn good_logins(
    conn: &mut SqliteConnection,
    now: Timestamp,
) -> Result<Vec<Standing>, RowError> {
    let sql = "SELECT id, agent AS name FROM logins \
               WHERE ended_at IS NULL AND expires_at > ? LIMIT ?";
    standing(conn, sql, now).await
}

async fn standing(
    conn: &mut SqliteConnection,
    sql: &'static str,
    now: Timestamp,
) -> Result<Vec<Standing>, RowError> {
    Ok(sqlx::query_as(sql).bind(column::time(now)).bind(STANDING_MAX).fetch_all(conn).await?)
}
