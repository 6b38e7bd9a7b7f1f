//! Presets: the agents known by name, and how agents' processes are kept together.

use axum::Json;
use axum::extract::State;
use engine::view::{PresetList, PresetTest, SupervisionView};

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::params::Name;
use crate::problem::Problem;

/// Lists the presets.
///
/// The agents known by name, those found on this machine first. Each program that is there is asked
/// for its version, at most once a minute.
#[utoipa::path(
    get, path = "/api/v1/presets", tag = "agents",
    responses((status = 200, description = "Every preset in force.", body = PresetList)),
)]
pub(crate) async fn list_presets(State(gate): State<Gate>) -> Json<PresetList> {
    Json(gate.engine.presets().await)
}

/// Tries a preset.
///
/// Starts its program in a directory of its own, greets it and ends it, within a minute. Nothing is
/// asked of its model. Closing the connection ends it at once.
#[utoipa::path(
    post, path = "/api/v1/presets/{name}/test", tag = "agents",
    params(("name" = String, Path, description = "The preset's name.")),
    responses((status = 200, description = "What came of it.", body = PresetTest)),
)]
pub(crate) async fn try_preset(
    State(gate): State<Gate>,
    name: Name,
    _: Call<Nothing>,
) -> Result<Json<PresetTest>, Problem> {
    Ok(Json(gate.engine.try_preset(&name.0).await?))
}

/// Says how agents' processes are kept together.
///
/// The way in force on this machine, the others, and what an agent's sandbox protects here and what
/// it does not.
#[utoipa::path(
    get, path = "/api/v1/supervision", tag = "agents",
    responses((status = 200, description = "How, and what that means.", body = SupervisionView)),
)]
pub(crate) async fn get_supervision(State(gate): State<Gate>) -> Json<SupervisionView> {
    Json(gate.engine.supervision().await)
}
