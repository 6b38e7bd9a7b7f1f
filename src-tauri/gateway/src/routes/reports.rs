//! Reports: a mission or a day, as a file.

use axum::extract::State;
use axum::response::Response;
use engine::{Format, ReportQuery, ReportTarget};

use crate::Gate;
use crate::params::{Name, Params};
use crate::problem::Problem;
use crate::routes::{file, format};

/// Reports on a mission.
///
/// From facts alone: what was asked, every attempt, its gates, commits, resources and duration.
#[utoipa::path(
    get, path = "/api/v1/reports/mission/{id}", tag = "reports",
    params(
        ("id" = String, Path, description = "The mission's id, short id or unique prefix of it."),
        ("format" = Option<String>, Query, description = "md, html or json; md unless given."),
        ("zone" = Option<String>, Query, description = "The time zone times are written in, such as Europe/Berlin; UTC unless given."),
    ),
    responses((status = 200, description = "The file.",
        content((String = "text/markdown"), (String = "text/html"), (Object = "application/json")))),
)]
pub(crate) async fn report_mission(
    State(gate): State<Gate>,
    name: Name,
    params: Params,
) -> Result<Response, Problem> {
    report(&gate, ReportTarget::Mission(name.0), params).await
}

/// Reports on a day.
///
/// From facts alone: every attempt that ended on it, and what the machine and the agents used.
#[utoipa::path(
    get, path = "/api/v1/reports/day/{day}", tag = "reports",
    params(
        ("day" = String, Path, description = "The day, as YYYY-MM-DD."),
        ("format" = Option<String>, Query, description = "md, html or json; md unless given."),
        ("zone" = Option<String>, Query, description = "The time zone the day is meant in, such as Europe/Berlin; UTC unless given."),
    ),
    responses((status = 200, description = "The file.",
        content((String = "text/markdown"), (String = "text/html"), (Object = "application/json")))),
)]
pub(crate) async fn report_day(
    State(gate): State<Gate>,
    name: Name,
    params: Params,
) -> Result<Response, Problem> {
    report(&gate, ReportTarget::Day(name.0), params).await
}

async fn report(gate: &Gate, of: ReportTarget, mut params: Params) -> Result<Response, Problem> {
    let wanted = params.text("format")?;
    let zone = params.text("zone")?;
    params.done()?;
    let among = [Format::Markdown, Format::Html, Format::Json];
    let format = format(wanted.as_deref(), &among)?;
    Ok(file(gate.engine.report(ReportQuery { of, format, zone }).await?))
}
