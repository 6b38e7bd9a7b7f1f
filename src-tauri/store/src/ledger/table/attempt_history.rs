//! The table `attempts` as experience: how past attempts ended, and how often each agent's did.
//!
//! Tested in `tests/ledger/lists.rs`.

use jiff::Timestamp;
use model::id::{AgentId, MissionId};
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::collect;

/// The most past attempts that are handed out at once.
pub const PAST_MAX: u32 = 5_000;

/// An attempt that ended by itself: accepted, rejected or lost, but not stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct PastAttempt {
    /// The agent.
    pub agent_id: AgentId,
    /// The mission.
    pub mission_id: MissionId,
    /// The mission's labels, as they are now.
    pub labels: Vec<String>,
    /// Whether its work counted.
    pub accepted: bool,
    /// How long its program ran, in seconds; from the lease on where it never ran.
    pub seconds: f64,
    /// When it was over.
    pub ended_at: Timestamp,
}

/// How the attempts of an agent ended that were not stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentCounts {
    /// The agent.
    pub agent_id: AgentId,
    /// Attempts whose work counted.
    pub accepted: u64,
    /// Attempts that were accepted, rejected or lost.
    pub ended: u64,
}

#[derive(sqlx::FromRow)]
struct PastRow {
    agent_id: Vec<u8>,
    mission_id: Vec<u8>,
    labels: String,
    accepted: bool,
    began: String,
    exited: String,
    ended_at: String,
}

fn read(row: PastRow) -> Result<PastAttempt, RowError> {
    let began = column::read_time("attempts.process", &row.began)?;
    let exited = column::read_time("attempts.exit", &row.exited)?;
    Ok(PastAttempt {
        agent_id: column::read_id("attempts.agent_id", &row.agent_id, AgentId::from_uuid)?,
        mission_id: column::read_id("attempts.mission_id", &row.mission_id, MissionId::from_uuid)?,
        labels: column::read_json("missions.labels", &row.labels)?,
        accepted: row.accepted,
        seconds: exited.duration_since(began).as_secs_f64().max(0.0),
        ended_at: column::read_time("attempts.ended_at", &row.ended_at)?,
    })
}

/// The attempts that ended last, newest first.
pub(crate) async fn past(
    conn: &mut SqliteConnection,
    limit: usize,
) -> Result<Vec<PastAttempt>, RowError> {
    let rows = sqlx::query_as(
        "SELECT attempts.agent_id, attempts.mission_id, missions.labels, \
         attempts.state = 'accepted' AS accepted, \
         COALESCE(process ->> '$.started_at', leased_at) AS began, \
         COALESCE(exit ->> '$.ended_at', ended_at) AS exited, ended_at \
         FROM attempts JOIN missions ON missions.id = attempts.mission_id \
         WHERE attempts.state IN ('accepted', 'rejected', 'lost') \
         ORDER BY ended_at DESC LIMIT ?",
    )
    .bind(limit as i64)
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}

/// How the attempts of each agent ended, of those that have any.
pub(crate) async fn counts_by_agent(
    conn: &mut SqliteConnection,
) -> Result<Vec<AgentCounts>, RowError> {
    let rows: Vec<(Vec<u8>, i64, i64)> =
        sqlx::query_as("SELECT agent_id, accepted, ended FROM agent_counts ORDER BY agent_id")
            .fetch_all(conn)
            .await?;
    collect(rows, |(id, accepted, ended)| {
        Ok(AgentCounts {
            agent_id: column::read_id("agent_counts.agent_id", &id, AgentId::from_uuid)?,
            accepted: column::read_count("agent_counts.accepted", accepted)?,
            ended: column::read_count("agent_counts.ended", ended)?,
        })
    })
}
