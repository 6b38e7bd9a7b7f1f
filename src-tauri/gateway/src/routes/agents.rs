//! Agents: the configured workers.

use axum::Json;
use axum::extract::State;
use engine::view::{
    AgentView, AttemptView, CommandCheck, DetectedRuntime, EditAgent, Listing, NewAgent,
};
use http::StatusCode;
use model::agent::Agent;

use crate::Gate;
use crate::call::{Call, CommandLine, Nothing};
use crate::etag::{IfMatch, Tag, Tagged};
use crate::params::{Name, Params};
use crate::problem::Problem;

/// Attempts shown unless the request says how many.
const ATTEMPTS_DEFAULT: u32 = 50;

/// The tag names what was set about the agent, not what it does.
async fn tag(gate: &Gate, name: &Name) -> Result<Tag, Problem> {
    let agent = gate.engine.agent_as_set(&name.0).await?;
    Ok(Tag::of(&Agent { paused: false, ..agent }))
}

/// Lists the agents.
///
/// Every agent with what it is doing, since when and why, and what its processes use.
#[utoipa::path(
    get, path = "/api/v1/agents", tag = "agents",
    responses((status = 200, description = "Every agent.", body = Listing<AgentView>)),
)]
pub(crate) async fn list_agents(
    State(gate): State<Gate>,
) -> Result<Json<Listing<AgentView>>, Problem> {
    Ok(Json(gate.engine.agents().await?))
}

/// Creates an agent.
///
/// It takes missions as soon as it is there. One whose program is not found is offline;
/// `POST /api/v1/commands/check` says beforehand what a command line would start.
#[utoipa::path(
    post, path = "/api/v1/agents", tag = "agents",
    request_body = NewAgent,
    responses((status = 201, description = "The agent.", body = AgentView)),
)]
pub(crate) async fn add_agent(
    State(gate): State<Gate>,
    Call { caller, input }: Call<NewAgent>,
) -> Result<(StatusCode, Json<AgentView>), Problem> {
    let agent = gate.engine.add_agent(&caller, input).await?;
    Ok((StatusCode::CREATED, Json(agent)))
}

/// Shows an agent.
///
/// What it is made from, what it is doing and what its processes use.
#[utoipa::path(
    get, path = "/api/v1/agents/{id}", tag = "agents",
    params(("id" = String, Path, description = "The agent's id or name.")),
    responses((status = 200, description = "The agent.", body = AgentView)),
)]
pub(crate) async fn get_agent(
    State(gate): State<Gate>,
    name: Name,
) -> Result<Tagged<AgentView>, Problem> {
    // Before what it names: what is changed between the two is refused later rather than lost.
    let tag = tag(&gate, &name).await?;
    Ok(Tagged(gate.engine.agent(&name.0).await?, tag))
}

/// Changes an agent.
///
/// What is not named stays. Its command line and variables can be changed only while it has no
/// attempt under way; what it may do holds from its next attempt.
#[utoipa::path(
    patch, path = "/api/v1/agents/{id}", tag = "agents",
    params(
        ("id" = String, Path, description = "The agent's id or name."),
        ("If-Match" = Option<String>, Header, description = "The ETag of what you edited."),
    ),
    request_body = EditAgent,
    responses((status = 200, description = "The agent.", body = AgentView)),
)]
pub(crate) async fn edit_agent(
    State(gate): State<Gate>,
    name: Name,
    wanted: IfMatch,
    Call { caller, input }: Call<EditAgent>,
) -> Result<Tagged<AgentView>, Problem> {
    let current = async || tag(&gate, &name).await;
    let _alone = wanted.begin(&gate, &caller, current).await?;
    let changed = gate.engine.edit_agent(&caller, &name.0, input).await?;
    // It may have another name now.
    let name = Name(changed.agent.id.to_string());
    let tag = tag(&gate, &name).await?;
    Ok(Tagged(changed, tag))
}

/// Removes an agent.
///
/// Refused while it works. Its attempts, their output and its devlogs stay.
#[utoipa::path(
    delete, path = "/api/v1/agents/{id}", tag = "agents",
    params(("id" = String, Path, description = "The agent's id or name.")),
    responses((status = 204, description = "The agent is gone.")),
)]
pub(crate) async fn remove_agent(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    gate.engine.remove_agent(&caller, &name.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Holds an agent back.
///
/// It finishes what it works on and gets no new mission.
#[utoipa::path(
    post, path = "/api/v1/agents/{id}/pause", tag = "agents",
    params(("id" = String, Path, description = "The agent's id or name.")),
    responses((status = 200, description = "The agent.", body = AgentView)),
)]
pub(crate) async fn pause_agent(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<Json<AgentView>, Problem> {
    Ok(Json(gate.engine.pause_agent(&caller, &name.0).await?))
}

/// Lets an agent go on.
///
/// It gets missions again.
#[utoipa::path(
    post, path = "/api/v1/agents/{id}/resume", tag = "agents",
    params(("id" = String, Path, description = "The agent's id or name.")),
    responses((status = 200, description = "The agent.", body = AgentView)),
)]
pub(crate) async fn resume_agent(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<Json<AgentView>, Problem> {
    Ok(Json(gate.engine.resume_agent(&caller, &name.0).await?))
}

/// Lists an agent's attempts.
///
/// The newest first.
#[utoipa::path(
    get, path = "/api/v1/agents/{id}/attempts", tag = "agents",
    params(
        ("id" = String, Path, description = "The agent's id or name."),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 500; 50 unless given."),
    ),
    responses((status = 200, description = "Its attempts.", body = Listing<AttemptView>)),
)]
pub(crate) async fn list_attempts_of_agent(
    State(gate): State<Gate>,
    name: Name,
    mut params: Params,
) -> Result<Json<Listing<AttemptView>>, Problem> {
    let limit = params.limit()?;
    params.done()?;
    let limit = limit.unwrap_or(ATTEMPTS_DEFAULT);
    Ok(Json(gate.engine.agent_attempts(&name.0, limit).await?))
}

/// Looks at a command line.
///
/// Says which program it would start with which arguments, and why that cannot be, without
/// starting anything.
#[utoipa::path(
    post, path = "/api/v1/commands/check", tag = "agents",
    request_body = CommandLine,
    responses((status = 200, description = "What it would start.", body = CommandCheck)),
)]
pub(crate) async fn check_command(
    State(gate): State<Gate>,
    Call { input, .. }: Call<CommandLine>,
) -> Result<Json<CommandCheck>, Problem> {
    let check = gate.engine.check_command(&input.command, input.directory.as_deref())?;
    Ok(Json(check))
}

/// Lists the known agent programs.
///
/// Those found on this machine say where, the others have no path.
#[utoipa::path(
    get, path = "/api/v1/runtimes", tag = "agents",
    responses((status = 200, description = "The known agent programs.",
        body = Listing<DetectedRuntime>)),
)]
pub(crate) async fn list_runtimes(State(gate): State<Gate>) -> Json<Listing<DetectedRuntime>> {
    Json(gate.engine.runtimes())
}
