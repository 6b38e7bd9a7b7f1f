//! The tables `tokens` and `token_uses`: keys without their secrets, and when each was used last.
//!
//! Tested in `tests/ledger/tokens.rs` and by the replay in `tests/ledger/replay.rs`.

use jiff::Timestamp;
use model::id::TokenId;
use model::token::AccessToken;
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::collect;

/// A token with what it is recognised by, and its last use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptToken {
    /// The token.
    pub token: AccessToken,
    /// The SHA-256 of its secret.
    pub hash: [u8; 32],
    /// When it was used last, to within a minute; nothing when it never was.
    pub used_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    id: Vec<u8>,
    name: String,
    prefix: String,
    hash: Vec<u8>,
    role: String,
    scopes: String,
    made_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    used_at: Option<String>,
}

fn read(row: TokenRow) -> Result<KeptToken, RowError> {
    let hash = column::read_hash("tokens.hash", row.hash)?;
    let token = AccessToken {
        id: column::read_id("tokens.id", &row.id, TokenId::from_uuid)?,
        name: row.name,
        prefix: row.prefix,
        role: column::read_word("tokens.role", row.role)?,
        scopes: column::read_json("tokens.scopes", &row.scopes)?,
        made_at: column::read_time("tokens.made_at", &row.made_at)?,
        expires_at: column::read_time_opt("tokens.expires_at", row.expires_at.as_deref())?,
        revoked_at: column::read_time_opt("tokens.revoked_at", row.revoked_at.as_deref())?,
    };
    let used_at = column::read_time_opt("token_uses.at", row.used_at.as_deref())?;
    Ok(KeptToken { token, hash, used_at })
}

/// Adds a token.
pub(crate) async fn insert(
    conn: &mut SqliteConnection,
    token: &AccessToken,
    hash: &str,
) -> Result<(), RowError> {
    sqlx::query(
        "INSERT INTO tokens (id, name, prefix, hash, role, scopes, made_at, expires_at, \
         revoked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(column::id(token.id.as_uuid()))
    .bind(&token.name)
    .bind(&token.prefix)
    .bind(column::hash("token_made.hash", hash)?)
    .bind(column::word("tokens.role", &token.role)?)
    .bind(column::json("tokens.scopes", &token.scopes)?)
    .bind(column::time(token.made_at))
    .bind(token.expires_at.map(column::time))
    .bind(token.revoked_at.map(column::time))
    .execute(conn)
    .await?;
    Ok(())
}

/// Revokes a token; says whether it stood.
pub(crate) async fn revoke(
    conn: &mut SqliteConnection,
    id: TokenId,
    at: Timestamp,
) -> Result<bool, RowError> {
    let sql = "UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL";
    let done = sqlx::query(sql)
        .bind(column::time(at))
        .bind(column::id(id.as_uuid()))
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether a token was ever made.
pub(crate) async fn is_known(conn: &mut SqliteConnection, id: TokenId) -> Result<bool, RowError> {
    let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM tokens WHERE id = ?")
        .bind(column::id(id.as_uuid()))
        .fetch_optional(conn)
        .await?;
    Ok(found.is_some())
}

/// Notes when tokens were used; a use that is older than the one that is noted changes nothing.
pub(crate) async fn note_uses(
    conn: &mut SqliteConnection,
    uses: &[(TokenId, Timestamp)],
) -> Result<(), RowError> {
    for (id, at) in uses {
        sqlx::query(
            "INSERT INTO token_uses (token_id, at) SELECT id, ? FROM tokens WHERE id = ? \
             ON CONFLICT (token_id) DO UPDATE SET at = excluded.at \
             WHERE excluded.at > token_uses.at",
        )
        .bind(column::time(*at))
        .bind(column::id(id.as_uuid()))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// The tokens, newest first; those that were revoked only where they are asked for.
pub(crate) async fn list(
    conn: &mut SqliteConnection,
    revoked: bool,
    limit: usize,
) -> Result<Vec<KeptToken>, RowError> {
    let rows = sqlx::query_as(
        "SELECT t.id, t.name, t.prefix, t.hash, t.role, t.scopes, t.made_at, t.expires_at, \
         t.revoked_at, u.at AS used_at FROM tokens t LEFT JOIN token_uses u ON u.token_id = t.id \
         WHERE t.revoked_at IS NULL OR ? ORDER BY t.id DESC LIMIT ?",
    )
    .bind(revoked)
    .bind(limit as i64)
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}

/// One token, whether or not it was revoked.
pub(crate) async fn get(
    conn: &mut SqliteConnection,
    id: TokenId,
) -> Result<Option<KeptToken>, RowError> {
    let row = sqlx::query_as(
        "SELECT t.id, t.name, t.prefix, t.hash, t.role, t.scopes, t.made_at, t.expires_at, \
         t.revoked_at, u.at AS used_at FROM tokens t LEFT JOIN token_uses u ON u.token_id = t.id \
         WHERE t.id = ?",
    )
    .bind(column::id(id.as_uuid()))
    .fetch_optional(conn)
    .await?;
    row.map(read).transpose()
}
