//! The table `devlogs`.
//!
//! Tested in `tests/ledger/commit.rs` and by the replay in `tests/ledger/replay.rs`.

use jiff::Timestamp;
use model::devlog::Devlog;
use model::id::{AgentId, AttemptId, DevlogId, MissionId};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::{collect, like};
use crate::ledger::query;

/// Which devlogs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DevlogFilter {
    /// Only those of this mission.
    pub mission_id: Option<MissionId>,
    /// Only those of this agent.
    pub agent_id: Option<AgentId>,
    /// Only those written at or after this time.
    pub from: Option<Timestamp>,
    /// Only those written before this time.
    pub to: Option<Timestamp>,
    /// Only those with this text in them; the case of ASCII letters does not matter.
    pub text: Option<String>,
    /// Where to go on, from the page before.
    pub cursor: Option<String>,
    /// How many, at most [`crate::ledger::PAGE_ROWS_MAX`].
    pub limit: u32,
}

/// A place in the list of devlogs: time, then id.
pub(crate) type Place = (Timestamp, DevlogId);

#[derive(sqlx::FromRow)]
struct DevlogRow {
    id: Vec<u8>,
    mission_id: Vec<u8>,
    short_id: String,
    attempt_id: Option<Vec<u8>>,
    agent_id: Option<Vec<u8>>,
    title: String,
    markdown: String,
    demo: bool,
    at: String,
}

macro_rules! columns {
    () => {
        "id, mission_id, short_id, attempt_id, agent_id, title, markdown, demo, at"
    };
}

fn read(row: DevlogRow) -> Result<Devlog, RowError> {
    Ok(Devlog {
        id: column::read_id("devlogs.id", &row.id, DevlogId::from_uuid)?,
        mission_id: column::read_id("devlogs.mission_id", &row.mission_id, MissionId::from_uuid)?,
        short_id: column::read_word("devlogs.short_id", row.short_id)?,
        attempt_id: column::read_id_opt(
            "devlogs.attempt_id",
            row.attempt_id.as_deref(),
            AttemptId::from_uuid,
        )?,
        agent_id: column::read_id_opt(
            "devlogs.agent_id",
            row.agent_id.as_deref(),
            AgentId::from_uuid,
        )?,
        title: row.title,
        markdown: row.markdown,
        demo: row.demo,
        at: column::read_time("devlogs.at", &row.at)?,
    })
}

/// Adds a devlog.
pub(crate) async fn insert(conn: &mut SqliteConnection, devlog: &Devlog) -> Result<(), RowError> {
    sqlx::query(concat!(
        "INSERT INTO devlogs (",
        columns!(),
        ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ))
    .bind(column::id(devlog.id.as_uuid()))
    .bind(column::id(devlog.mission_id.as_uuid()))
    .bind(devlog.short_id.as_str())
    .bind(devlog.attempt_id.map(|id| column::id(id.as_uuid())))
    .bind(devlog.agent_id.map(|id| column::id(id.as_uuid())))
    .bind(&devlog.title)
    .bind(&devlog.markdown)
    .bind(devlog.demo)
    .bind(column::time(devlog.at))
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks a devlog as removed; says whether it was there.
pub(crate) async fn remove(
    conn: &mut SqliteConnection,
    id: DevlogId,
    seq: u64,
) -> Result<bool, RowError> {
    let done =
        sqlx::query("UPDATE devlogs SET removed_seq = ? WHERE id = ? AND removed_seq IS NULL")
            .bind(column::count(seq))
            .bind(column::id(id.as_uuid()))
            .execute(conn)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// One devlog that is not removed.
pub(crate) async fn get(
    conn: &mut SqliteConnection,
    id: DevlogId,
) -> Result<Option<Devlog>, RowError> {
    let sql = concat!("SELECT ", columns!(), " FROM devlogs WHERE id = ? AND removed_seq IS NULL");
    query::one(conn, sql, id.as_uuid(), read).await
}

/// Devlogs that match, newest first, at most `limit`.
pub(crate) async fn list(
    conn: &mut SqliteConnection,
    filter: &DevlogFilter,
    before: Option<Place>,
    limit: usize,
) -> Result<Vec<Devlog>, RowError> {
    let mut query = QueryBuilder::<Sqlite>::new(concat!(
        "SELECT ",
        columns!(),
        " FROM devlogs WHERE removed_seq IS NULL"
    ));
    query::narrow(&mut query, " AND mission_id = ", filter.mission_id.map(MissionId::as_uuid));
    query::narrow(&mut query, " AND agent_id = ", filter.agent_id.map(AgentId::as_uuid));
    if let Some(from) = filter.from {
        query.push(" AND at >= ").push_bind(column::time(from));
    }
    if let Some(to) = filter.to {
        query.push(" AND at < ").push_bind(column::time(to));
    }
    if let Some(text) = filter.text.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        // The title and the short id stand in the entry as well.
        query.push(" AND markdown LIKE ").push_bind(like(text));
        query.push(" ESCAPE '\\'");
    }
    if let Some((at, id)) = before {
        query.push(" AND (at, id) < (").push_bind(column::time(at));
        query.push(", ").push_bind(column::id(id.as_uuid()));
        query.push(")");
    }
    query.push(" ORDER BY at DESC, id DESC LIMIT ");
    query.push_bind(limit as i64);
    collect(query.build_query_as().fetch_all(conn).await?, read)
}

/// Writes a place as a cursor.
pub(crate) fn cursor(devlog: &Devlog) -> String {
    format!("{}~{}", column::time(devlog.at), devlog.id)
}

/// Reads a cursor back.
pub(crate) fn place(cursor: &str) -> Option<Place> {
    let (at, id) = cursor.split_once('~')?;
    Some((at.parse().ok()?, id.parse().ok()?))
}
