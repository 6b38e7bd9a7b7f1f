//! The whole at a glance, and the state of the house.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::Verification;
use engine::view::{Check, Listing, Overview};
use http::{HeaderValue, StatusCode, header};
use model::refusal::Code;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Gate;
use crate::problem::Problem;

/// Shows the whole swarm at a glance.
///
/// Agents and missions by state, what waits for the captain, the machine's load and the engine's
/// own use.
#[utoipa::path(
    get, path = "/api/v1/overview", tag = "swarm",
    responses((status = 200, description = "The swarm as it is now.", body = Overview)),
)]
pub(crate) async fn overview(State(gate): State<Gate>) -> Result<Json<Overview>, Problem> {
    Ok(Json(gate.engine.overview().await?))
}

/// Checks what the engine needs.
///
/// Each check says what was looked at, what was found and what to do about it.
#[utoipa::path(
    get, path = "/api/v1/doctor", tag = "house",
    responses((status = 200, description = "The checks, in their order.", body = Listing<Check>)),
)]
pub(crate) async fn doctor(State(gate): State<Gate>) -> Result<Json<Listing<Check>>, Problem> {
    let items = gate.engine.doctor().await;
    Ok(Json(Listing { items, next: None }))
}

/// What a check of the ledger found.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct VerificationView {
    /// Whether everything is as it must be.
    pub sound: bool,
    /// Events whose links were checked.
    pub events: u64,
    /// The last event's hash.
    pub head: String,
    /// What is wrong, in words a person reads.
    pub findings: Vec<String>,
}

impl From<Verification> for VerificationView {
    fn from(found: Verification) -> Self {
        Self {
            sound: found.is_sound(),
            events: found.events,
            head: found.head,
            findings: found.findings.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Checks the ledger.
///
/// Every link of its hash chain, its head file, the database file, and every row against the
/// events it follows from.
#[utoipa::path(
    get, path = "/api/v1/verification", tag = "house",
    responses((status = 200, description = "What was found.", body = VerificationView)),
)]
pub(crate) async fn verify(State(gate): State<Gate>) -> Result<Json<VerificationView>, Problem> {
    Ok(Json(gate.engine.verify().await?.into()))
}

/// That a process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    status: &'static str,
}

/// Says that the process answers.
///
/// Needs no token and looks at nothing.
#[utoipa::path(
    get, path = "/healthz", tag = "house", security(()),
    responses((status = 200, description = "The process answers.", body = Health)),
)]
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Says whether the engine can work.
///
/// Needs no token; reads from the ledger.
#[utoipa::path(
    get, path = "/readyz", tag = "house", security(()),
    responses(
        (status = 200, description = "The ledger answers.", body = Health),
        (status = 503, description = "The ledger does not answer.", body = Problem,
            content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn ready(State(gate): State<Gate>) -> Result<Json<Health>, Problem> {
    match gate.engine.is_ready().await {
        Ok(()) => Ok(Json(Health { status: "ok" })),
        Err(refusal) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::Busy,
            format!("the engine is not ready: {refusal}"),
        )
        .retry_after(1)),
    }
}

/// Describes this API.
///
/// The OpenAPI 3.1 description that clients are generated from.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "house",
    responses((status = 200, description = "The description.", body = Object)),
)]
pub(crate) async fn get_openapi() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], crate::openapi::COMMITTED).into_response()
}
