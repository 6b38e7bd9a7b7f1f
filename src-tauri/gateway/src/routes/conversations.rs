//! Conversations: read, followed and searched, and what is typed into them.

use axum::Json;
use axum::extract::State;
use engine::view::{
    ConversationChanges, ConversationHits, ConversationPage, TerminalInput, UsageView,
};
use engine::{ConversationQuery, SearchQuery};
use http::StatusCode;
use model::id::AttemptId;
use model::process::TerminalSize;

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::params::{Name, Params};
use crate::problem::Problem;

/// The longest wait for a change, in milliseconds.
const WAIT_MS_MAX: u32 = 10_000;
/// The most hits of one page.
const HITS_MAX: u32 = 100;

/// Reads a conversation.
///
/// A part of what passed between an attempt and its agent, in its order; its end unless the request
/// says from where.
#[utoipa::path(
    get, path = "/api/v1/attempts/{id}/conversation", tag = "conversations",
    params(
        ("id" = AttemptId, Path, description = "The attempt's id."),
        ("after" = Option<u64>, Query, description = "What comes after the entry of this place; 0 is the beginning."),
        ("before" = Option<u64>, Query, description = "What comes before the entry of this place."),
        ("limit" = Option<u32>, Query, description = "How many entries at most, 1 to 500; 100 unless given."),
    ),
    responses((status = 200, description = "A part of it.", body = ConversationPage)),
)]
pub(crate) async fn read_conversation(
    State(gate): State<Gate>,
    name: Name,
    mut params: Params,
) -> Result<Json<ConversationPage>, Problem> {
    let attempt: AttemptId = name.parse("an attempt")?;
    let query = ConversationQuery {
        after: params.parsed("after")?,
        before: params.parsed("before")?,
        limit: params.limit()?,
    };
    params.done()?;
    Ok(Json(gate.engine.conversation(attempt, query).await?))
}

/// Follows a conversation.
///
/// What is new or different since a revision. With `wait_ms` the answer waits until something is,
/// the attempt has ended, or the time is over.
#[utoipa::path(
    get, path = "/api/v1/attempts/{id}/conversation/changes", tag = "conversations",
    params(
        ("id" = AttemptId, Path, description = "The attempt's id."),
        ("revision" = Option<u64>, Query, description = "The revision of the answer before; 0 unless given."),
        ("wait_ms" = Option<u32>, Query, description = "How long to wait for a change, 0 to 10000."),
    ),
    responses((status = 200, description = "What has changed.", body = ConversationChanges)),
)]
pub(crate) async fn follow_conversation(
    State(gate): State<Gate>,
    name: Name,
    mut params: Params,
) -> Result<Json<ConversationChanges>, Problem> {
    let attempt: AttemptId = name.parse("an attempt")?;
    let revision = params.parsed("revision")?.unwrap_or(0);
    let wait_ms = params.number("wait_ms", 0..=WAIT_MS_MAX)?.unwrap_or(0);
    params.done()?;
    Ok(Json(gate.engine.conversation_changes(attempt, revision, wait_ms).await?))
}

/// Searches conversations.
///
/// Entries in which all words occur, the newest first; what stands in quotes has to occur as it is.
#[utoipa::path(
    get, path = "/api/v1/conversations/search", tag = "conversations",
    params(
        ("text" = String, Query, description = "The words."),
        ("attempt" = Option<AttemptId>, Query, description = "Only in this attempt."),
        ("agent" = Option<String>, Query, description = "Only in the last 500 attempts of this agent."),
        ("mission" = Option<String>, Query, description = "Only in the attempts of this mission."),
        ("kind" = Option<String>, Query, description = "Only entries of this kind, such as message or tool_call; may be repeated."),
        ("cursor" = Option<String>, Query, description = "Where the page before ended."),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 100; 50 unless given."),
    ),
    responses((status = 200, description = "What was found.", body = ConversationHits)),
)]
pub(crate) async fn search_conversations(
    State(gate): State<Gate>,
    mut params: Params,
) -> Result<Json<ConversationHits>, Problem> {
    let query = SearchQuery {
        text: params.text("text")?.unwrap_or_default(),
        attempt: params.parsed("attempt")?,
        agent: params.text("agent")?,
        mission: params.text("mission")?,
        kinds: params.all("kind"),
        cursor: params.text("cursor")?,
        limit: params.number("limit", 1..=HITS_MAX)?,
    };
    params.done()?;
    Ok(Json(gate.engine.search_conversations(query).await?))
}

/// Says what an attempt has used.
///
/// Tokens and cost according to each source, the best one, and how its tools did. What nobody said is
/// unknown, not zero.
#[utoipa::path(
    get, path = "/api/v1/attempts/{id}/usage", tag = "conversations",
    params(("id" = AttemptId, Path, description = "The attempt's id.")),
    responses((status = 200, description = "What it used.", body = UsageView)),
)]
pub(crate) async fn get_usage(
    State(gate): State<Gate>,
    name: Name,
) -> Result<Json<UsageView>, Problem> {
    Ok(Json(gate.engine.usage(name.parse("an attempt")?).await?))
}

/// Types into a terminal.
///
/// The characters reach the program of the attempt as they are.
#[utoipa::path(
    post, path = "/api/v1/attempts/{id}/input", tag = "conversations",
    params(("id" = AttemptId, Path, description = "The attempt's id.")),
    request_body = TerminalInput,
    responses((status = 204, description = "They are on their way.")),
)]
pub(crate) async fn type_into_terminal(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, input }: Call<TerminalInput>,
) -> Result<StatusCode, Problem> {
    let attempt = name.parse("an attempt")?;
    gate.engine.type_into(&caller, attempt, input).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a terminal another size.
///
/// The program is told, as by a window that changes.
#[utoipa::path(
    post, path = "/api/v1/attempts/{id}/resize", tag = "conversations",
    params(("id" = AttemptId, Path, description = "The attempt's id.")),
    request_body = TerminalSize,
    responses((status = 204, description = "It is on its way.")),
)]
pub(crate) async fn resize_terminal(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, input }: Call<TerminalSize>,
) -> Result<StatusCode, Problem> {
    gate.engine.resize_terminal(&caller, name.parse("an attempt")?, input).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Calls a turn off.
///
/// The agent ends what it does now; its conversation stays, and can go on otherwise.
#[utoipa::path(
    post, path = "/api/v1/attempts/{id}/cancel-turn", tag = "conversations",
    params(("id" = AttemptId, Path, description = "The attempt's id.")),
    responses((status = 204, description = "The agent is being told.")),
)]
pub(crate) async fn cancel_turn(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    let attempt = name.parse("an attempt")?;
    gate.engine.cancel_turn(&caller, attempt).await?;
    Ok(StatusCode::NO_CONTENT)
}
