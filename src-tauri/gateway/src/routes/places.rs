//! The places of work: worktrees and the trash.

use axum::Json;
use axum::extract::State;
use engine::view::{CleanRequest, CleanView, Listing, TrashRestored, TrashView, Worktrees};
use engine::{TrashQuery, WorktreeQuery};
use http::StatusCode;
use model::id::TrashId;

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::params::{Name, Params};
use crate::problem::Problem;

/// Lists the worktrees of attempts.
///
/// How large and how old they are, what of them is nowhere else, and what keeps each from being
/// cleaned up. Those of the newest attempts first, a page at a time.
#[utoipa::path(
    get, path = "/api/v1/worktrees", tag = "places",
    params(
        ("cursor" = Option<String>, Query, description = "Where the page before ended."),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 500; 100 unless given."),
    ),
    responses((status = 200, description = "One page.", body = Worktrees)),
)]
pub(crate) async fn list_worktrees(
    State(gate): State<Gate>,
    mut params: Params,
) -> Result<Json<Worktrees>, Problem> {
    let query = WorktreeQuery { cursor: params.text("cursor")?, limit: params.limit()? };
    params.done()?;
    Ok(Json(gate.engine.worktrees(query).await?))
}

/// Cleans up worktrees.
///
/// What can go without losing anything is moved to the trash; without `apply` it is only said. Kept
/// is what is live, dirty or unmerged, and what could not be looked at.
#[utoipa::path(
    post, path = "/api/v1/worktrees/clean", tag = "places",
    request_body = CleanRequest,
    responses((status = 200, description = "What was, or would be, moved.", body = CleanView)),
)]
pub(crate) async fn clean_worktrees(
    State(gate): State<Gate>,
    Call { caller, input }: Call<CleanRequest>,
) -> Result<Json<CleanView>, Problem> {
    Ok(Json(gate.engine.clean(&caller, input).await?))
}

/// Lists what is in the trash.
///
/// The newest first, a page at a time.
#[utoipa::path(
    get, path = "/api/v1/trash", tag = "places",
    params(
        ("cursor" = Option<String>, Query, description = "Where the page before ended."),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 500; 100 unless given."),
    ),
    responses((status = 200, description = "One page.", body = Listing<TrashView>)),
)]
pub(crate) async fn list_trash(
    State(gate): State<Gate>,
    mut params: Params,
) -> Result<Json<Listing<TrashView>>, Problem> {
    let query = TrashQuery { cursor: params.text("cursor")?, limit: params.limit()? };
    params.done()?;
    Ok(Json(gate.engine.trash(query).await?))
}

/// Restores something from the trash.
///
/// A worktree comes back to where it was, a mission to the lists with the worktrees that went with
/// it.
#[utoipa::path(
    post, path = "/api/v1/trash/{id}/restore", tag = "places",
    params(("id" = TrashId, Path, description = "Its id in the trash.")),
    responses((status = 200, description = "What came back.", body = TrashRestored)),
)]
pub(crate) async fn restore_from_trash(
    State(gate): State<Gate>,
    name: Name,
    call: Call<Nothing>,
) -> Result<Json<TrashRestored>, Problem> {
    let id: TrashId = name.parse("something in the trash")?;
    Ok(Json(gate.engine.restore_from_trash(&call.caller, id).await?))
}

/// Removes something from the trash for good.
///
/// Of a worktree its files and the commit that kept them, never its branch. This cannot be undone.
#[utoipa::path(
    delete, path = "/api/v1/trash/{id}", tag = "places",
    params(("id" = TrashId, Path, description = "Its id in the trash.")),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn purge_from_trash(
    State(gate): State<Gate>,
    name: Name,
    call: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    let id: TrashId = name.parse("something in the trash")?;
    gate.engine.purge_from_trash(&call.caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
