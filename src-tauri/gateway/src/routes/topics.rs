//! Topics: questions the agents vote on.

use axum::Json;
use axum::extract::State;
use engine::view::{CloseTopic, Listing, NewTopic, NewVote, TopicView};
use http::StatusCode;
use model::id::TopicId;

use crate::Gate;
use crate::call::Call;
use crate::params::Name;
use crate::problem::Problem;

/// Lists the topics.
///
/// The newest first, with their votes; at most 100.
#[utoipa::path(
    get, path = "/api/v1/topics", tag = "topics",
    responses((status = 200, description = "The newest topics.", body = Listing<TopicView>)),
)]
pub(crate) async fn list_topics(
    State(gate): State<Gate>,
) -> Result<Json<Listing<TopicView>>, Problem> {
    Ok(Json(gate.engine.topics().await?))
}

/// Opens a topic.
///
/// A question with at least two options.
#[utoipa::path(
    post, path = "/api/v1/topics", tag = "topics",
    request_body = NewTopic,
    responses((status = 201, description = "The topic.", body = TopicView)),
)]
pub(crate) async fn open_topic(
    State(gate): State<Gate>,
    Call { caller, input }: Call<NewTopic>,
) -> Result<(StatusCode, Json<TopicView>), Problem> {
    Ok((StatusCode::CREATED, Json(gate.engine.open_topic(&caller, input).await?)))
}

/// Shows a topic.
///
/// With the votes, and how it was decided.
#[utoipa::path(
    get, path = "/api/v1/topics/{id}", tag = "topics",
    params(("id" = TopicId, Path, description = "The topic's id.")),
    responses((status = 200, description = "The topic.", body = TopicView)),
)]
pub(crate) async fn get_topic(
    State(gate): State<Gate>,
    name: Name,
) -> Result<Json<TopicView>, Problem> {
    Ok(Json(gate.engine.topic(name.parse("a topic")?).await?))
}

/// Casts an agent's vote.
///
/// With its rationale. A second vote of the same agent replaces the first.
#[utoipa::path(
    post, path = "/api/v1/topics/{id}/votes", tag = "topics",
    params(("id" = TopicId, Path, description = "The topic's id.")),
    request_body = NewVote,
    responses((status = 200, description = "The topic.", body = TopicView)),
)]
pub(crate) async fn vote_on_topic(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, input }: Call<NewVote>,
) -> Result<Json<TopicView>, Problem> {
    Ok(Json(gate.engine.vote(&caller, name.parse("a topic")?, input).await?))
}

/// Decides a topic.
///
/// By the votes, or as the captain says; the decision is kept with its reason.
#[utoipa::path(
    post, path = "/api/v1/topics/{id}/close", tag = "topics",
    params(("id" = TopicId, Path, description = "The topic's id.")),
    request_body = Option<CloseTopic>,
    responses((status = 200, description = "The topic.", body = TopicView)),
)]
pub(crate) async fn close_topic(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, input }: Call<CloseTopic>,
) -> Result<Json<TopicView>, Problem> {
    Ok(Json(gate.engine.close_topic(&caller, name.parse("a topic")?, input).await?))
}
