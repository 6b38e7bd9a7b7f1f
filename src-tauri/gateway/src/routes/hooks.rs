//! Hooks: commands that run when something happens.

use axum::Json;
use axum::extract::State;
use engine::view::{EditHook, HookRun, HookView, Listing, NewHook};
use http::StatusCode;
use model::event::Fact;
use model::id::HookId;

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::etag::{IfMatch, Tag, Tagged};
use crate::params::Name;
use crate::problem::Problem;

fn tagged(view: HookView) -> Tagged<HookView> {
    let tag = Tag::of(&view.hook);
    Tagged(view, tag)
}

/// Lists the hooks.
///
/// The oldest first, with how they do in this run of the engine.
#[utoipa::path(
    get, path = "/api/v1/hooks", tag = "hooks",
    responses((status = 200, description = "All of them.", body = Listing<HookView>)),
)]
pub(crate) async fn list_hooks(
    State(gate): State<Gate>,
) -> Result<Json<Listing<HookView>>, Problem> {
    Ok(Json(gate.engine.hooks().await?))
}

/// Makes a hook.
///
/// Its command runs on what happens from then on, with the event as one line of JSON on its standard
/// input, within limits of time, memory and rate.
#[utoipa::path(
    post, path = "/api/v1/hooks", tag = "hooks",
    request_body(content = NewHook, example = json!({
        "name": "tell me", "command": ["notify-send", "Hivekeeper", "a mission moved"],
        "events": ["mission_moved"], "timeout_s": 5,
    })),
    responses((status = 201, description = "The hook.", body = HookView)),
)]
pub(crate) async fn add_hook(
    State(gate): State<Gate>,
    Call { caller, input }: Call<NewHook>,
) -> Result<(StatusCode, Tagged<HookView>), Problem> {
    Ok((StatusCode::CREATED, tagged(gate.engine.add_hook(&caller, input).await?)))
}

/// Shows a hook.
///
/// With how it does in this run of the engine.
#[utoipa::path(
    get, path = "/api/v1/hooks/{id}", tag = "hooks",
    params(("id" = HookId, Path, description = "The hook's id.")),
    responses((status = 200, description = "The hook.", body = HookView)),
)]
pub(crate) async fn get_hook(
    State(gate): State<Gate>,
    name: Name,
) -> Result<Tagged<HookView>, Problem> {
    Ok(tagged(gate.engine.hook(name.parse("a hook")?).await?))
}

/// Changes a hook.
///
/// What is not named stays. One that is switched on again begins anew: its failures are forgotten.
#[utoipa::path(
    patch, path = "/api/v1/hooks/{id}", tag = "hooks",
    params(
        ("id" = HookId, Path, description = "The hook's id."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the hook you edited."),
    ),
    request_body(content = EditHook, example = json!({"enabled": true})),
    responses((status = 200, description = "The hook.", body = HookView)),
)]
pub(crate) async fn edit_hook(
    State(gate): State<Gate>,
    name: Name,
    wanted: IfMatch,
    Call { caller, input }: Call<EditHook>,
) -> Result<Tagged<HookView>, Problem> {
    let id = name.parse("a hook")?;
    let current = async || Ok(Tag::of(&gate.engine.hook(id).await?.hook));
    let _alone = wanted.begin(&gate, &caller, current).await?;
    Ok(tagged(gate.engine.edit_hook(&caller, id, input).await?))
}

/// Removes a hook.
///
/// A run of it that is under way comes to its end.
#[utoipa::path(
    delete, path = "/api/v1/hooks/{id}", tag = "hooks",
    params(("id" = HookId, Path, description = "The hook's id.")),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove_hook(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    gate.engine.remove_hook(&caller, name.parse("a hook")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tries a hook out.
///
/// Runs it now on the newest event of a kind it listens to, switched on or not, for 25 s at most, and
/// answers with how that ended. It counts for nothing.
#[utoipa::path(
    post, path = "/api/v1/hooks/{id}/test", tag = "hooks",
    params(("id" = HookId, Path, description = "The hook's id.")),
    responses((status = 200, description = "How it ended.", body = HookRun)),
)]
pub(crate) async fn try_hook(
    State(gate): State<Gate>,
    name: Name,
    _: Call<Nothing>,
) -> Result<Json<HookRun>, Problem> {
    Ok(Json(gate.engine.try_hook(name.parse("a hook")?).await?))
}

/// Lists the last runs of a hook.
///
/// The newest first, at most 50, of this run of the engine: how each ended, what it printed last, and
/// the limit it came to.
#[utoipa::path(
    get, path = "/api/v1/hooks/{id}/runs", tag = "hooks",
    params(("id" = HookId, Path, description = "The hook's id.")),
    responses((status = 200, description = "The runs.", body = Listing<HookRun>)),
)]
pub(crate) async fn list_hook_runs(
    State(gate): State<Gate>,
    name: Name,
) -> Result<Json<Listing<HookRun>>, Problem> {
    Ok(Json(gate.engine.hook_runs(name.parse("a hook")?).await?))
}

/// Lists the kinds of events.
///
/// Every word that an event can have as its kind, and a hook can listen to.
#[utoipa::path(
    get, path = "/api/v1/events/kinds", tag = "events",
    responses((status = 200, description = "The words.", body = Listing<String>)),
)]
pub(crate) async fn list_event_kinds() -> Json<Listing<String>> {
    Json(Listing { items: Fact::kinds().to_vec(), next: None })
}
