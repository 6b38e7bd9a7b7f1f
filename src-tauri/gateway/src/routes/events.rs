//! Events: the log that everything is computed from.

use axum::Json;
use axum::extract::State;
use engine::EventQuery;
use engine::view::Listing;
use model::event::Event;

use crate::Gate;
use crate::params::Params;
use crate::problem::Problem;

/// Lists the events.
///
/// The newest first, a page at a time.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events",
    params(
        ("mission" = Option<String>, Query, description = "Only events of this mission."),
        ("agent" = Option<String>, Query, description = "Only events of this agent."),
        ("kind" = Option<String>, Query, description = "Only events of this kind, such as mission_moved."),
        ("cursor" = Option<String>, Query, description = "Where the page before ended."),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 500; 100 unless given."),
    ),
    responses((status = 200, description = "One page.", body = Listing<Event>)),
)]
pub(crate) async fn list_events(
    State(gate): State<Gate>,
    mut params: Params,
) -> Result<Json<Listing<Event>>, Problem> {
    let query = EventQuery {
        mission: params.text("mission")?,
        agent: params.text("agent")?,
        kind: params.text("kind")?,
        cursor: params.text("cursor")?,
        limit: params.limit()?,
    };
    params.done()?;
    Ok(Json(gate.engine.events(query).await?))
}
