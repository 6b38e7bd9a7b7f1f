//! The tables `topics` and `votes`.
//!
//! Tested in `tests/ledger/workspace.rs` and by the replay in `tests/ledger/replay.rs`.

use model::id::{AgentId, TopicId};
use model::topic::{Decided, Topic, Vote};
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::collect;
use crate::ledger::query;

#[derive(sqlx::FromRow)]
struct TopicRow {
    id: Vec<u8>,
    title: String,
    text: String,
    options: String,
    opened_at: String,
    decision: Option<String>,
}

#[derive(sqlx::FromRow)]
struct VoteRow {
    topic_id: Vec<u8>,
    agent_id: Vec<u8>,
    option: String,
    rationale: String,
    at: String,
}

fn read(row: TopicRow) -> Result<Topic, RowError> {
    Ok(Topic {
        id: column::read_id("topics.id", &row.id, TopicId::from_uuid)?,
        title: row.title,
        text: row.text,
        options: column::read_json("topics.options", &row.options)?,
        opened_at: column::read_time("topics.opened_at", &row.opened_at)?,
        decision: column::read_json_opt("topics.decision", row.decision.as_deref())?,
    })
}

fn read_vote(row: VoteRow) -> Result<Vote, RowError> {
    Ok(Vote {
        topic_id: column::read_id("votes.topic_id", &row.topic_id, TopicId::from_uuid)?,
        agent_id: column::read_id("votes.agent_id", &row.agent_id, AgentId::from_uuid)?,
        option: row.option,
        rationale: row.rationale,
        at: column::read_time("votes.at", &row.at)?,
    })
}

/// Adds a topic.
pub(crate) async fn insert(conn: &mut SqliteConnection, topic: &Topic) -> Result<(), RowError> {
    sqlx::query(
        "INSERT INTO topics (id, title, text, options, opened_at, decision) \
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(column::id(topic.id.as_uuid()))
    .bind(&topic.title)
    .bind(&topic.text)
    .bind(column::json("topics.options", &topic.options)?)
    .bind(column::time(topic.opened_at))
    .bind(column::json_opt("topics.decision", topic.decision.as_ref())?)
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds a vote in place of the agent's one before; says whether the topic is open.
pub(crate) async fn vote(conn: &mut SqliteConnection, vote: &Vote) -> Result<bool, RowError> {
    let done = sqlx::query(
        "INSERT OR REPLACE INTO votes (topic_id, agent_id, option, rationale, at) \
         SELECT id, ?, ?, ?, ? FROM topics WHERE id = ? AND decision IS NULL",
    )
    .bind(column::id(vote.agent_id.as_uuid()))
    .bind(&vote.option)
    .bind(&vote.rationale)
    .bind(column::time(vote.at))
    .bind(column::id(vote.topic_id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Sets how a topic was decided; says whether it was open.
pub(crate) async fn close(
    conn: &mut SqliteConnection,
    id: TopicId,
    decision: &Decided,
) -> Result<bool, RowError> {
    let done = sqlx::query("UPDATE topics SET decision = ? WHERE id = ? AND decision IS NULL")
        .bind(column::json("topics.decision", decision)?)
        .bind(column::id(id.as_uuid()))
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// One topic.
pub(crate) async fn get(
    conn: &mut SqliteConnection,
    id: TopicId,
) -> Result<Option<Topic>, RowError> {
    let sql = "SELECT id, title, text, options, opened_at, decision FROM topics WHERE id = ?";
    query::one(conn, sql, id.as_uuid(), read).await
}

/// The newest topics, newest first.
pub(crate) async fn newest(
    conn: &mut SqliteConnection,
    limit: usize,
) -> Result<Vec<Topic>, RowError> {
    let rows = sqlx::query_as(
        "SELECT id, title, text, options, opened_at, decision FROM topics \
         ORDER BY id DESC LIMIT ?",
    )
    .bind(limit as i64)
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}

/// The votes on a topic, by agent.
pub(crate) async fn votes(conn: &mut SqliteConnection, id: TopicId) -> Result<Vec<Vote>, RowError> {
    let sql = "SELECT topic_id, agent_id, option, rationale, at FROM votes \
         WHERE topic_id = ? ORDER BY agent_id";
    query::all_of(conn, sql, id.as_uuid(), read_vote).await
}
