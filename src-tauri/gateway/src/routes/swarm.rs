//! The swarm as a whole: what it would do next, the emergency stop, and recovery.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use engine::view::{HaltRequest, HaltView, Plan, ReconciledView, RecoveryReport};
use http::StatusCode;

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::problem::Problem;
use crate::routes::file;

/// Says what would be started now.
///
/// A dry run of the scheduler: every start with its reasons, and what goes on waiting. Touches
/// nothing.
#[utoipa::path(
    get, path = "/api/v1/schedule/plan", tag = "swarm",
    responses((status = 200, description = "The plan.", body = Plan)),
)]
pub(crate) async fn plan(State(gate): State<Gate>) -> Result<Json<Plan>, Problem> {
    Ok(Json(gate.engine.plan().await?))
}

/// Stops everything.
///
/// Ends every process tree within seconds, even while the ledger refuses writes, and starts nothing
/// until the swarm is resumed. Says what is left.
#[utoipa::path(
    post, path = "/api/v1/swarm/halt", tag = "swarm",
    request_body = Option<HaltRequest>,
    responses((status = 200, description = "What was ended, and what is left.", body = HaltView)),
)]
pub(crate) async fn halt_swarm(
    State(gate): State<Gate>,
    Call { caller, input }: Call<HaltRequest>,
) -> Json<HaltView> {
    Json(gate.engine.halt_swarm(&caller, input).await)
}

/// Lets the swarm go on after everything was stopped.
///
/// Missions that were under way go on where they stood.
#[utoipa::path(
    post, path = "/api/v1/swarm/resume", tag = "swarm",
    responses((status = 204, description = "It goes on.")),
)]
pub(crate) async fn resume_swarm(
    State(gate): State<Gate>,
    Call { caller, .. }: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    gate.engine.resume_swarm(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Offers every failed mission to the agents again.
///
/// Says which ones, and which could not be.
#[utoipa::path(
    post, path = "/api/v1/recovery/restart-failed", tag = "swarm",
    responses((status = 200, description = "What was changed.", body = RecoveryReport)),
)]
pub(crate) async fn restart_failed(
    State(gate): State<Gate>,
    Call { caller, .. }: Call<Nothing>,
) -> Result<Json<RecoveryReport>, Problem> {
    Ok(Json(gate.engine.restart_failed(&caller).await?))
}

/// Moves every failed mission to the trash.
///
/// Says which ones, and which could not be.
#[utoipa::path(
    post, path = "/api/v1/recovery/clear-failed", tag = "swarm",
    responses((status = 200, description = "What was changed.", body = RecoveryReport)),
)]
pub(crate) async fn clear_failed(
    State(gate): State<Gate>,
    Call { caller, .. }: Call<Nothing>,
) -> Result<Json<RecoveryReport>, Problem> {
    Ok(Json(gate.engine.clear_failed(&caller).await?))
}

/// Compares the engine's own picture with the ledger.
///
/// Reads the ledger anew and takes up every attempt nobody works on; says which.
#[utoipa::path(
    post, path = "/api/v1/recovery/reconcile", tag = "swarm",
    responses((status = 200, description = "What was found and done.", body = ReconciledView)),
)]
pub(crate) async fn reconcile(
    State(gate): State<Gate>,
    _: Call<Nothing>,
) -> Result<Json<ReconciledView>, Problem> {
    Ok(Json(gate.engine.reconcile().await?))
}

/// Collects what is needed to understand what is wrong.
///
/// Checks, counts, settings, the last events and the end of the log, without briefs, outputs,
/// environments and what looks like a secret; it says what was left out.
#[utoipa::path(
    get, path = "/api/v1/diagnostics", tag = "house",
    responses((status = 200, description = "The file.", content((Object = "application/json")))),
)]
pub(crate) async fn get_diagnostics(State(gate): State<Gate>) -> Result<Response, Problem> {
    Ok(file(gate.engine.diagnostics().await?))
}
