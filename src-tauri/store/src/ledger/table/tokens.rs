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

/// Tokens with their last use, and which of them.
macro_rules! selected {
    ($which:literal) => {
        concat!(
            "SELECT t.id, t.name, t.prefix, t.hash, t.role, t.scopes, t.made_at, t.expires_at, \
             t.revoked_at, t.made_by, u.at AS used_at \
             FROM tokens t LEFT JOIN token_uses u ON u.token_id = t.id ",
            $which
        )
    };
}

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
    made_by: Option<String>,
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
        made_by: column::read_json_opt("tokens.made_by", row.made_by.as_deref())?,
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
         revoked_at, made_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
    .bind(column::json_opt("tokens.made_by", token.made_by.as_ref())?)
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

/// The tokens, newest first; those that were revoked only where they are asked for.
pub(crate) async fn list(
    conn: &mut SqliteConnection,
    revoked: bool,
    limit: usize,
) -> Result<Vec<KeptToken>, RowError> {
    let sql = selected!("WHERE t.revoked_at IS NULL OR ? ORDER BY t.id DESC LIMIT ?");
    let rows = sqlx::query_as(sql).bind(revoked).bind(limit as i64).fetch_all(conn).await?;
    collect(rows, read)
}

/// One token, whether or not it was revoked.
pub(crate) async fn get(
    conn: &mut SqliteConnection,
    id: TokenId,
) -> Result<Option<KeptToken>, RowError> {
    let sql = selected!("WHERE t.id = ?");
    let row = sqlx::query_as(sql).bind(column::id(id.as_uuid())).fetch_optional(conn).await?;
    row.map(read).transpose()
}
