//! Health: checks, how things are and were, and times of maintenance.

use axum::Json;
use axum::extract::{Extension, State};
use engine::CheckQuery;
use engine::view::{
    CheckHistory, CheckRun, CheckView, EditCheck, HealthCounts, Listing, MaintenanceView, NewCheck,
    NewMaintenance, NewReport, SubjectKind,
};
use http::StatusCode;
use model::health::HealthState;

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::etag::{IfMatch, Tag, Tagged};
use crate::params::{Name, Params};
use crate::problem::Problem;
use crate::rights::{Right, Role};

/// A check as this caller may see it, with the tag of what can be edited of it.
fn tagged(view: CheckView, role: Role) -> Tagged<CheckView> {
    let tag = tag_of(&view);
    Tagged(seen(view, role), tag)
}

fn tag_of(view: &CheckView) -> Tag {
    Tag::of(&(&view.name, &view.settings))
}

fn seen(view: CheckView, role: Role) -> CheckView {
    if role.may(Right::Administer) { view } else { view.told() }
}

/// Counts the checks.
///
/// How many are in order, degraded, failed, and unknown: of the engine's parts, the captain's own, and
/// agents.
#[utoipa::path(
    get, path = "/api/v1/health", tag = "health",
    responses((status = 200, description = "The counts.", body = HealthCounts)),
)]
pub(crate) async fn count_health(State(gate): State<Gate>) -> Json<HealthCounts> {
    Json(gate.engine.health_counts())
}

/// Lists the checks.
///
/// Those of the engine's parts, then the captain's own, then those of agents, each by name. Whoever may
/// not change checks sees no query of an address, and of a command the program alone.
#[utoipa::path(
    get, path = "/api/v1/health/checks", tag = "health",
    params(
        ("subject" = Option<SubjectKind>, Query, description = "Only those about this."),
        ("state" = Option<HealthState>, Query, description = "Only those that are so."),
        ("cursor" = Option<String>, Query, description = "Where the page before ended."),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 500; 500 unless given."),
    ),
    responses((status = 200, description = "A page of them.", body = Listing<CheckView>)),
)]
pub(crate) async fn list_checks(
    State(gate): State<Gate>,
    Extension(role): Extension<Role>,
    mut params: Params,
) -> Result<Json<Listing<CheckView>>, Problem> {
    let subject = word(params.text("subject")?, "subject", &SUBJECTS)?;
    let state =
        word(params.text("state")?, "state", &HealthState::ALL.map(|it| (it.as_str(), it)))?;
    let query =
        CheckQuery { subject, state, cursor: params.text("cursor")?, limit: params.limit()? };
    params.done()?;
    let Listing { items, next } = gate.engine.checks(&query)?;
    let items = items.into_iter().map(|view| seen(view, role)).collect();
    Ok(Json(Listing { items, next }))
}

const SUBJECTS: [(&str, SubjectKind); 3] =
    [("engine", SubjectKind::Engine), ("user", SubjectKind::User), ("agent", SubjectKind::Agent)];

/// Reads one of some words.
fn word<T: Copy>(
    text: Option<String>,
    name: &str,
    words: &[(&str, T)],
) -> Result<Option<T>, Problem> {
    let Some(text) = text else { return Ok(None) };
    match words.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(Some(*value)),
        None => {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            Err(Problem::invalid(format!("'{name}={text}' is none of {}", all.join(", "))))
        }
    }
}

/// Makes a check.
///
/// It is looked at at once, and then at its interval. It has failed after as many bad looks in a row as
/// it says, and is in order again after as many good ones.
#[utoipa::path(
    post, path = "/api/v1/health/checks", tag = "health",
    request_body(content = NewCheck, example = json!({
        "name": "shop", "interval_s": 30, "timeout_s": 5,
        "probe": {"kind": "http", "url": "http://127.0.0.1:3000/health", "slow_ms": 800},
    })),
    responses((status = 201, description = "The check.", body = CheckView)),
)]
pub(crate) async fn add_check(
    State(gate): State<Gate>,
    Extension(role): Extension<Role>,
    Call { caller, input }: Call<NewCheck>,
) -> Result<(StatusCode, Tagged<CheckView>), Problem> {
    let view = gate.engine.add_check(&caller, input).await?;
    Ok((StatusCode::CREATED, tagged(view, role)))
}

/// Shows a check.
///
/// How it is, since when and why, and how much of the time it was in order.
#[utoipa::path(
    get, path = "/api/v1/health/checks/{id}", tag = "health",
    params(("id" = String, Path, description = "The check's id.")),
    responses((status = 200, description = "The check.", body = CheckView)),
)]
pub(crate) async fn get_check(
    State(gate): State<Gate>,
    Extension(role): Extension<Role>,
    name: Name,
) -> Result<Tagged<CheckView>, Problem> {
    Ok(tagged(gate.engine.check(&name.0)?, role))
}

/// Changes a check.
///
/// What is not named stays. Where it looks at something else from then on, it begins anew; checks of the
/// engine's parts and of agents are always there, and cannot be changed.
#[utoipa::path(
    patch, path = "/api/v1/health/checks/{id}", tag = "health",
    params(
        ("id" = String, Path, description = "The check's id."),
        ("If-Match" = Option<String>, Header, description = "The ETag of the check you edited."),
    ),
    request_body(content = EditCheck, example = json!({"interval_s": 60})),
    responses((status = 200, description = "The check.", body = CheckView)),
)]
pub(crate) async fn edit_check(
    State(gate): State<Gate>,
    Extension(role): Extension<Role>,
    name: Name,
    wanted: IfMatch,
    Call { caller, input }: Call<EditCheck>,
) -> Result<Tagged<CheckView>, Problem> {
    let current = async || Ok(tag_of(&gate.engine.check(&name.0)?));
    let _alone = wanted.begin(&gate, &caller, current).await?;
    Ok(tagged(gate.engine.edit_check(&caller, &name.0, input).await?, role))
}

/// Removes a check.
///
/// With its history. One that another check needs stays.
#[utoipa::path(
    delete, path = "/api/v1/health/checks/{id}", tag = "health",
    params(("id" = String, Path, description = "The check's id.")),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove_check(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    gate.engine.remove_check(&caller, &name.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells how a check was.
///
/// Its last looks, the changes of its state, how much of the time it was in order, and how its outages
/// were.
#[utoipa::path(
    get, path = "/api/v1/health/checks/{id}/history", tag = "health",
    params(
        ("id" = String, Path, description = "The check's id."),
        ("from" = Option<String>, Query, description = "From here, RFC 3339; 24 hours before the end unless given."),
        ("to" = Option<String>, Query, description = "To here, RFC 3339; now unless given."),
    ),
    responses((status = 200, description = "How it was.", body = CheckHistory)),
)]
pub(crate) async fn get_check_history(
    State(gate): State<Gate>,
    name: Name,
    mut params: Params,
) -> Result<Json<CheckHistory>, Problem> {
    let (from, to) = (params.time("from")?, params.time("to")?);
    params.done()?;
    Ok(Json(gate.engine.check_history(&name.0, from, to).await?))
}

/// Looks at a check now.
///
/// Beside its interval; what is found counts as every look does.
#[utoipa::path(
    post, path = "/api/v1/health/checks/{id}/run", tag = "health",
    params(("id" = String, Path, description = "The check's id.")),
    responses((status = 200, description = "What was found.", body = CheckRun)),
)]
pub(crate) async fn run_check(
    State(gate): State<Gate>,
    Extension(role): Extension<Role>,
    name: Name,
    _: Call<Nothing>,
) -> Result<Json<CheckRun>, Problem> {
    let CheckRun { beat, check } = gate.engine.run_check(&name.0).await?;
    Ok(Json(CheckRun { beat, check: seen(check, role) }))
}

/// Reports to a check that waits.
///
/// That something begins, is done or alive, or failed. A check of the kind `heartbeat` has failed when
/// nothing is reported for its period and its grace.
#[utoipa::path(
    post, path = "/api/v1/health/checks/{id}/report", tag = "health",
    params(("id" = String, Path, description = "The check's id.")),
    request_body(content = NewReport, example = json!({"report": "success"})),
    responses((status = 200, description = "The check.", body = CheckView)),
)]
pub(crate) async fn report_to_check(
    State(gate): State<Gate>,
    Extension(role): Extension<Role>,
    name: Name,
    Call { caller, input }: Call<NewReport>,
) -> Result<Json<CheckView>, Problem> {
    Ok(Json(seen(gate.engine.report_to_check(&caller, &name.0, input).await?, role)))
}

/// Lists the times of maintenance.
///
/// The oldest first, and whether each is now.
#[utoipa::path(
    get, path = "/api/v1/health/maintenance", tag = "health",
    responses((status = 200, description = "All of them.", body = Listing<MaintenanceView>)),
)]
pub(crate) async fn list_maintenance(
    State(gate): State<Gate>,
) -> Result<Json<Listing<MaintenanceView>>, Problem> {
    Ok(Json(gate.engine.maintenance().await?))
}

/// Sets a time of maintenance.
///
/// While it lasts nobody looks at the checks it is for, and it counts neither for nor against them.
#[utoipa::path(
    post, path = "/api/v1/health/maintenance", tag = "health",
    request_body(content = NewMaintenance, example = json!({
        "from": "2026-03-14T22:00:00Z", "until": "2026-03-15T02:00:00Z", "recurs": "weekly",
        "zone": "Europe/Berlin", "note": "the database is moved",
    })),
    responses((status = 201, description = "The time of maintenance.", body = MaintenanceView)),
)]
pub(crate) async fn add_maintenance(
    State(gate): State<Gate>,
    Call { caller, input }: Call<NewMaintenance>,
) -> Result<(StatusCode, Json<MaintenanceView>), Problem> {
    let view = gate.engine.add_maintenance(&caller, input).await?;
    Ok((StatusCode::CREATED, Json(view)))
}

/// Calls a time of maintenance off.
///
/// One that is now ends.
#[utoipa::path(
    delete, path = "/api/v1/health/maintenance/{id}", tag = "health",
    params(("id" = model::id::MaintenanceId, Path, description = "The maintenance's id.")),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove_maintenance(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    gate.engine.remove_maintenance(&caller, name.parse("a maintenance")?).await?;
    Ok(StatusCode::NO_CONTENT)
}
