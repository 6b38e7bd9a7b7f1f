//! What the captain decides once for all missions: settings, policies and templates.

use axum::Json;
use axum::extract::State;
use engine::view::{Listing, TemplateView};
use http::StatusCode;
use model::policy::Policy;
use model::settings::{Settings, Template};
use serde::Serialize;

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::etag::{IfMatch, Tag, Tagged};
use crate::params::Name;
use crate::problem::Problem;

fn tagged<T: Serialize>(what: T) -> Tagged<T> {
    let tag = Tag::of(&what);
    Tagged(what, tag)
}

/// Shows the settings of the workspace.
///
/// What holds for every mission unless it says otherwise.
#[utoipa::path(
    get, path = "/api/v1/settings", tag = "house",
    responses((status = 200, description = "The settings.", body = Settings)),
)]
pub(crate) async fn get_settings(State(gate): State<Gate>) -> Result<Tagged<Settings>, Problem> {
    Ok(tagged(gate.engine.settings().await?))
}

/// Changes the settings of the workspace.
///
/// What is not named goes back to its default.
#[utoipa::path(
    put, path = "/api/v1/settings", tag = "house",
    params(("If-Match" = Option<String>, Header, description = "The ETag of what you edited.")),
    request_body = Settings,
    responses((status = 200, description = "The settings.", body = Settings)),
)]
pub(crate) async fn put_settings(
    State(gate): State<Gate>,
    wanted: IfMatch,
    Call { caller, input }: Call<Settings>,
) -> Result<Tagged<Settings>, Problem> {
    let current = async || Ok(Tag::of(&gate.engine.settings().await?));
    let _alone = wanted.begin(&gate, &caller, current).await?;
    Ok(tagged(gate.engine.configure(&caller, input).await?))
}

/// Lists the policies.
///
/// Those that come with the program, then the captain's own by name.
#[utoipa::path(
    get, path = "/api/v1/policies", tag = "policies",
    responses((status = 200, description = "All of them.", body = Listing<Policy>)),
)]
pub(crate) async fn list_policies(
    State(gate): State<Gate>,
) -> Result<Json<Listing<Policy>>, Problem> {
    Ok(Json(gate.engine.policies().await?))
}

/// Shows a policy.
///
/// By its name.
#[utoipa::path(
    get, path = "/api/v1/policies/{name}", tag = "policies",
    params(("name" = String, Path, description = "The policy's name.")),
    responses((status = 200, description = "The policy.", body = Policy)),
)]
pub(crate) async fn get_policy(
    State(gate): State<Gate>,
    name: Name,
) -> Result<Tagged<Policy>, Problem> {
    Ok(tagged(gate.engine.policy(&name.0).await?))
}

/// Creates or changes a policy.
///
/// Missions that are there stay as they are.
#[utoipa::path(
    put, path = "/api/v1/policies/{name}", tag = "policies",
    params(
        ("name" = String, Path, description = "The policy's name, as in the body."),
        ("If-Match" = Option<String>, Header, description = "The ETag of what you edited."),
    ),
    request_body = Policy,
    responses((status = 200, description = "The policy.", body = Policy)),
)]
pub(crate) async fn put_policy(
    State(gate): State<Gate>,
    name: Name,
    wanted: IfMatch,
    Call { caller, input }: Call<Policy>,
) -> Result<Tagged<Policy>, Problem> {
    let current = async || Ok(Tag::of(&gate.engine.policy(&name.0).await?));
    let _alone = wanted.begin(&gate, &caller, current).await?;
    Ok(tagged(gate.engine.save_policy(&caller, &name.0, input).await?))
}

/// Removes a policy.
///
/// Missions that are there stay as they are.
#[utoipa::path(
    delete, path = "/api/v1/policies/{name}", tag = "policies",
    params(("name" = String, Path, description = "The policy's name.")),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove_policy(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    gate.engine.remove_policy(&caller, &name.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the templates.
///
/// Missions to make missions from, with the places to be filled.
#[utoipa::path(
    get, path = "/api/v1/templates", tag = "templates",
    responses((status = 200, description = "All of them.", body = Listing<TemplateView>)),
)]
pub(crate) async fn list_templates(
    State(gate): State<Gate>,
) -> Result<Json<Listing<TemplateView>>, Problem> {
    Ok(Json(gate.engine.templates().await?))
}

/// Shows a template.
///
/// By its name.
#[utoipa::path(
    get, path = "/api/v1/templates/{name}", tag = "templates",
    params(("name" = String, Path, description = "The template's name.")),
    responses((status = 200, description = "The template.", body = TemplateView)),
)]
pub(crate) async fn get_template(
    State(gate): State<Gate>,
    name: Name,
) -> Result<Tagged<TemplateView>, Problem> {
    Ok(tagged(gate.engine.template(&name.0).await?))
}

/// Creates or changes a template.
///
/// Missions that are there stay as they are.
#[utoipa::path(
    put, path = "/api/v1/templates/{name}", tag = "templates",
    params(
        ("name" = String, Path, description = "The template's name, as in the body."),
        ("If-Match" = Option<String>, Header, description = "The ETag of what you edited."),
    ),
    request_body = Template,
    responses((status = 200, description = "The template.", body = TemplateView)),
)]
pub(crate) async fn put_template(
    State(gate): State<Gate>,
    name: Name,
    wanted: IfMatch,
    Call { caller, input }: Call<Template>,
) -> Result<Tagged<TemplateView>, Problem> {
    let current = async || Ok(Tag::of(&gate.engine.template(&name.0).await?));
    let _alone = wanted.begin(&gate, &caller, current).await?;
    Ok(tagged(gate.engine.save_template(&caller, &name.0, input).await?))
}

/// Removes a template.
///
/// Missions that are there stay as they are.
#[utoipa::path(
    delete, path = "/api/v1/templates/{name}", tag = "templates",
    params(("name" = String, Path, description = "The template's name.")),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove_template(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    gate.engine.remove_template(&caller, &name.0).await?;
    Ok(StatusCode::NO_CONTENT)
}
