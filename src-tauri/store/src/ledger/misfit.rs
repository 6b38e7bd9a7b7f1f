//! Why a fact does not fit what is stored, in words.

use model::event::Fact;
use model::id::{AttemptId, MessageId, MissionId, RequestId, TopicId, TrashId};
use model::message::MessageState;
use sqlx::SqliteConnection;

use super::error::RowError;
use super::table::{agents, attempts, keys, messages, missions, requests, topics, trash};

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
        | Fact::AttemptTaken { attempt_id }
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
        Fact::HookRemoved { .. } => "there is no such hook".into(),
        Fact::CheckRemoved { .. } | Fact::CheckReported { .. } => "there is no such check".into(),
        Fact::MaintenanceRemoved { .. } => "there is no such maintenance".into(),
        Fact::SecretRemoved { name } => format!("there is no secret '{name}'"),
        Fact::PolicyRemoved { name } => format!("there is no policy '{name}'"),
        Fact::TemplateRemoved { name } => format!("there is no template '{name}'"),
        Fact::TrashEmptied { trash_id, .. } => trash_misfit(conn, *trash_id).await?,
        Fact::VoteCast { vote } => topic_misfit(conn, vote.topic_id).await?,
        Fact::TopicClosed { topic_id, .. } => topic_misfit(conn, *topic_id).await?,
        Fact::MessageQueued { .. } => "there is no such agent".into(),
        Fact::MessagesDelivered { message_ids, .. }
        | Fact::MessagesStarted { message_ids, .. }
        | Fact::MessagesAcknowledged { message_ids, .. } => {
            messages_misfit(conn, fact, message_ids).await?
        }
        Fact::MessageFailed { message_id, .. }
        | Fact::MessageRetried { message_id }
        | Fact::MessageDiscarded { message_id } => {
            messages_misfit(conn, fact, std::slice::from_ref(message_id)).await?
        }
        Fact::RequestAsked { .. } | Fact::UsageMeasured { .. } => "there is no such attempt".into(),
        Fact::RequestEnded { request_id, .. }
        | Fact::RequestDeferred { request_id, .. }
        | Fact::RequestTold { request_id } => request_misfit(conn, *request_id).await?,
        Fact::RuleRemoved { .. } => "there is no such rule".into(),
        Fact::TokenRevoked { token_id, .. } => match keys::is_known(conn, *token_id).await? {
            true => "the token is already revoked".into(),
            false => "there is no such token".into(),
        },
        Fact::LoggedOut { login_id, .. } => match keys::is_known(conn, *login_id).await? {
            true => "the browser is already signed out".into(),
            false => "there is no such login".into(),
        },
        Fact::AttemptAcknowledged { attempt_id, .. } => {
            match attempts::get(conn, *attempt_id).await? {
                Some(_) => "that was already acknowledged".into(),
                None => "there is no such attempt".into(),
            }
        }
        Fact::ReportTaken { agent_id, .. } => match agents::get(conn, *agent_id).await? {
            Some((_, false)) => "the report was already taken".into(),
            _ => "there is no such agent".into(),
        },
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

/// Names the first message that does not stand where the fact needs it.
async fn messages_misfit(
    conn: &mut SqliteConnection,
    fact: &Fact,
    ids: &[MessageId],
) -> Result<String, RowError> {
    for id in ids {
        let Some(message) = messages::get(conn, *id).await? else {
            return Ok(format!("there is no message {id}"));
        };
        let stands = match message.state() {
            MessageState::Queued => "still waits",
            MessageState::Delivered => "was already delivered",
            MessageState::Started => "was already read",
            MessageState::Acknowledged => "was already answered",
            MessageState::Quarantined => "is in quarantine",
            MessageState::Discarded => "was discarded",
        };
        if !fits(fact, message.state()) {
            return Ok(format!("message {id} {stands}"));
        }
    }
    Ok("a message is named twice".to_owned())
}

/// Whether a message that stands there can be what the fact says.
const fn fits(fact: &Fact, state: MessageState) -> bool {
    use MessageState::{Delivered, Quarantined, Queued, Started};
    match fact {
        Fact::MessagesDelivered { .. } => matches!(state, Queued),
        Fact::MessagesStarted { .. } => matches!(state, Delivered),
        Fact::MessagesAcknowledged { .. } => matches!(state, Delivered | Started),
        Fact::MessageFailed { .. } => matches!(state, Queued | Delivered | Started),
        Fact::MessageRetried { .. } => matches!(state, Quarantined | Delivered | Started),
        Fact::MessageDiscarded { .. } => matches!(state, Queued | Quarantined),
        _ => true,
    }
}

async fn request_misfit(conn: &mut SqliteConnection, id: RequestId) -> Result<String, RowError> {
    Ok(match requests::get(conn, id).await? {
        Some(request) if request.waits() => "the request still waits for an answer".to_owned(),
        Some(request) if request.told => "the agent was already told the answer".to_owned(),
        Some(_) => "the request has already ended".to_owned(),
        None => "there is no such request".to_owned(),
    })
}
