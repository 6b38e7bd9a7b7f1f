//! Backups of the ledger.

use axum::Json;
use axum::extract::State;
use engine::view::{BackupView, Listing};
use http::StatusCode;

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::problem::Problem;

/// Lists the backups.
///
/// The newest first, with the one that is being made and how far it is.
#[utoipa::path(
    get, path = "/api/v1/backups", tag = "house",
    responses((status = 200, description = "The backups.", body = Listing<BackupView>)),
)]
pub(crate) async fn list_backups(
    State(gate): State<Gate>,
) -> Result<Json<Listing<BackupView>>, Problem> {
    Ok(Json(gate.engine.backups().await?))
}

/// Makes a backup.
///
/// Begins to copy the ledger as it is now, and to verify the copy, while work goes on; the list says how
/// far it is. `hivekeeper restore` puts one back while no engine runs.
#[utoipa::path(
    post, path = "/api/v1/backups", tag = "house",
    responses((status = 202, description = "It was begun.", body = BackupView)),
)]
pub(crate) async fn make_backup(
    State(gate): State<Gate>,
    Call { caller, .. }: Call<Nothing>,
) -> Result<(StatusCode, Json<BackupView>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(gate.engine.back_up(&caller)?)))
}
