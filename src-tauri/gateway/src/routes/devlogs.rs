//! Devlogs: what was done, written from facts.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use engine::view::Listing;
use engine::{DevlogQuery, Format};
use model::devlog::Devlog;
use model::id::DevlogId;

use crate::Gate;
use crate::params::{Name, Params};
use crate::problem::Problem;
use crate::routes::{file, format};

/// Lists the devlogs.
///
/// The newest first, a page at a time.
#[utoipa::path(
    get, path = "/api/v1/devlogs", tag = "devlogs",
    params(
        ("mission" = Option<String>, Query, description = "Only devlogs of this mission."),
        ("text" = Option<String>, Query, description = "Only devlogs with this text."),
        ("cursor" = Option<String>, Query, description = "Where the page before ended."),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 500; 100 unless given."),
    ),
    responses((status = 200, description = "One page.", body = Listing<Devlog>)),
)]
pub(crate) async fn list_devlogs(
    State(gate): State<Gate>,
    mut params: Params,
) -> Result<Json<Listing<Devlog>>, Problem> {
    let query = DevlogQuery {
        mission: params.text("mission")?,
        text: params.text("text")?,
        cursor: params.text("cursor")?,
        limit: params.limit()?,
    };
    params.done()?;
    Ok(Json(gate.engine.devlogs(query).await?))
}

/// Shows a devlog.
///
/// The entry itself is Markdown.
#[utoipa::path(
    get, path = "/api/v1/devlogs/{id}", tag = "devlogs",
    params(("id" = DevlogId, Path, description = "The devlog's id.")),
    responses((status = 200, description = "The devlog.", body = Devlog)),
)]
pub(crate) async fn get_devlog(
    State(gate): State<Gate>,
    name: Name,
) -> Result<Json<Devlog>, Problem> {
    let id: DevlogId = name.parse("a devlog")?;
    Ok(Json(gate.engine.devlog(id).await?))
}

/// Exports a devlog.
///
/// As a file: Markdown, or one HTML page that needs nothing else.
#[utoipa::path(
    get, path = "/api/v1/devlogs/{id}/export", tag = "devlogs",
    params(
        ("id" = DevlogId, Path, description = "The devlog's id."),
        ("format" = Option<String>, Query, description = "md or html; md unless given."),
    ),
    responses((status = 200, description = "The file.",
        content((String = "text/markdown"), (String = "text/html")))),
)]
pub(crate) async fn export_devlog(
    State(gate): State<Gate>,
    name: Name,
    mut params: Params,
) -> Result<Response, Problem> {
    let id: DevlogId = name.parse("a devlog")?;
    let wanted = params.text("format")?;
    params.done()?;
    let format = format(wanted.as_deref(), &[Format::Markdown, Format::Html])?;
    Ok(file(gate.engine.export_devlog(id, format).await?))
}
