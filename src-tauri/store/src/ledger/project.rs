//! How each fact changes the rows. Running it over the whole log gives the rows again.

use model::event::{Event, Fact};
use model::id::{AttemptId, MissionId};
use sqlx::SqliteConnection;

use super::error::RowError;
use super::table::{agents, attempts, devlogs, gate_results, missions};

/// Applies one event to the rows.
///
/// # Errors
/// [`RowError::Conflict`] when the fact does not fit what is stored.
pub(crate) async fn project(conn: &mut SqliteConnection, event: &Event) -> Result<(), RowError> {
    let kind = event.fact.kind();
    match apply(conn, event).await.map_err(|error| error.of(kind))? {
        true => Ok(()),
        false => Err(misfit(conn, &event.fact).await?),
    }
}

/// Says whether the row the fact speaks of was there and stood where it should.
async fn apply(conn: &mut SqliteConnection, event: &Event) -> Result<bool, RowError> {
    let (seq, at) = (event.seq, event.at);
    match &event.fact {
        Fact::EngineStarted { .. } | Fact::EngineStopped | Fact::ResultLate { .. } => Ok(true),
        Fact::AgentAdded { agent } => agents::insert(conn, agent).await.map(|()| true),
        Fact::AgentChanged { agent } => agents::update(conn, agent).await,
        Fact::AgentRemoved { agent_id } => agents::remove(conn, *agent_id, seq).await,
        Fact::MissionCreated { mission, brief } => {
            missions::insert(conn, mission, brief).await.map(|()| true)
        }
        moved @ Fact::MissionMoved { .. } => missions::shift(conn, moved, at).await,
        Fact::MissionAssigned { mission_id, agent_id } => {
            missions::assign(conn, *mission_id, *agent_id, at).await
        }
        Fact::MissionRemoved { mission_id } => missions::remove(conn, *mission_id, seq).await,
        Fact::AttemptLeased { attempt } => {
            attempts::insert(conn, attempt).await?;
            missions::count_attempt(conn, attempt.mission_id, attempt.n, at).await
        }
        Fact::AttemptPrepared { attempt_id, workplace } => {
            attempts::prepare(conn, *attempt_id, workplace).await
        }
        Fact::AttemptStarted { attempt_id, process }
        | Fact::AttemptAdopted { attempt_id, process } => {
            attempts::start(conn, *attempt_id, process).await
        }
        Fact::AttemptStopping { attempt_id } => attempts::stop(conn, *attempt_id).await,
        Fact::AttemptExited { attempt_id, record } => {
            attempts::exit(conn, *attempt_id, record).await
        }
        Fact::AttemptVerifying { attempt_id } => attempts::verify(conn, *attempt_id).await,
        Fact::WorkRecorded { attempt_id, work } => attempts::record(conn, *attempt_id, work).await,
        Fact::GateFinished { attempt_id, result } => {
            gate_results::put(conn, *attempt_id, result).await.map(|()| true)
        }
        Fact::AttemptEnded { attempt_id, state, note } => {
            attempts::end(conn, *attempt_id, *state, note.as_deref(), at).await
        }
        Fact::DevlogWritten { devlog } => devlogs::insert(conn, devlog).await.map(|()| true),
        Fact::DevlogRemoved { devlog_id } => devlogs::remove(conn, *devlog_id, seq).await,
    }
}

/// Tells why a fact does not fit.
async fn misfit(conn: &mut SqliteConnection, fact: &Fact) -> Result<RowError, RowError> {
    let reason = match fact {
        Fact::AgentChanged { .. } | Fact::AgentRemoved { .. } => "there is no such agent".into(),
        Fact::MissionMoved { mission_id, from, .. } => {
            match missions::state(conn, *mission_id).await? {
                Some(state) => format!("the mission is {state}, not {from}"),
                None => "there is no such mission".into(),
            }
        }
        Fact::AttemptLeased { attempt } => {
            lease_misfit(conn, attempt.mission_id, attempt.n).await?
        }
        Fact::AttemptPrepared { attempt_id, .. }
        | Fact::AttemptStarted { attempt_id, .. }
        | Fact::AttemptAdopted { attempt_id, .. }
        | Fact::AttemptStopping { attempt_id }
        | Fact::AttemptExited { attempt_id, .. }
        | Fact::AttemptVerifying { attempt_id }
        | Fact::WorkRecorded { attempt_id, .. }
        | Fact::AttemptEnded { attempt_id, .. } => attempt_misfit(conn, *attempt_id).await?,
        Fact::DevlogRemoved { .. } => "there is no such devlog".into(),
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
