//! Missions: what is to be done, and what the captain asks of it.

use axum::Json;
use axum::extract::State;
use engine::MissionQuery;
use engine::view::{
    Ask, Assign, CiResult, EditMission, ImportRequest, ImportResult, Listing, MissionCheck,
    MissionDetail, MissionView, NewMission, NewProgress, RepositoryView, Why,
};
use http::StatusCode;
use model::mission::MissionState;
use model::transition::MissionInput;

use crate::Gate;
use crate::call::{Call, Nothing};
use crate::etag::{IfMatch, Tag, Tagged};
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
        ("label" = Option<String>, Query, description = "Only missions with this label."),
        ("repository" = Option<String>, Query, description = "Only missions on this repository, by its root."),
        ("policy" = Option<String>, Query, description = "Only missions under this policy."),
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
        label: params.text("label")?,
        repository: params.text("repository")?,
        policy: params.text("policy")?,
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
/// It waits for an agent at once, unless it is to be kept as a draft. Missions that say nearly the
/// same are named in the answer; with `if_similar: ask` they keep it from being created.
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
) -> Result<Tagged<MissionDetail>, Problem> {
    Ok(tagged(gate.engine.mission(&name.0).await?))
}

/// The tag names what can be edited, so that it stays while the mission moves on.
fn tag_of(detail: &MissionDetail) -> Tag {
    let it = &detail.view.mission;
    let texts = (&it.title, &detail.brief, &it.policy, &it.repository, &it.target, &it.links);
    let plan = (&it.priority, &it.labels, &it.skills, &it.depends_on, &it.deadline, &it.estimate);
    let proof = (&it.gates, &it.proof, &it.retries_max, &it.backoff_s, &it.hand_over);
    let criteria: Vec<&str> = it.criteria.iter().map(|criterion| criterion.text.as_str()).collect();
    Tag::of(&(it.id, texts, plan, proof, criteria, &it.external_id, it.unattended, it.agent))
}

fn tagged(detail: MissionDetail) -> Tagged<MissionDetail> {
    let tag = tag_of(&detail);
    Tagged(detail, tag)
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
/// The mission is done, with the captain's word as evidence. Where asked, exactly the reviewed
/// commit is merged into the target branch first.
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
/// It gets no agent until it is resumed. Work under way is stopped at a checkpoint, or its
/// processes are held where they are.
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
/// It waits for an agent again; processes that were held go on.
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
/// The mission waits for an agent again, with a fresh count of tries. The agent goes on from the
/// work of the attempt before, unless it is to start anew.
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

/// Sends the work of a mission in review back.
///
/// The mission waits for an agent again; the next attempt gets the note and goes on from the work.
#[utoipa::path(
    post, path = "/api/v1/missions/{id}/send_back", tag = "missions",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    request_body = Ask,
    responses((status = 200, description = "The mission.", body = MissionDetail)),
)]
pub(crate) async fn send_back_mission(
    State(gate): State<Gate>,
    name: Name,
    call: Call<Ask>,
) -> Result<Json<MissionDetail>, Problem> {
    ask(&gate, &name, MissionInput::SendBack, call).await
}

/// Changes a mission.
///
/// Only what is named changes, and only while no attempt is under way.
#[utoipa::path(
    patch, path = "/api/v1/missions/{id}", tag = "missions",
    params(
        ("id" = String, Path, description = "The mission's id, short id or unique prefix of it."),
        ("If-Match" = Option<String>, Header, description = "The ETag of what you edited."),
    ),
    request_body = EditMission,
    responses((status = 200, description = "The mission.", body = MissionDetail)),
)]
pub(crate) async fn edit_mission(
    State(gate): State<Gate>,
    name: Name,
    wanted: IfMatch,
    Call { caller, input }: Call<EditMission>,
) -> Result<Tagged<MissionDetail>, Problem> {
    let current = async || Ok(tag_of(&gate.engine.mission(&name.0).await?));
    let _alone = wanted.begin(&gate, &caller, current).await?;
    Ok(tagged(gate.engine.edit_mission(&caller, &name.0, input).await?))
}

/// Removes a finished mission or a draft.
///
/// It can be restored from the trash for as long as the settings say.
#[utoipa::path(
    delete, path = "/api/v1/missions/{id}", tag = "missions",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    responses((status = 204, description = "It is in the trash.")),
)]
pub(crate) async fn remove_mission(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, .. }: Call<Nothing>,
) -> Result<StatusCode, Problem> {
    gate.engine.remove_mission(&caller, &name.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says what would become of a mission.
///
/// Its policy, gates, estimate and suggested agents, missions that say nearly the same, and what
/// would keep it from being created. Nothing is created.
#[utoipa::path(
    post, path = "/api/v1/missions/check", tag = "missions",
    request_body = NewMission,
    responses((status = 200, description = "What it would be.", body = MissionCheck)),
)]
pub(crate) async fn check_mission(
    State(gate): State<Gate>,
    Call { input, .. }: Call<NewMission>,
) -> Result<Json<MissionCheck>, Problem> {
    Ok(Json(gate.engine.check_mission(input).await?))
}

/// Makes missions from a document.
///
/// Markdown with headings, JSON, CSV, or the text of an issue. Without `apply` it is a preview that
/// changes nothing. The same document again changes what changed and makes no second missions.
#[utoipa::path(
    post, path = "/api/v1/missions/import", tag = "missions",
    request_body = ImportRequest,
    responses((status = 200, description = "What became of each mission of it.", body = ImportResult)),
)]
pub(crate) async fn import_missions(
    State(gate): State<Gate>,
    Call { caller, input }: Call<ImportRequest>,
) -> Result<Json<ImportResult>, Problem> {
    Ok(Json(gate.engine.import(&caller, input).await?))
}

/// Explains why a mission waits and went to whom.
///
/// What it waits for, who would get it now, and what was decided for each attempt.
#[utoipa::path(
    get, path = "/api/v1/missions/{id}/why", tag = "missions",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    responses((status = 200, description = "The reasons.", body = Why)),
)]
pub(crate) async fn explain_mission(
    State(gate): State<Gate>,
    name: Name,
) -> Result<Json<Why>, Problem> {
    Ok(Json(gate.engine.why(&name.0).await?))
}

/// Says how far a mission is.
///
/// A report and no evidence: it never decides that a mission is done.
#[utoipa::path(
    post, path = "/api/v1/missions/{id}/progress", tag = "missions",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    request_body = NewProgress,
    responses((status = 200, description = "The mission.", body = MissionDetail)),
)]
pub(crate) async fn report_progress(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, input }: Call<NewProgress>,
) -> Result<Json<MissionDetail>, Problem> {
    Ok(Json(gate.engine.progress_mission(&caller, &name.0, input).await?))
}

/// Takes in what a build server found.
///
/// It is evidence for the commit it names; a failed one keeps the mission from being done.
#[utoipa::path(
    post, path = "/api/v1/missions/{id}/ci", tag = "missions",
    params(("id" = String, Path, description = "The mission's id, short id or unique prefix of it.")),
    request_body = CiResult,
    responses((status = 200, description = "The mission.", body = MissionDetail)),
)]
pub(crate) async fn take_ci_result(
    State(gate): State<Gate>,
    name: Name,
    Call { caller, input }: Call<CiResult>,
) -> Result<Json<MissionDetail>, Problem> {
    Ok(Json(gate.engine.take_ci(&caller, &name.0, input).await?))
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
