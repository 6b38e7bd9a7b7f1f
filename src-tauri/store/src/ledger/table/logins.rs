//! The tables `logins` and `login_uses`: browsers that signed in, and when each was used last.
//!
//! Tested in `tests/ledger/logins.rs` and by the replay in `tests/ledger/replay.rs`.

use jiff::Timestamp;
use model::id::{LoginId, TokenId};
use model::login::{Login, LoginEnd, LoginEnded};
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::collect;

/// A login with what it is recognised by, and its last use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLogin {
    /// The login.
    pub login: Login,
    /// The SHA-256 of what its cookie holds.
    pub cookie_hash: [u8; 32],
    /// The SHA-256 of what its page holds.
    pub page_hash: [u8; 32],
    /// When it was used last, to within a minute; nothing when it never was.
    pub used_at: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct LoginRow {
    id: Vec<u8>,
    cookie_hash: Vec<u8>,
    page_hash: Vec<u8>,
    via: String,
    token_id: Option<Vec<u8>>,
    made_by: Option<Vec<u8>>,
    origin: String,
    from_address: Option<String>,
    agent: String,
    made_at: String,
    expires_at: String,
    ended_at: Option<String>,
    ended_why: Option<String>,
    used_at: Option<String>,
}

fn read(row: LoginRow) -> Result<KeptLogin, RowError> {
    let ended_at = column::read_time_opt("logins.ended_at", row.ended_at.as_deref())?;
    let ended = match (ended_at, row.ended_why) {
        (Some(at), Some(why)) => {
            Some(LoginEnded { at, why: column::read_word("logins.ended_why", why)? })
        }
        _ => None,
    };
    let (token_id, made_by) = (row.token_id.as_deref(), row.made_by.as_deref());
    let login = Login {
        id: column::read_id("logins.id", &row.id, LoginId::from_uuid)?,
        via: column::read_word("logins.via", row.via)?,
        token_id: column::read_id_opt("logins.token_id", token_id, TokenId::from_uuid)?,
        made_by: column::read_id_opt("logins.made_by", made_by, LoginId::from_uuid)?,
        origin: row.origin,
        from: row.from_address,
        agent: row.agent,
        made_at: column::read_time("logins.made_at", &row.made_at)?,
        expires_at: column::read_time("logins.expires_at", &row.expires_at)?,
        ended,
    };
    Ok(KeptLogin {
        login,
        cookie_hash: column::read_hash("logins.cookie_hash", row.cookie_hash)?,
        page_hash: column::read_hash("logins.page_hash", row.page_hash)?,
        used_at: column::read_time_opt("login_uses.at", row.used_at.as_deref())?,
    })
}

/// Adds a login.
pub(crate) async fn insert(
    conn: &mut SqliteConnection,
    login: &Login,
    cookie_hash: &str,
    page_hash: &str,
) -> Result<(), RowError> {
    let ended = login.ended.as_ref();
    let why = ended.map(|ended| column::word("logins.ended_why", &ended.why)).transpose()?;
    sqlx::query(
        "INSERT INTO logins (id, cookie_hash, page_hash, via, token_id, origin, from_address, \
         agent, made_at, expires_at, ended_at, ended_why, made_by) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(column::id(login.id.as_uuid()))
    .bind(column::hash("logged_in.cookie_hash", cookie_hash)?)
    .bind(column::hash("logged_in.page_hash", page_hash)?)
    .bind(column::word("logins.via", &login.via)?)
    .bind(login.token_id.map(|id| column::id(id.as_uuid())))
    .bind(&login.origin)
    .bind(&login.from)
    .bind(&login.agent)
    .bind(column::time(login.made_at))
    .bind(column::time(login.expires_at))
    .bind(ended.map(|ended| column::time(ended.at)))
    .bind(why)
    .bind(login.made_by.map(|id| column::id(id.as_uuid())))
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a login; says whether it stood.
pub(crate) async fn end(
    conn: &mut SqliteConnection,
    id: LoginId,
    at: Timestamp,
    why: LoginEnd,
) -> Result<bool, RowError> {
    let sql = "UPDATE logins SET ended_at = ?, ended_why = ? WHERE id = ? AND ended_at IS NULL";
    let done = sqlx::query(sql)
        .bind(column::time(at))
        .bind(column::word("logins.ended_why", &why)?)
        .bind(column::id(id.as_uuid()))
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends the logins of a token.
pub(crate) async fn end_of_token(
    conn: &mut SqliteConnection,
    id: TokenId,
    at: Timestamp,
) -> Result<(), RowError> {
    let sql =
        "UPDATE logins SET ended_at = ?, ended_why = ? WHERE token_id = ? AND ended_at IS NULL";
    sqlx::query(sql)
        .bind(column::time(at))
        .bind(column::word("logins.ended_why", &LoginEnd::TokenRevoked)?)
        .bind(column::id(id.as_uuid()))
        .execute(conn)
        .await?;
    Ok(())
}

/// The logins that stand at a time, newest first; those that came to their end only where they are
/// asked for.
pub(crate) async fn list(
    conn: &mut SqliteConnection,
    now: Timestamp,
    ended: bool,
    limit: usize,
) -> Result<Vec<KeptLogin>, RowError> {
    let rows = sqlx::query_as(
        "SELECT l.id, l.cookie_hash, l.page_hash, l.via, l.token_id, l.origin, l.from_address, \
         l.agent, l.made_at, l.expires_at, l.ended_at, l.ended_why, l.made_by, u.at AS used_at \
         FROM logins l LEFT JOIN login_uses u ON u.login_id = l.id \
         WHERE (l.ended_at IS NULL AND l.expires_at > ?) OR ? ORDER BY l.made_at DESC, l.id DESC LIMIT ?",
    )
    .bind(column::time(now))
    .bind(ended)
    .bind(limit as i64)
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}
