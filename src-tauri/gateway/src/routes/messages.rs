//! Messages: what is said to agents.

use axum::Json;
use axum::extract::State;
use engine::MessageQuery;
use engine::view::{
    BroadcastState, BroadcastView, MessagePage, MessageView, NewBroadcast, NewMessage,
};
use http::StatusCode;
use model::id::{BroadcastId, MessageId};
use model::message::MessageState;

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::params::{Name, Params};
use crate::problem::Problem;

/// The states a message can have.
const STATES: [(&str, MessageState); 6] = [
    ("queued", MessageState::Queued),
    ("delivered", MessageState::Delivered),
    ("started", MessageState::Started),
    ("acknowledged", MessageState::Acknowledged),
    ("quarantined", MessageState::Quarantined),
    ("discarded", MessageState::Discarded),
];

/// Says something to an agent.
///
/// It is queued at once and delivered at the next possible moment: where the agent can be told while
/// it works, at the end of its turn; an urgent one before all others. Delivery is not activation: the
/// message shows both.
#[utoipa::path(
    post, path = "/api/v1/agents/{id}/messages", tag = "messages",
    params(("id" = String, Path, description = "The agent's id or name.")),
    request_body = NewMessage,
    responses((status = 201, description = "The message.", body = MessageView)),
)]
pub(crate) async fn send_message(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, input }: Call<NewMessage>,
) -> Result<(StatusCode, Json<MessageView>), Problem> {
    let message = gate.engine.send_message(&caller, &name.0, input).await?;
    Ok((StatusCode::CREATED, Json(message)))
}

/// Says the same to several agents.
///
/// Each has a message and a result of its own; what is in the way of one does not hold up the others.
#[utoipa::path(
    post, path = "/api/v1/broadcasts", tag = "messages",
    request_body = NewBroadcast,
    responses((status = 201, description = "One result for each agent.", body = BroadcastView)),
)]
pub(crate) async fn broadcast(
    State(gate): State<Gate>,
    Call { caller, input }: Call<NewBroadcast>,
) -> Result<(StatusCode, Json<BroadcastView>), Problem> {
    let told = gate.engine.broadcast(&caller, input).await?;
    Ok((StatusCode::CREATED, Json(told)))
}

/// Shows a broadcast.
///
/// How far the message to each agent is.
#[utoipa::path(
    get, path = "/api/v1/broadcasts/{id}", tag = "messages",
    params(("id" = BroadcastId, Path, description = "The broadcast's id.")),
    responses((status = 200, description = "Its messages.", body = BroadcastState)),
)]
pub(crate) async fn get_broadcast(
    State(gate): State<Gate>,
    name: Name,
) -> Result<Json<BroadcastState>, Problem> {
    Ok(Json(gate.engine.broadcast_state(name.parse("a broadcast")?).await?))
}

/// Lists messages.
///
/// The newest first.
#[utoipa::path(
    get, path = "/api/v1/messages", tag = "messages",
    params(
        ("agent" = Option<String>, Query, description = "Only those to this agent: its id or name."),
        ("mission" = Option<String>, Query, description = "Only those about this mission."),
        ("state" = Option<MessageState>, Query, description = "Only those that are this far; may be repeated."),
        ("cursor" = Option<String>, Query, description = "Where the page before ended."),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 500; 100 unless given."),
    ),
    responses((status = 200, description = "A page of messages.", body = MessagePage)),
)]
pub(crate) async fn list_messages(
    State(gate): State<Gate>,
    mut params: Params,
) -> Result<Json<MessagePage>, Problem> {
    let query = MessageQuery {
        agent: params.text("agent")?,
        mission: params.text("mission")?,
        states: params.all("state").iter().map(|name| state(name)).collect::<Result<_, _>>()?,
        cursor: params.text("cursor")?,
        limit: params.limit()?,
    };
    params.done()?;
    Ok(Json(gate.engine.messages(query).await?))
}

/// Delivers a message again.
///
/// One that is in quarantine, or that an agent got and never answered to. A report that could not be
/// understood is read again, as it is in its file by now.
#[utoipa::path(
    post, path = "/api/v1/messages/{id}/retry", tag = "messages",
    params(("id" = MessageId, Path, description = "The message's id.")),
    responses((status = 200, description = "The message.", body = MessageView)),
)]
pub(crate) async fn retry_message(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<Json<MessageView>, Problem> {
    Ok(Json(gate.engine.retry_message(&caller, name.parse("a message")?).await?))
}

/// Gives a message up.
///
/// One that waits, or is in quarantine.
#[utoipa::path(
    post, path = "/api/v1/messages/{id}/discard", tag = "messages",
    params(("id" = MessageId, Path, description = "The message's id.")),
    responses((status = 200, description = "The message.", body = MessageView)),
)]
pub(crate) async fn discard_message(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<Json<MessageView>, Problem> {
    Ok(Json(gate.engine.discard_message(&caller, name.parse("a message")?).await?))
}

fn state(name: &str) -> Result<MessageState, Problem> {
    let found = STATES.iter().find(|(word, _)| *word == name).map(|(_, state)| *state);
    found.ok_or_else(|| {
        let words: Vec<_> = STATES.iter().map(|(word, _)| *word).collect();
        Problem::invalid(format!("'state={name}' is none of {}", words.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_the_word_of_its_serialised_form() {
        for (word, state) in STATES {
            assert_eq!(serde_json::to_value(state).unwrap(), word);
            assert_eq!(super::state(word).unwrap(), state);
        }
        assert!(super::state("lost").is_err());
    }
}
