//! What this engine is, and what it uses itself.

use axum::Json;
use axum::extract::State;
use engine::view::About;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::Gate;
use crate::pace::ApiFigures;
use crate::problem::Problem;

/// What this engine is, what it uses, and how fast it answers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct AboutView {
    /// The engine.
    #[serde(flatten)]
    engine: About,
    /// How fast its API answers.
    api: ApiFigures,
}

/// Says what this engine is and what it uses.
///
/// Its version and place, its memory and processor use, the sizes of what it keeps, what waits inside
/// of it, and how fast its API answered in the last minutes.
#[utoipa::path(
    get, path = "/api/v1/about", tag = "house",
    responses((status = 200, description = "The engine as it is now.", body = AboutView)),
)]
pub(crate) async fn about(State(gate): State<Gate>) -> Result<Json<AboutView>, Problem> {
    let engine = gate.engine.about().await?;
    Ok(Json(AboutView { engine, api: gate.pace.figures(Instant::now()) }))
}
