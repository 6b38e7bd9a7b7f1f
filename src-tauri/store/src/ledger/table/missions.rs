//! The table `missions`.
//!
//! Tested in `tests/ledger/commit.rs` and by the replay in `tests/ledger/replay.rs`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use model::event::Fact;
use model::id::{AgentId, MissionId, ShortId};
use model::mission::{Mission, MissionState};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::{collect, like, push_list};

/// Which missions to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissionFilter {
    /// Only these states; empty means all.
    pub states: Vec<MissionState>,
    /// Only those the captain gave to this agent.
    pub agent: Option<AgentId>,
    /// Only those with this text in their title or short id, whatever the case.
    pub text: Option<String>,
    /// Where to go on, from the page before.
    pub cursor: Option<String>,
    /// How many, at most [`crate::ledger::PAGE_ROWS_MAX`].
    pub limit: u32,
}

#[derive(sqlx::FromRow)]
struct MissionRow {
    id: Vec<u8>,
    short_id: String,
    title: String,
    state: String,
    note: Option<String>,
    priority: String,
    policy: String,
    agent_id: Option<Vec<u8>>,
    repository: Option<String>,
    gates: String,
    retries_max: i64,
    attempts: i64,
    tries: i64,
    grade: String,
    demo: bool,
    created_at: String,
    updated_at: String,
}

macro_rules! columns {
    () => {
        "id, short_id, title, state, note, priority, policy, agent_id, repository, gates, \
         retries_max, attempts, tries, grade, demo, created_at, updated_at"
    };
}

fn read(row: MissionRow) -> Result<Mission, RowError> {
    Ok(Mission {
        id: column::read_id("missions.id", &row.id, MissionId::from_uuid)?,
        short_id: column::read_word("missions.short_id", row.short_id)?,
        title: row.title,
        state: column::read_word("missions.state", row.state)?,
        note: row.note,
        priority: column::read_word("missions.priority", row.priority)?,
        policy: column::read_word("missions.policy", row.policy)?,
        agent: column::read_id_opt(
            "missions.agent_id",
            row.agent_id.as_deref(),
            AgentId::from_uuid,
        )?,
        repository: row.repository,
        gates: column::read_json("missions.gates", &row.gates)?,
        retries_max: column::read_small("missions.retries_max", row.retries_max)?,
        attempts: column::read_small("missions.attempts", row.attempts)?,
        tries: column::read_small("missions.tries", row.tries)?,
        grade: column::read_word("missions.grade", row.grade)?,
        demo: row.demo,
        created_at: column::read_time("missions.created_at", &row.created_at)?,
        updated_at: column::read_time("missions.updated_at", &row.updated_at)?,
    })
}

/// Adds a mission.
pub(crate) async fn insert(
    conn: &mut SqliteConnection,
    mission: &Mission,
    brief: &str,
) -> Result<(), RowError> {
    sqlx::query(
        "INSERT INTO missions (id, short_id, title, title_key, state, note, priority, policy, \
         agent_id, repository, gates, retries_max, attempts, tries, grade, demo, created_at, \
         updated_at, brief) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(column::id(mission.id.as_uuid()))
    .bind(mission.short_id.as_str())
    .bind(&mission.title)
    .bind(mission.title.to_lowercase())
    .bind(mission.state.as_str())
    .bind(&mission.note)
    .bind(column::word("missions.priority", &mission.priority)?)
    .bind(column::word("missions.policy", &mission.policy)?)
    .bind(mission.agent.map(|id| column::id(id.as_uuid())))
    .bind(&mission.repository)
    .bind(column::json("missions.gates", &mission.gates)?)
    .bind(i64::from(mission.retries_max))
    .bind(i64::from(mission.attempts))
    .bind(i64::from(mission.tries))
    .bind(mission.grade.as_str())
    .bind(mission.demo)
    .bind(column::time(mission.created_at))
    .bind(column::time(mission.updated_at))
    .bind(brief)
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves a mission as a [`Fact::MissionMoved`] says; says whether it stood where it should.
pub(crate) async fn shift(
    conn: &mut SqliteConnection,
    fact: &Fact,
    at: Timestamp,
) -> Result<bool, RowError> {
    let Fact::MissionMoved { mission_id, from, to, note, grade, tries } = fact else {
        return Ok(false);
    };
    let done = sqlx::query(
        "UPDATE missions SET state = ?, note = ?, grade = ?, tries = ?, updated_at = ? \
         WHERE id = ? AND state = ?",
    )
    .bind(to.as_str())
    .bind(note)
    .bind(grade.as_str())
    .bind(i64::from(*tries))
    .bind(column::time(at))
    .bind(column::id(mission_id.as_uuid()))
    .bind(from.as_str())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Sets the chosen agent; says whether the mission was there.
pub(crate) async fn assign(
    conn: &mut SqliteConnection,
    id: MissionId,
    agent: Option<AgentId>,
    at: Timestamp,
) -> Result<bool, RowError> {
    let done = sqlx::query(
        "UPDATE missions SET agent_id = ?, updated_at = ? WHERE id = ? AND removed_seq IS NULL",
    )
    .bind(agent.map(|id| column::id(id.as_uuid())))
    .bind(column::time(at))
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Counts attempt `n`; says whether it is the one after the last.
pub(crate) async fn count_attempt(
    conn: &mut SqliteConnection,
    id: MissionId,
    n: u32,
    at: Timestamp,
) -> Result<bool, RowError> {
    let done = sqlx::query(
        "UPDATE missions SET attempts = ?1, updated_at = ?2 WHERE id = ?3 AND attempts = ?1 - 1",
    )
    .bind(i64::from(n))
    .bind(column::time(at))
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Marks a mission as removed; says whether it was there.
pub(crate) async fn remove(
    conn: &mut SqliteConnection,
    id: MissionId,
    seq: u64,
) -> Result<bool, RowError> {
    let done =
        sqlx::query("UPDATE missions SET removed_seq = ? WHERE id = ? AND removed_seq IS NULL")
            .bind(column::count(seq))
            .bind(column::id(id.as_uuid()))
            .execute(conn)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// One mission with its brief and whether it is removed.
pub(crate) async fn get(
    conn: &mut SqliteConnection,
    id: MissionId,
) -> Result<Option<(Mission, String, bool)>, RowError> {
    #[derive(sqlx::FromRow)]
    struct Found {
        #[sqlx(flatten)]
        row: MissionRow,
        brief: String,
        removed: bool,
    }
    let found: Option<Found> = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        ", brief, removed_seq IS NOT NULL AS removed FROM missions WHERE id = ?"
    ))
    .bind(column::id(id.as_uuid()))
    .fetch_optional(conn)
    .await?;
    found.map(|found| Ok((read(found.row)?, found.brief, found.removed))).transpose()
}

/// Where a mission stands, for the text of a conflict.
pub(crate) async fn state(
    conn: &mut SqliteConnection,
    id: MissionId,
) -> Result<Option<String>, RowError> {
    Ok(sqlx::query_scalar("SELECT state FROM missions WHERE id = ?")
        .bind(column::id(id.as_uuid()))
        .fetch_optional(conn)
        .await?)
}

/// Missions that match, newest first, at most `limit`. Each state walks its own index, so that the
/// cost does not grow with the missions of other states.
pub(crate) async fn list(
    conn: &mut SqliteConnection,
    filter: &MissionFilter,
    before: Option<MissionId>,
    limit: usize,
) -> Result<Vec<Mission>, RowError> {
    let mut states = filter.states.clone();
    states.sort_unstable();
    states.dedup();
    if states.is_empty() {
        return list_of(conn, filter, None, before, limit).await;
    }
    let mut all = Vec::new();
    for state in states {
        all.extend(list_of(conn, filter, Some(state), before, limit).await?);
    }
    all.sort_unstable_by_key(|mission| Reverse(mission.id));
    all.truncate(limit);
    Ok(all)
}

async fn list_of(
    conn: &mut SqliteConnection,
    filter: &MissionFilter,
    state: Option<MissionState>,
    before: Option<MissionId>,
    limit: usize,
) -> Result<Vec<Mission>, RowError> {
    let mut query = QueryBuilder::<Sqlite>::new(concat!(
        "SELECT ",
        columns!(),
        " FROM missions WHERE removed_seq IS NULL"
    ));
    if let Some(state) = state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
    if let Some(agent) = filter.agent {
        query.push(" AND agent_id = ");
        query.push_bind(column::id(agent.as_uuid()));
    }
    if let Some(before) = before {
        query.push(" AND id < ");
        query.push_bind(column::id(before.as_uuid()));
    }
    if let Some(text) = filter.text.as_deref().map(str::trim).filter(|t| !t.is_empty()) {
        let pattern = like(&text.to_lowercase());
        query.push(" AND (title_key LIKE ").push_bind(pattern.clone());
        query.push(" ESCAPE '\\' OR short_id LIKE ").push_bind(pattern);
        query.push(" ESCAPE '\\')");
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit as i64);
    collect(query.build_query_as().fetch_all(conn).await?, read)
}

/// The missions with these ids, removed ones included, in no particular order.
pub(crate) async fn by_id(
    conn: &mut SqliteConnection,
    ids: &[MissionId],
) -> Result<Vec<Mission>, RowError> {
    let mut found = Vec::with_capacity(ids.len());
    for some in ids.chunks(500) {
        let mut query = QueryBuilder::<Sqlite>::new(concat!(
            "SELECT ",
            columns!(),
            " FROM missions WHERE id IN ("
        ));
        push_list(&mut query, some.iter().map(|id| column::id(id.as_uuid())));
        query.push(")");
        found.extend(collect(query.build_query_as().fetch_all(&mut *conn).await?, read)?);
    }
    Ok(found)
}

/// Missions whose short id begins with `prefix`, as [`ShortId::normalise`] writes it.
pub(crate) async fn find(
    conn: &mut SqliteConnection,
    prefix: &str,
    limit: usize,
) -> Result<Vec<Mission>, RowError> {
    // Every character of a short id sorts before '~', so this is the range of the prefix.
    let rows = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM missions WHERE short_id >= ?1 AND short_id < ?1 || '~' AND removed_seq IS NULL \
         ORDER BY short_id LIMIT ?2"
    ))
    .bind(prefix)
    .bind(limit as i64)
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}

/// Whether a short id was ever given, even to a mission since removed.
pub(crate) async fn short_id_taken(
    conn: &mut SqliteConnection,
    short: &ShortId,
) -> Result<bool, RowError> {
    let taken = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM missions WHERE short_id = ?)")
        .bind(short.as_str())
        .fetch_one(conn)
        .await?;
    Ok(taken)
}

/// Every mission that is not in a final state, oldest first.
pub(crate) async fn unfinished(conn: &mut SqliteConnection) -> Result<Vec<Mission>, RowError> {
    let rows = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM missions WHERE removed_seq IS NULL \
         AND state NOT IN ('done', 'failed', 'cancelled') ORDER BY id"
    ))
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}

/// How many missions stand in each state.
pub(crate) async fn counts(
    conn: &mut SqliteConnection,
) -> Result<BTreeMap<MissionState, u64>, RowError> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT state, COUNT(*) FROM missions WHERE removed_seq IS NULL GROUP BY state",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|(state, count)| {
            let state = column::read_word("missions.state", state)?;
            Ok((state, column::read_count("missions", count)?))
        })
        .collect()
}
