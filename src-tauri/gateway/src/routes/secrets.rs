//! Secrets: their names, and new values for them; no value is ever told.

use axum::Json;
use axum::extract::State;
use engine::view::{SecretValue, SecretView, SecretsView};
use http::StatusCode;

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::params::Name;
use crate::problem::Problem;

/// Lists the secrets.
///
/// Their names, where they are kept, and which agents use them. Their values are told to nobody.
#[utoipa::path(
    get, path = "/api/v1/secrets", tag = "secrets",
    responses((status = 200, description = "The secrets.", body = SecretsView)),
)]
pub(crate) async fn list_secrets(State(gate): State<Gate>) -> Result<Json<SecretsView>, Problem> {
    Ok(Json(gate.engine.secrets().await?))
}

/// Keeps a secret.
///
/// The value before is gone. An agent whose environment says `secret:NAME` has it from its next start,
/// and it is taken out of everything that agent prints.
#[utoipa::path(
    put, path = "/api/v1/secrets/{name}", tag = "secrets",
    params(("name" = String, Path, description = "Letters, digits, `_`, `-` and `.`; at most 64.")),
    request_body(content = SecretValue, example = json!({"value": "correct horse battery staple"})),
    responses((status = 200, description = "The secret, without its value.", body = SecretView)),
)]
pub(crate) async fn keep_secret(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, input }: Call<SecretValue>,
) -> Result<Json<SecretView>, Problem> {
    Ok(Json(gate.engine.keep_secret(&caller, &name.0, &input.value).await?))
}

/// Removes a secret.
///
/// Agents whose environments name it do not start any more.
#[utoipa::path(
    delete, path = "/api/v1/secrets/{name}", tag = "secrets",
    params(("name" = String, Path, description = "The secret's name.")),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove_secret(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    gate.engine.remove_secret(&caller, &name.0).await?;
    Ok(StatusCode::NO_CONTENT)
}
