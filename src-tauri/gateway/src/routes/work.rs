//! The work of attempts: reviews, diffs, conflicts, checkpoints and scans.

use axum::Json;
use axum::extract::State;
use engine::PatchQuery;
use engine::view::{
    Listing, NewCheckpoint, PatchView, Radar, RestoreView, ReviewView, ScanReport, ScanRequest,
};
use http::StatusCode;
use model::attempt::Checkpoint;
use model::id::{AttemptId, CheckpointId};

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::params::{Name, Params};
use crate::problem::Problem;

/// The most unchanged lines around a change.
const CONTEXT_LINES_MAX: u32 = 10_000;

/// Shows what a reviewer needs to see of a mission's work.
///
/// The changed files, what merging would do, other attempts on the same files, and whether the work
/// is still what its gates looked at. What could not be looked at is named among the problems.
#[utoipa::path(
    get, path = "/api/v1/missions/{id}/review", tag = "work",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    responses((status = 200, description = "The review.", body = ReviewView)),
)]
pub(crate) async fn review_mission(
    State(gate): State<Gate>,
    name: Name,
) -> Result<Json<ReviewView>, Problem> {
    Ok(Json(gate.engine.review(&name.0).await?))
}

/// Shows the patch of an attempt's work.
///
/// Of one file, a directory, or everything; at most 2 MiB of it.
#[utoipa::path(
    get, path = "/api/v1/attempts/{id}/diff", tag = "work",
    params(
        ("id" = AttemptId, Path, description = "The attempt's id."),
        ("path" = Option<String>, Query, description = "The file or directory, relative to the repository; all files unless given."),
        ("old_path" = Option<String>, Query, description = "Where the file was before, for a rename or a copy."),
        ("context" = Option<u32>, Query, description = "Unchanged lines around each change, 0 to 10000; 3 unless given."),
    ),
    responses((status = 200, description = "A unified diff.", body = PatchView)),
)]
pub(crate) async fn diff_attempt(
    State(gate): State<Gate>,
    name: Name,
    mut params: Params,
) -> Result<Json<PatchView>, Problem> {
    let attempt: AttemptId = name.parse("an attempt")?;
    let query = PatchQuery {
        path: params.text("path")?,
        old_path: params.text("old_path")?,
        context: params.number("context", 0..=CONTEXT_LINES_MAX)?,
    };
    params.done()?;
    Ok(Json(gate.engine.patch(attempt, query).await?))
}

/// Shows where attempts touch the same files.
///
/// Attempts that are not over, before either is merged, with the lines and a suggested order.
#[utoipa::path(
    get, path = "/api/v1/radar", tag = "work",
    responses((status = 200, description = "What was seen, at most 5 seconds ago.", body = Radar)),
)]
pub(crate) async fn radar(State(gate): State<Gate>) -> Result<Json<Radar>, Problem> {
    Ok(Json(gate.engine.radar().await?))
}

/// Lists the checkpoints of a mission.
///
/// Those of all its attempts, oldest first.
#[utoipa::path(
    get, path = "/api/v1/missions/{id}/checkpoints", tag = "work",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    responses((status = 200, description = "All of them.", body = Listing<Checkpoint>)),
)]
pub(crate) async fn list_checkpoints(
    State(gate): State<Gate>,
    name: Name,
) -> Result<Json<Listing<Checkpoint>>, Problem> {
    Ok(Json(gate.engine.checkpoints(&name.0).await?))
}

/// Makes a checkpoint of a mission's work.
///
/// Everything in the worktree of its latest attempt is kept, whether or not it is at work; nothing
/// in the worktree is touched.
#[utoipa::path(
    post, path = "/api/v1/missions/{id}/checkpoints", tag = "work",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    request_body = Option<NewCheckpoint>,
    responses((status = 201, description = "The checkpoint.", body = Checkpoint)),
)]
pub(crate) async fn make_checkpoint(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, input }: Call<NewCheckpoint>,
) -> Result<(StatusCode, Json<Checkpoint>), Problem> {
    let checkpoint = gate.engine.make_checkpoint(&caller, &name.0, input).await?;
    Ok((StatusCode::CREATED, Json(checkpoint)))
}

/// Takes an attempt's worktree back to a checkpoint.
///
/// Byte by byte; what was there before is kept. Refused while a process of the attempt lives. A
/// damaged checkpoint is refused too; `allowed` then names the newest sound one before it.
#[utoipa::path(
    post, path = "/api/v1/checkpoints/{id}/restore", tag = "work",
    params(("id" = CheckpointId, Path, description = "The checkpoint's id.")),
    responses((status = 200, description = "What was done.", body = RestoreView)),
)]
pub(crate) async fn restore_checkpoint(
    State(gate): State<Gate>,
    name: Name,
    call: Call<Nothing>,
) -> Result<Json<RestoreView>, Problem> {
    let id: CheckpointId = name.parse("a checkpoint")?;
    Ok(Json(gate.engine.restore_checkpoint(&call.caller, id).await?))
}

/// Scans a directory for files that are too long and lines that are there more than once.
///
/// Nothing is changed. What was not read in time, or was left out, is said in the report.
#[utoipa::path(
    post, path = "/api/v1/scan", tag = "work",
    request_body = ScanRequest,
    responses((status = 200, description = "The report.", body = ScanReport)),
)]
pub(crate) async fn scan(
    State(gate): State<Gate>,
    Call { input, .. }: Call<ScanRequest>,
) -> Result<Json<ScanReport>, Problem> {
    Ok(Json(gate.engine.scan(input).await?))
}
