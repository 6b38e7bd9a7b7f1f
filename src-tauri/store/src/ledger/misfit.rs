//! Why a fact does not fit what is stored, in words.

use model::event::Fact;
use model::id::{AttemptId, MissionId, TopicId, TrashId};
use sqlx::SqliteConnection;

use super::error::RowError;
use super::table::{attempts, missions, topics, trash};

/// Tells why a fact does not fit.
pub(crate) async fn misfit(conn: &mut SqliteConnection, fact: &Fact) -> Result<RowError, RowError> {
    let reason = match fact {
        Fact::AgentChanged { .. } | Fact::AgentRemoved { .. } => "there is no such agent".into(),
        Fact::MissionMoved { mission_id, from, .. } => {
            match missions::state(conn, *mission_id).await? {
                Some(state) => format!("the mission is {state}, not {from}"),
                None => "there is no such mission".into(),
            }
        }
        Fact::MissionRestored { mission_id } => match missions::state(conn, *mission_id).await? {
            Some(_) => "the mission is not removed".into(),
            None => "there is no such mission".into(),
        },
        Fact::AttemptLeased { attempt } => {
            lease_misfit(conn, attempt.mission_id, attempt.n).await?
        }
        Fact::AttemptReviewing { attempt_id } => match attempts::get(conn, *attempt_id).await? {
            Some(attempt) => format!("the attempt is {}, not verifying", attempt.state.as_str()),
            None => "there is no such attempt".into(),
        },
        Fact::AttemptPrepared { attempt_id, .. }
        | Fact::AttemptStarted { attempt_id, .. }
        | Fact::AttemptAdopted { attempt_id, .. }
        | Fact::AttemptStopping { attempt_id }
        | Fact::AttemptExited { attempt_id, .. }
        | Fact::AttemptVerifying { attempt_id }
        | Fact::WorkRecorded { attempt_id, .. }
        | Fact::ReviewAssigned { attempt_id, .. }
        | Fact::AttemptFrozen { attempt_id, .. }
        | Fact::AttemptEnded { attempt_id, .. } => attempt_misfit(conn, *attempt_id).await?,
        Fact::CheckpointRestored { .. } => "there is no such checkpoint".into(),
        Fact::DevlogRemoved { .. } => "there is no such devlog".into(),
        Fact::SwarmHalted { .. } => "the swarm is already halted".into(),
        Fact::SwarmResumed => "the swarm is not halted".into(),
        Fact::PolicyRemoved { name } => format!("there is no policy '{name}'"),
        Fact::TemplateRemoved { name } => format!("there is no template '{name}'"),
        Fact::TrashEmptied { trash_id, .. } => trash_misfit(conn, *trash_id).await?,
        Fact::VoteCast { vote } => topic_misfit(conn, vote.topic_id).await?,
        Fact::TopicClosed { topic_id, .. } => topic_misfit(conn, *topic_id).await?,
        _ => "there is no such mission".into(),
    };
    Ok(RowError::conflict(fact.kind(), reason))
}

async fn lease_misfit(
    conn: &mut SqliteConnection,
    id: MissionId,
    n: u32,
) -> Result<String, RowError> {
    let attempts = missions::get(conn, id).await?.map(|found| found.0.attempts);
    Ok(match attempts {
        Some(last) => format!("attempt {n} does not follow attempt {last}"),
        None => "there is no such mission".to_owned(),
    })
}

async fn attempt_misfit(conn: &mut SqliteConnection, id: AttemptId) -> Result<String, RowError> {
    Ok(match attempts::get(conn, id).await? {
        Some(attempt) => format!("the attempt is already {}", attempt.state.as_str()),
        None => "there is no such attempt".to_owned(),
    })
}

async fn trash_misfit(conn: &mut SqliteConnection, id: TrashId) -> Result<String, RowError> {
    Ok(match trash::ended(conn, id).await? {
        Some(Some(ended)) => format!("it is already {ended}"),
        _ => "there is no such thing in the trash".to_owned(),
    })
}

async fn topic_misfit(conn: &mut SqliteConnection, id: TopicId) -> Result<String, RowError> {
    Ok(match topics::get(conn, id).await? {
        Some(_) => "the topic is closed".to_owned(),
        None => "there is no such topic".to_owned(),
    })
}
