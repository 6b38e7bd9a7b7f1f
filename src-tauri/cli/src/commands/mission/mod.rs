//! `hivekeeper mission`.

mod import;
mod make;
mod review;
mod show;
mod wait;

use std::process::ExitCode;

pub(crate) use review::{conflicts, order};

use engine::view::{CriterionMark, Listing, MergeWish, MissionDetail, MissionView, NewProgress};
use http::Method;
use model::mission::BRIEF_BYTES_MAX;

use crate::args::{Ask, Assign, Delete, ListMissions, Mission, Progress, SendBack};
use crate::commands::agent::absolute;
use crate::failure::Failure;
use crate::input::{self, Source};
use crate::out::{Out, remark, time, word};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// Carries it out.
pub(crate) async fn run(
    command: Mission,
    place: &Place,
    out: &mut Out,
) -> Result<ExitCode, Failure> {
    match command {
        Mission::List(args) => list(&args, place, out).await?,
        Mission::Show(which) => show::show(&which.mission, place, out).await?,
        Mission::Add(args) => make::add(*args, place, out).await?,
        Mission::Edit(args) => make::edit(*args, place, out).await?,
        Mission::Check(args) => return make::check(*args, place, out).await,
        Mission::Why(which) => show::why(&which.mission, place, out).await?,
        Mission::Review(which) => review::review(&which.mission, place, out).await?,
        Mission::Diff(args) => review::diff(&args, place, out).await?,
        Mission::Assign(args) => assign(&args, place, out).await?,
        Mission::Progress(args) => progress(args, place, out).await?,
        Mission::Delete(args) => delete(&args, place, out).await?,
        Mission::Import(args) => return import::run(args, place, out).await,
        Mission::Wait(args) => return wait::run(&args, place, out).await,
        asked => ask(asked, place, out).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a mission is found.
pub(crate) fn path(mission: &str) -> String {
    format!("/api/v1/missions/{}", encode(mission))
}

/// What scripts read of a mission.
pub(crate) fn brief(view: &MissionView) -> serde_json::Value {
    serde_json::json!({
        "id": view.mission.id,
        "short_id": view.mission.short_id,
        "state": view.mission.state,
    })
}

/// A mission in one line.
pub(crate) fn said(view: &MissionView) -> String {
    let reason = view.reason.as_deref().map(|reason| format!(" ({reason})"));
    format!(
        "{} {}: {}{}",
        view.mission.short_id,
        view.mission.title,
        view.mission.state,
        reason.unwrap_or_default()
    )
}

/// Prints what became of a mission.
pub(crate) fn tell(view: &MissionView, out: &mut Out) -> Result<(), Failure> {
    match out.is_json() {
        true => out.value(&brief(view)),
        false => out.line(&said(view)),
    }
}

async fn list(args: &ListMissions, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "list the missions";
    let remote = Remote::find(place, OPERATION)?;
    let repository = args.repo.as_deref().map(|repo| absolute(repo, OPERATION)).transpose()?;
    let mut query = format!("/api/v1/missions?limit={}", args.limit);
    for state in &args.state {
        query.push_str(&format!("&state={state}"));
    }
    let rest = [
        ("agent", &args.agent),
        ("text", &args.text),
        ("label", &args.label),
        ("repository", &repository),
        ("policy", &args.policy),
        ("cursor", &args.cursor),
    ];
    for (name, value) in rest {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={}", encode(value)));
        }
    }
    let missions: Listing<MissionView> = remote.get(OPERATION, &query).await?;
    if out.is_json() {
        return out.value(&missions);
    }
    if missions.items.is_empty() {
        return out.line("no missions: create one with 'hivekeeper mission add'");
    }
    let rows: Vec<Vec<String>> = missions
        .items
        .iter()
        .map(|view| {
            vec![
                view.mission.short_id.to_string(),
                view.mission.state.to_string(),
                word(&view.mission.priority),
                view.agent_name.clone().unwrap_or_default(),
                time(view.mission.updated_at),
                view.mission.title.clone(),
            ]
        })
        .collect();
    let head = ["ID", "STATE", "PRIORITY", "AGENT", "CHANGED", "TITLE"];
    out.table(&head, &rows)?;
    if let Some(next) = missions.next {
        remark(&format!("there is more: --cursor {next}"));
    }
    Ok(())
}

/// The brief itself, from a file, or from standard input.
fn read_brief(given: &str) -> Result<String, Failure> {
    Source {
        what: "the brief",
        given,
        bytes_max: BRIEF_BYTES_MAX,
        too_large: "put the long part into a file of the repository and name it in the brief",
    }
    .read()
}

async fn assign(args: &Assign, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let id = &args.which.mission;
    let body = engine::view::Assign { agent: args.agent.clone() };
    send(id, "assign", &body, place, out).await
}

/// Carries out what changes where a mission stands.
async fn ask(asked: Mission, place: &Place, out: &mut Out) -> Result<(), Failure> {
    use engine::view::Ask as Body;
    let plain =
        |ask: Ask, what| (ask.which.mission, what, Body { note: ask.note, ..Body::default() });
    let (id, what, body) = match asked {
        Mission::Accept(args) => {
            let (id, what, body) = plain(args.ask, "accept");
            let merge = args.merge.map(MergeWish::from);
            (id, what, Body { merge, reviewed: args.reviewed, ..body })
        }
        Mission::Pause(args) => {
            let (id, what, body) = plain(args.ask, "pause");
            (id, what, Body { keep_processes: args.keep_processes, ..body })
        }
        Mission::Retry(args) => {
            let (id, what, body) = plain(args.ask, "retry");
            (id, what, Body { fresh: args.fresh, ..body })
        }
        Mission::SendBack(args) => {
            let note = Some(read_note(&args)?);
            (args.which.mission, "send_back", Body { note, ..Body::default() })
        }
        Mission::Queue(args) => plain(args, "queue"),
        Mission::Reject(args) => plain(args, "reject"),
        Mission::Resume(args) => plain(args, "resume"),
        Mission::Cancel(args) => plain(args, "cancel"),
        // Everything else is carried out where the commands are told apart.
        _ => return Ok(()),
    };
    send(&id, what, &body, place, out).await
}

fn read_note(args: &SendBack) -> Result<String, Failure> {
    let source = Source {
        what: "the note",
        given: &args.note,
        bytes_max: BRIEF_BYTES_MAX,
        too_large: "say what is missing in fewer words",
    };
    source.read()
}

async fn send(
    id: &str,
    what: &str,
    body: &(impl serde::Serialize + Sync),
    place: &Place,
    out: &mut Out,
) -> Result<(), Failure> {
    let operation = format!("{} {id}", what.replace('_', " "));
    let remote = Remote::find(place, &operation)?;
    let to = format!("{}/{what}", path(id));
    let detail: MissionDetail = remote.post(&operation, &to, body).await?;
    tell(&detail.view, out)
}

async fn progress(args: Progress, place: &Place, out: &mut Out) -> Result<(), Failure> {
    // People count from 1, and no criterion has the number 0.
    let marks = |numbers: &[u32], met| -> Vec<CriterionMark> {
        numbers.iter().map(|n| CriterionMark { place: n - 1, met }).collect()
    };
    let mut criteria = marks(&args.met, true);
    criteria.extend(marks(&args.unmet, false));
    let body = NewProgress { percent: args.percent, text: args.text, criteria };
    send(&args.which.mission, "progress", &body, place, out).await
}

async fn delete(args: &Delete, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let id = &args.which.mission;
    let operation = format!("delete {id}");
    let remote = Remote::find(place, &operation)?;
    let question = format!("Move {id} to the trash, with its worktrees?");
    input::confirm(&operation, &question, args.yes)?;
    remote.change(&operation, Method::DELETE, &path(id), None).await?;
    if out.is_json() {
        return out.value(&serde_json::json!({"deleted": true, "mission": id}));
    }
    out.line(&format!("moved {id} to the trash; 'hivekeeper trash restore' brings it back"))
}
