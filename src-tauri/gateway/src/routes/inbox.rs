//! The inbox: what waits for the captain, and the rules that answer in the captain's place.

use axum::extract::State;
use axum::{Extension, Json};
use engine::view::{
    AnswerWord, InboxView, Listing, NewRule, RequestAnswer, RequestPage, RequestView,
};
use engine::{Bearer, RequestQuery};
use http::StatusCode;
use model::id::{RequestId, RuleId};
use model::inbox::Rule;

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::params::{Name, Params};
use crate::problem::Problem;
use crate::rights::{Right, Role};

/// Shows the inbox.
///
/// Everything that waits for the captain: what agents ask, work to review, and what could not be
/// delivered or understood.
#[utoipa::path(
    get, path = "/api/v1/inbox", tag = "inbox",
    responses((status = 200, description = "What waits.", body = InboxView)),
)]
pub(crate) async fn get_inbox(State(gate): State<Gate>) -> Result<Json<InboxView>, Problem> {
    Ok(Json(gate.engine.inbox().await?))
}

/// Lists requests.
///
/// What agents asked, the newest first, those that were answered included.
#[utoipa::path(
    get, path = "/api/v1/requests", tag = "inbox",
    params(
        ("open" = Option<bool>, Query, description = "Only those that wait, or only those that do not."),
        ("agent" = Option<String>, Query, description = "Only those of this agent: its id or name."),
        ("mission" = Option<String>, Query, description = "Only those of this mission."),
        ("cursor" = Option<String>, Query, description = "Where the page before ended."),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 500; 100 unless given."),
    ),
    responses((status = 200, description = "A page of requests.", body = RequestPage)),
)]
pub(crate) async fn list_requests(
    State(gate): State<Gate>,
    mut params: Params,
) -> Result<Json<RequestPage>, Problem> {
    let query = RequestQuery {
        open: params.parsed("open")?,
        agent: params.text("agent")?,
        mission: params.text("mission")?,
        cursor: params.text("cursor")?,
        limit: params.limit()?,
    };
    params.done()?;
    Ok(Json(gate.engine.requests(query).await?))
}

/// Answers a request.
///
/// The agent is told at once. Of two answers the first counts; the second is refused. `always` makes
/// a rule as well, for the agent unless `scope` says otherwise, and so is the captain's alone, or that of whoever
/// may decide about all agents.
#[utoipa::path(
    post, path = "/api/v1/requests/{id}/answer", tag = "inbox",
    params(("id" = RequestId, Path, description = "The request's id.")),
    request_body = RequestAnswer,
    responses((status = 200, description = "The request.", body = RequestView)),
)]
pub(crate) async fn answer_request(
    State(gate): State<Gate>,
    Extension(role): Extension<Role>,
    bearer: Option<Extension<Bearer>>,
    name: Name,
    Call { caller, input }: Call<RequestAnswer>,
) -> Result<Json<RequestView>, Problem> {
    let narrow = bearer.is_some_and(|Extension(bearer)| bearer.is_for_some_things());
    if input.answer == AnswerWord::Always && (narrow || !role.may(Right::Administer)) {
        return Err(Problem::forbidden("a rule for what is asked later is the captain's to make")
            .hint("answer 'once'"));
    }
    Ok(Json(gate.engine.answer_request(&caller, name.parse("a request")?, input).await?))
}

/// Lists the permission rules.
///
/// The newest first.
#[utoipa::path(
    get, path = "/api/v1/rules", tag = "inbox",
    responses((status = 200, description = "Every rule.", body = Listing<Rule>)),
)]
pub(crate) async fn list_permission_rules(
    State(gate): State<Gate>,
) -> Result<Json<Listing<Rule>>, Problem> {
    Ok(Json(gate.engine.permission_rules().await?))
}

/// Makes a permission rule.
///
/// It allows or forbids what fits its pattern, from now on.
#[utoipa::path(
    post, path = "/api/v1/rules", tag = "inbox",
    request_body = NewRule,
    responses((status = 201, description = "The rule.", body = Rule)),
)]
pub(crate) async fn add_permission_rule(
    State(gate): State<Gate>,
    Call { caller, input }: Call<NewRule>,
) -> Result<(StatusCode, Json<Rule>), Problem> {
    Ok((StatusCode::CREATED, Json(gate.engine.add_permission_rule(&caller, input).await?)))
}

/// Removes a permission rule.
///
/// What it answered stays answered.
#[utoipa::path(
    delete, path = "/api/v1/rules/{id}", tag = "inbox",
    params(("id" = RuleId, Path, description = "The rule's id.")),
    responses((status = 204, description = "The rule is gone.")),
)]
pub(crate) async fn remove_permission_rule(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    gate.engine.remove_permission_rule(&caller, name.parse("a rule")?).await?;
    Ok(StatusCode::NO_CONTENT)
}
