//! The table `agents`.
//!
//! Tested in `tests/ledger/commit.rs` and by the replay in `tests/ledger/replay.rs`.

use model::agent::Agent;
use model::id::AgentId;
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::collect;

#[derive(sqlx::FromRow)]
struct AgentRow {
    id: Vec<u8>,
    name: String,
    role: String,
    skills: String,
    runtime: String,
    directory: Option<String>,
    grace_s: i64,
    conduct: String,
    paused: bool,
    demo: bool,
    created_at: String,
}

macro_rules! columns {
    () => {
        "id, name, role, skills, runtime, directory, grace_s, conduct, paused, demo, created_at"
    };
}

fn read(row: AgentRow) -> Result<Agent, RowError> {
    Ok(Agent {
        id: column::read_id("agents.id", &row.id, AgentId::from_uuid)?,
        name: row.name,
        role: row.role,
        skills: column::read_json("agents.skills", &row.skills)?,
        runtime: column::read_json("agents.runtime", &row.runtime)?,
        directory: row.directory,
        grace_s: column::read_small("agents.grace_s", row.grace_s)?,
        conduct: column::read_json("agents.conduct", &row.conduct)?,
        paused: row.paused,
        demo: row.demo,
        created_at: column::read_time("agents.created_at", &row.created_at)?,
    })
}

/// Adds an agent.
pub(crate) async fn insert(conn: &mut SqliteConnection, agent: &Agent) -> Result<(), RowError> {
    sqlx::query(
        "INSERT INTO agents (name, name_key, role, skills, runtime, directory, grace_s, conduct, \
         paused, demo, created_at, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&agent.name)
    .bind(agent.name.to_lowercase())
    .bind(&agent.role)
    .bind(column::json("agents.skills", &agent.skills)?)
    .bind(column::json("agents.runtime", &agent.runtime)?)
    .bind(&agent.directory)
    .bind(i64::from(agent.grace_s))
    .bind(column::json("agents.conduct", &agent.conduct)?)
    .bind(agent.paused)
    .bind(agent.demo)
    .bind(column::time(agent.created_at))
    .bind(column::id(agent.id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(())
}

/// Replaces an agent; says whether it was there.
pub(crate) async fn update(conn: &mut SqliteConnection, agent: &Agent) -> Result<bool, RowError> {
    let done = sqlx::query(
        "UPDATE agents SET name = ?, name_key = ?, role = ?, skills = ?, runtime = ?, \
         directory = ?, grace_s = ?, conduct = ?, paused = ?, demo = ?, created_at = ? \
         WHERE id = ? AND removed_seq IS NULL",
    )
    .bind(&agent.name)
    .bind(agent.name.to_lowercase())
    .bind(&agent.role)
    .bind(column::json("agents.skills", &agent.skills)?)
    .bind(column::json("agents.runtime", &agent.runtime)?)
    .bind(&agent.directory)
    .bind(i64::from(agent.grace_s))
    .bind(column::json("agents.conduct", &agent.conduct)?)
    .bind(agent.paused)
    .bind(agent.demo)
    .bind(column::time(agent.created_at))
    .bind(column::id(agent.id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Marks an agent as removed; says whether it was there.
pub(crate) async fn remove(
    conn: &mut SqliteConnection,
    id: AgentId,
    seq: u64,
) -> Result<bool, RowError> {
    let done =
        sqlx::query("UPDATE agents SET removed_seq = ? WHERE id = ? AND removed_seq IS NULL")
            .bind(column::count(seq))
            .bind(column::id(id.as_uuid()))
            .execute(conn)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Every agent that is not removed, by name.
pub(crate) async fn all(conn: &mut SqliteConnection) -> Result<Vec<Agent>, RowError> {
    let rows = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM agents WHERE removed_seq IS NULL ORDER BY name_key"
    ))
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}

/// One agent, even a removed one.
pub(crate) async fn get(
    conn: &mut SqliteConnection,
    id: AgentId,
) -> Result<Option<(Agent, bool)>, RowError> {
    #[derive(sqlx::FromRow)]
    struct Found {
        #[sqlx(flatten)]
        row: AgentRow,
        removed: bool,
    }
    let found: Option<Found> = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        ", removed_seq IS NOT NULL AS removed FROM agents WHERE id = ?"
    ))
    .bind(column::id(id.as_uuid()))
    .fetch_optional(conn)
    .await?;
    found.map(|found| Ok((read(found.row)?, found.removed))).transpose()
}

/// How many agents are not removed.
pub(crate) async fn count(conn: &mut SqliteConnection) -> Result<u64, RowError> {
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM agents WHERE removed_seq IS NULL")
        .fetch_one(conn)
        .await?;
    column::read_count("agents", count)
}
