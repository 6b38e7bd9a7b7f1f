//! Missions: what is to be done, and what the captain asks of it.

use axum::Json;
use axum::extract::State;
use engine::MissionQuery;
use engine::view::{Ask, Assign, Listing, MissionDetail, MissionView, NewMission, RepositoryView};
use http::StatusCode;
use model::mission::MissionState;
use model::transition::{MISSION_TABLE, MissionInput};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Gate;
use crate::call::Call;
use crate::params::{Name, Params};
use crate::problem::Problem;

/// Lists the missions.
///
/// The newest first, a page at a time.
#[utoipa::path(
    get, path = "/api/v1/missions", tag = "missions",
    params(
        ("state" = Option<Vec<MissionState>>, Query,
            description = "Only missions in these states; repeated, or separated by commas."),
        ("agent" = Option<String>, Query, description = "Only missions of this agent (id or name)."),
        ("text" = Option<String>, Query, description = "Only missions with this text."),
        ("cursor" = Option<String>, Query, description = "Where the page before ended."),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 500; 100 unless given."),
    ),
    responses((status = 200, description = "One page.", body = Listing<MissionView>)),
)]
pub(crate) async fn list_missions(
    State(gate): State<Gate>,
    mut params: Params,
) -> Result<Json<Listing<MissionView>>, Problem> {
    let query = MissionQuery {
        states: states(&params.all("state"))?,
        agent: params.text("agent")?,
        text: params.text("text")?,
        cursor: params.text("cursor")?,
        limit: params.limit()?,
    };
    params.done()?;
    Ok(Json(gate.engine.missions(query).await?))
}

fn states(values: &[String]) -> Result<Vec<MissionState>, Problem> {
    values
        .iter()
        .flat_map(|value| value.split(','))
        .map(|word| {
            word.trim().parse().map_err(|error| {
                let known: Vec<_> = MissionState::ALL.map(MissionState::as_str).into();
                Problem::invalid(format!("'state': {error}"))
                    .hint(format!("the states are {}", known.join(", ")))
            })
        })
        .collect()
}

/// Creates a mission.
///
/// It waits for an agent at once, unless it is to be kept as a draft.
#[utoipa::path(
    post, path = "/api/v1/missions", tag = "missions",
    request_body = NewMission,
    responses((status = 201, description = "The mission.", body = MissionDetail)),
)]
pub(crate) async fn add_mission(
    State(gate): State<Gate>,
    Call { caller, input }: Call<NewMission>,
) -> Result<(StatusCode, Json<MissionDetail>), Problem> {
    let mission = gate.engine.add_mission(&caller, input).await?;
    Ok((StatusCode::CREATED, Json(mission)))
}

/// Shows a mission.
///
/// Everything about it: the brief, what was proved, and every attempt with its gates.
#[utoipa::path(
    get, path = "/api/v1/missions/{id}", tag = "missions",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    responses((status = 200, description = "The mission.", body = MissionDetail)),
)]
pub(crate) async fn get_mission(
    State(gate): State<Gate>,
    name: Name,
) -> Result<Json<MissionDetail>, Problem> {
    Ok(Json(gate.engine.mission(&name.0).await?))
}

async fn ask(
    gate: &Gate,
    name: &Name,
    what: MissionInput,
    call: Call<Ask>,
) -> Result<Json<MissionDetail>, Problem> {
    let mission = gate.engine.ask_mission(&call.caller, &name.0, what, call.input).await?;
    Ok(Json(mission))
}

/// Offers a draft to the agents.
///
/// From then on it waits for an agent.
#[utoipa::path(
    post, path = "/api/v1/missions/{id}/queue", tag = "missions",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    request_body = Option<Ask>,
    responses((status = 200, description = "The mission.", body = MissionDetail)),
)]
pub(crate) async fn queue_mission(
    State(gate): State<Gate>,
    name: Name,
    call: Call<Ask>,
) -> Result<Json<MissionDetail>, Problem> {
    ask(&gate, &name, MissionInput::Queue, call).await
}

/// Accepts the work of a mission in review.
///
/// The mission is done, with the captain's word as evidence.
#[utoipa::path(
    post, path = "/api/v1/missions/{id}/accept", tag = "missions",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    request_body = Option<Ask>,
    responses((status = 200, description = "The mission.", body = MissionDetail)),
)]
pub(crate) async fn accept_mission(
    State(gate): State<Gate>,
    name: Name,
    call: Call<Ask>,
) -> Result<Json<MissionDetail>, Problem> {
    ask(&gate, &name, MissionInput::Accept, call).await
}

/// Rejects the work of a mission in review.
///
/// The mission has failed; its work stays on its branch.
#[utoipa::path(
    post, path = "/api/v1/missions/{id}/reject", tag = "missions",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    request_body = Option<Ask>,
    responses((status = 200, description = "The mission.", body = MissionDetail)),
)]
pub(crate) async fn reject_mission(
    State(gate): State<Gate>,
    name: Name,
    call: Call<Ask>,
) -> Result<Json<MissionDetail>, Problem> {
    ask(&gate, &name, MissionInput::Reject, call).await
}

/// Holds a mission back.
///
/// It gets no agent until it is resumed.
#[utoipa::path(
    post, path = "/api/v1/missions/{id}/pause", tag = "missions",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    request_body = Option<Ask>,
    responses((status = 200, description = "The mission.", body = MissionDetail)),
)]
pub(crate) async fn pause_mission(
    State(gate): State<Gate>,
    name: Name,
    call: Call<Ask>,
) -> Result<Json<MissionDetail>, Problem> {
    ask(&gate, &name, MissionInput::Pause, call).await
}

/// Lets a paused mission go on.
///
/// It waits for an agent again.
#[utoipa::path(
    post, path = "/api/v1/missions/{id}/resume", tag = "missions",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    request_body = Option<Ask>,
    responses((status = 200, description = "The mission.", body = MissionDetail)),
)]
pub(crate) async fn resume_mission(
    State(gate): State<Gate>,
    name: Name,
    call: Call<Ask>,
) -> Result<Json<MissionDetail>, Problem> {
    ask(&gate, &name, MissionInput::Resume, call).await
}

/// Calls a mission off.
///
/// An attempt under way is stopped; what it left stays.
#[utoipa::path(
    post, path = "/api/v1/missions/{id}/cancel", tag = "missions",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    request_body = Option<Ask>,
    responses((status = 200, description = "The mission.", body = MissionDetail)),
)]
pub(crate) async fn cancel_mission(
    State(gate): State<Gate>,
    name: Name,
    call: Call<Ask>,
) -> Result<Json<MissionDetail>, Problem> {
    ask(&gate, &name, MissionInput::Cancel, call).await
}

/// Asks for another attempt.
///
/// The mission waits for an agent again, with a fresh count of tries.
#[utoipa::path(
    post, path = "/api/v1/missions/{id}/retry", tag = "missions",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    request_body = Option<Ask>,
    responses((status = 200, description = "The mission.", body = MissionDetail)),
)]
pub(crate) async fn retry_mission(
    State(gate): State<Gate>,
    name: Name,
    call: Call<Ask>,
) -> Result<Json<MissionDetail>, Problem> {
    ask(&gate, &name, MissionInput::Retry, call).await
}

/// Chooses the agent of a mission.
///
/// Nothing as agent leaves the choice to the scheduler.
#[utoipa::path(
    post, path = "/api/v1/missions/{id}/assign", tag = "missions",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    request_body = Assign,
    responses((status = 200, description = "The mission.", body = MissionDetail)),
)]
pub(crate) async fn assign_mission(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, input }: Call<Assign>,
) -> Result<Json<MissionDetail>, Problem> {
    let mission = gate.engine.assign_mission(&caller, &name.0, input).await?;
    Ok(Json(mission))
}

/// One line of the published table.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Transition {
    /// From this state,
    from: MissionState,
    /// on this input,
    input: MissionInput,
    /// to this state,
    to: MissionState,
    /// provided that.
    guard: &'static str,
    /// What is set off.
    effects: &'static str,
}

/// Shows the published transition table.
///
/// A mission changes its state by a line of this table or not at all.
#[utoipa::path(
    get, path = "/api/v1/mission-table", tag = "missions",
    responses((status = 200, description = "Every line.", body = Vec<Transition>)),
)]
pub(crate) async fn get_mission_table() -> Json<Vec<Transition>> {
    let lines = MISSION_TABLE.iter().map(|rule| Transition {
        from: rule.from,
        input: rule.input,
        to: rule.to,
        guard: rule.guard,
        effects: rule.effects,
    });
    Json(lines.collect())
}

/// Looks at a directory as a git repository.
///
/// Says what an attempt would start from and what is not committed. Changes nothing.
#[utoipa::path(
    get, path = "/api/v1/repositories", tag = "missions",
    params(("path" = String, Query, description = "A directory inside of the checkout.")),
    responses((status = 200, description = "The repository.", body = RepositoryView)),
)]
pub(crate) async fn inspect_repository(
    State(gate): State<Gate>,
    mut params: Params,
) -> Result<Json<RepositoryView>, Problem> {
    let path = params.text("path")?;
    params.done()?;
    let path = path.ok_or_else(|| Problem::invalid("'path' is missing"))?;
    Ok(Json(gate.engine.inspect_repository(&path).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_repeated_or_separated_by_commas() {
        let read = states(&["queued,running".into(), "done".into()]).unwrap();
        assert_eq!(read, [MissionState::Queued, MissionState::Running, MissionState::Done]);
        let problem = states(&["dnoe".into()]).unwrap_err();
        assert_eq!(problem.status, 422);
        assert!(problem.hint.unwrap().contains("in_review"));
    }
}
