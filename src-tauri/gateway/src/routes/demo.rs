//! The demo swarm: real local processes that do small real work.

use axum::Json;
use axum::extract::State;
use engine::view::DemoView;
use http::StatusCode;

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::problem::Problem;

/// Starts the demo swarm.
///
/// Real agents and missions in a scratch repository, all labelled as demo.
#[utoipa::path(
    post, path = "/api/v1/demo", tag = "demo",
    responses((status = 201, description = "The demo swarm.", body = DemoView)),
)]
pub(crate) async fn start_demo(
    State(gate): State<Gate>,
    Call { caller, .. }: Call<Nothing>,
) -> Result<(StatusCode, Json<DemoView>), Problem> {
    let demo = gate.engine.start_demo(&caller).await?;
    Ok((StatusCode::CREATED, Json(demo)))
}

/// Removes the demo swarm.
///
/// Stops its processes and removes its agents, missions, devlogs and repository.
#[utoipa::path(
    delete, path = "/api/v1/demo", tag = "demo",
    responses((status = 204, description = "The demo swarm is gone.")),
)]
pub(crate) async fn remove_demo(
    State(gate): State<Gate>,
    Call { caller, .. }: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    gate.engine.remove_demo(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}
