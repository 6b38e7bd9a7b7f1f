//! How well agents work.

use axum::Json;
use axum::extract::State;
use engine::EFFICIENCY_LAST_S_MAX;
use engine::view::{EfficiencyView, Listing};

use crate::Gate;
use crate::params::{Name, Params};
use crate::problem::Problem;

/// How far back the figures reach unless the request says so, in seconds: a week.
const LAST_S_DEFAULT: u32 = 7 * 86_400;
/// The shortest time that can be asked for, in seconds.
const LAST_S_MIN: u32 = 60;

/// Shows how well the agents work.
///
/// Counted anew from the ledger: what ended in the last so many seconds, against the same time before
/// and against the other agents. Each figure has the number of cases it rests on, and is nothing where
/// there are none.
#[utoipa::path(
    get, path = "/api/v1/efficiency", tag = "agents",
    params(("last" = Option<u32>, Query, description = "How many seconds back, 60 to a year; 604800, a week, unless given.")),
    responses((status = 200, description = "Every agent, by name.", body = Listing<EfficiencyView>)),
)]
pub(crate) async fn list_efficiency(
    State(gate): State<Gate>,
    params: Params,
) -> Result<Json<Listing<EfficiencyView>>, Problem> {
    let last_s = last(params)?;
    Ok(Json(gate.engine.efficiency(last_s).await?))
}

/// Shows how well an agent works.
///
/// As for all agents, of this one only; the others are still what it is compared with.
#[utoipa::path(
    get, path = "/api/v1/agents/{id}/efficiency", tag = "agents",
    params(
        ("id" = String, Path, description = "The agent's id or name."),
        ("last" = Option<u32>, Query, description = "How many seconds back, 60 to a year; 604800, a week, unless given."),
    ),
    responses((status = 200, description = "The agent's figures.", body = EfficiencyView)),
)]
pub(crate) async fn get_efficiency(
    State(gate): State<Gate>,
    name: Name,
    params: Params,
) -> Result<Json<EfficiencyView>, Problem> {
    let last_s = last(params)?;
    Ok(Json(gate.engine.agent_efficiency(&name.0, last_s).await?))
}

fn last(mut params: Params) -> Result<u32, Problem> {
    let last_s = params.number("last", LAST_S_MIN..=EFFICIENCY_LAST_S_MAX)?;
    params.done()?;
    Ok(last_s.unwrap_or(LAST_S_DEFAULT))
}
