//! `hivekeeper mission`.

use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use engine::live::{Frame, Payload};
use engine::view::{AttemptView, Listing, MissionDetail, MissionView, NewMission};
use futures::{Stream, StreamExt as _};
use gateway::ClientError;
use model::id::MissionId;
use model::mission::{self as words, BRIEF_BYTES_MAX, MissionState};

use crate::args::{AddMission, Ask, Assign, ListMissions, Mission, Policy, Priority, Wait};
use crate::commands::agent::absolute;
use crate::failure::Failure;
use crate::out::{Out, remark, time, word};
use crate::remote::{Place, Remote};
use crate::selector::encode;

/// How long to wait before listening again after the stream broke.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);

/// Carries it out.
pub(crate) async fn run(
    command: Mission,
    place: &Place,
    out: &mut Out,
) -> Result<ExitCode, Failure> {
    match command {
        Mission::List(args) => list(&args, place, out).await?,
        Mission::Show(which) => show(&which.mission, place, out).await?,
        Mission::Add(args) => add(*args, place, out).await?,
        Mission::Assign(args) => assign(&args, place, out).await?,
        Mission::Queue(ask) => change(&ask, "queue", place, out).await?,
        Mission::Accept(ask) => change(&ask, "accept", place, out).await?,
        Mission::Reject(ask) => change(&ask, "reject", place, out).await?,
        Mission::Pause(ask) => change(&ask, "pause", place, out).await?,
        Mission::Resume(ask) => change(&ask, "resume", place, out).await?,
        Mission::Cancel(ask) => change(&ask, "cancel", place, out).await?,
        Mission::Retry(ask) => change(&ask, "retry", place, out).await?,
        Mission::Wait(args) => return wait(&args, place, out).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a mission is found.
pub(crate) fn path(mission: &str) -> String {
    format!("/api/v1/missions/{}", encode(mission))
}

/// What scripts read of a mission.
fn brief(view: &MissionView) -> serde_json::Value {
    serde_json::json!({
        "id": view.mission.id,
        "short_id": view.mission.short_id,
        "state": view.mission.state,
    })
}

fn said(view: &MissionView) -> String {
    let reason = view.reason.as_deref().map(|reason| format!(" ({reason})"));
    format!(
        "{} {}: {}{}",
        view.mission.short_id,
        view.mission.title,
        view.mission.state,
        reason.unwrap_or_default()
    )
}

async fn list(args: &ListMissions, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "list the missions";
    let remote = Remote::find(place, OPERATION)?;
    let mut query = format!("/api/v1/missions?limit={}", args.limit);
    for state in &args.state {
        query.push_str(&format!("&state={state}"));
    }
    let rest = [("agent", &args.agent), ("text", &args.text), ("cursor", &args.cursor)];
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

async fn show(id: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let operation = format!("show the mission {id}");
    let remote = Remote::find(place, &operation)?;
    let detail: MissionDetail = remote.get(&operation, &path(id)).await?;
    if out.is_json() {
        return out.value(&detail);
    }
    let mission = &detail.view.mission;
    let gates: Vec<String> = mission.gates.iter().map(|gate| gate.label()).collect();
    let allowed: Vec<&str> = detail.view.allowed.iter().map(|input| input.as_str()).collect();
    out.pairs(&[
        ("mission", format!("{} {}", mission.short_id, mission.title)),
        ("id", mission.id.to_string()),
        ("state", mission.state.to_string()),
        ("reason", detail.view.reason.clone().unwrap_or_default()),
        (
            "evidence",
            format!("{}, {} needed", word(&detail.evidence.grade), word(&detail.evidence.needed)),
        ),
        ("agent", detail.view.agent_name.clone().unwrap_or_default()),
        ("repository", mission.repository.clone().unwrap_or_default()),
        ("gates", gates.join("; ")),
        ("priority", word(&mission.priority)),
        ("policy", word(&mission.policy)),
        ("created", time(mission.created_at)),
        ("changed", time(mission.updated_at)),
        ("possible", allowed.join(", ")),
    ])?;
    for attempt in &detail.attempts {
        show_attempt(attempt, out)?;
    }
    out.line("")?;
    for line in detail.brief.lines() {
        out.line(line)?;
    }
    Ok(())
}

fn show_attempt(view: &AttemptView, out: &mut Out) -> Result<(), Failure> {
    let attempt = &view.attempt;
    out.line("")?;
    out.line(&format!(
        "attempt {} by {}: {}",
        attempt.n,
        view.agent.as_deref().unwrap_or("a removed agent"),
        word(&attempt.state)
    ))?;
    let work = attempt.work.as_ref();
    let branch = attempt.workplace.as_ref().and_then(|place| place.branch.clone());
    out.pairs(&[
        ("  began", time(attempt.leased_at)),
        ("  ended", attempt.ended_at.map(time).unwrap_or_default()),
        ("  program", view.ended.clone().unwrap_or_default()),
        ("  note", attempt.note.clone().unwrap_or_default()),
        ("  branch", branch.unwrap_or_default()),
        (
            "  changes",
            work.map_or_else(String::new, |work| {
                format!(
                    "{} commits, {} files, +{} -{}",
                    work.commits.len(),
                    work.diff.files,
                    work.diff.insertions,
                    work.diff.deletions
                )
            }),
        ),
    ])?;
    for gate in &view.gates {
        out.line(&format!(
            "  {:9}  {}: {}",
            gate.verdict.as_str(),
            gate.gate.label(),
            gate.reason
        ))?;
    }
    Ok(())
}

async fn add(args: AddMission, place: &Place, out: &mut Out) -> Result<(), Failure> {
    const OPERATION: &str = "create the mission";
    let new = NewMission {
        title: args.title,
        brief: read_brief(&args.brief)?,
        agent: args.agent,
        repository: args.repo.map(|repo| absolute(&repo, OPERATION)).transpose()?,
        gates: args.gates,
        priority: match args.priority {
            Priority::Urgent => words::Priority::Urgent,
            Priority::High => words::Priority::High,
            Priority::Normal => words::Priority::Normal,
            Priority::Low => words::Priority::Low,
        },
        policy: match args.policy {
            Policy::Trusting => words::Policy::Trusting,
            Policy::Standard => words::Policy::Standard,
            Policy::Strict => words::Policy::Strict,
        },
        retries: args.retries,
        draft: args.draft,
    };
    let remote = Remote::find(place, OPERATION)?;
    let detail: MissionDetail = remote.post(OPERATION, "/api/v1/missions", &new).await?;
    if out.is_json() {
        return out.value(&brief(&detail.view));
    }
    out.line(&said(&detail.view))
}

/// The brief itself, from a file, or from standard input.
fn read_brief(text: &str) -> Result<String, Failure> {
    let (from, mut source): (String, Box<dyn std::io::Read>) = match text.strip_prefix('@') {
        Some(file) => {
            let opened = std::fs::File::open(file).map_err(|error| {
                Failure::new(format!("read the brief from {file}"))
                    .because(&error)
                    .hint("@ is followed by the path of a file; without @ it is the brief itself")
            })?;
            (file.to_owned(), Box::new(opened))
        }
        None if text == "-" => ("standard input".to_owned(), Box::new(std::io::stdin())),
        None => return Ok(text.to_owned()),
    };
    let operation = format!("read the brief from {from}");
    let mut bytes = Vec::new();
    source
        .by_ref()
        .take(BRIEF_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(&operation).because(&error))?;
    if bytes.len() > BRIEF_BYTES_MAX {
        return Err(Failure::new(&operation)
            .since("it is larger than 1 MiB")
            .hint("put the long part into a file of the repository and name it in the brief"));
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(&operation)
            .since("it is not UTF-8 text")
            .hint("save it as UTF-8, such as with 'iconv -t UTF-8'")
    })
}

async fn assign(args: &Assign, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let id = &args.which.mission;
    let body = engine::view::Assign { agent: args.agent.clone() };
    send(id, "assign", &body, place, out).await
}

async fn change(ask: &Ask, what: &str, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let body = engine::view::Ask { note: ask.note.clone() };
    send(&ask.which.mission, what, &body, place, out).await
}

async fn send(
    id: &str,
    what: &str,
    body: &(impl serde::Serialize + Sync),
    place: &Place,
    out: &mut Out,
) -> Result<(), Failure> {
    let operation = format!("{what} {id}");
    let remote = Remote::find(place, &operation)?;
    let to = format!("{}/{what}", path(id));
    let detail: MissionDetail = remote.post(&operation, &to, body).await?;
    if out.is_json() {
        return out.value(&brief(&detail.view));
    }
    out.line(&said(&detail.view))
}

/// How a wait ended.
enum Waited {
    Reached(MissionView),
    Final(MissionView),
}

async fn wait(args: &Wait, place: &Place, out: &mut Out) -> Result<ExitCode, Failure> {
    let id = &args.which.mission;
    let operation = format!("wait for {id}");
    let remote = Remote::find(place, &operation)?;
    let reached = until(&remote, id, &args.states, &operation);
    let waited = match args.timeout {
        None => reached.await?,
        Some(time) => match tokio::time::timeout(time, reached).await {
            Ok(waited) => waited?,
            Err(_) => {
                let now: MissionDetail = remote.get(&operation, &path(id)).await?;
                return missed(&now.view, &operation, "the time is over", out);
            }
        },
    };
    match waited {
        Waited::Reached(view) => {
            tell(&view, out)?;
            Ok(ExitCode::SUCCESS)
        }
        Waited::Final(view) => missed(&view, &operation, "nothing more happens by itself", out),
    }
}

fn tell(view: &MissionView, out: &mut Out) -> Result<(), Failure> {
    if out.is_json() {
        let mut value = brief(view);
        value["reason"] = view.reason.clone().into();
        return out.value(&value);
    }
    out.line(&said(view))
}

fn missed(
    view: &MissionView,
    operation: &str,
    why: &str,
    out: &mut Out,
) -> Result<ExitCode, Failure> {
    tell(view, out)?;
    out.flush()?;
    Err(Failure::new(operation).since(format!("it is {}, and {why}", view.mission.state)))
}

/// Listens before it looks, so that no change falls between the two.
async fn until(
    remote: &Remote,
    id: &str,
    states: &[MissionState],
    operation: &str,
) -> Result<Waited, Failure> {
    loop {
        let mut frames = match remote.client().live(None, None).await {
            Ok(frames) => std::pin::pin!(frames),
            Err(error) => return Err(Failure::unasked(operation, &error)),
        };
        loop {
            let detail: MissionDetail = remote.get(operation, &path(id)).await?;
            let view = detail.view;
            if states.contains(&view.mission.state) {
                return Ok(Waited::Reached(view));
            }
            if view.mission.state.is_final() {
                return Ok(Waited::Final(view));
            }
            if !changed(&mut frames, view.mission.id).await {
                break;
            }
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

/// Waits for news of a mission; `false` when the stream has ended.
async fn changed(
    frames: &mut (impl Stream<Item = Result<Frame, ClientError>> + Unpin),
    id: MissionId,
) -> bool {
    while let Some(Ok(frame)) = frames.next().await {
        let news = match &frame.payload {
            Payload::Event { event } => event.subject.mission_id == Some(id),
            Payload::Reset => true,
            Payload::Swarm { .. } => false,
        };
        if news {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brief_is_the_text_or_the_file_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("brief.md");
        std::fs::write(&file, "do it").unwrap();
        let named = format!("@{}", file.display());
        assert_eq!(read_brief("plain").unwrap(), "plain");
        assert_eq!(read_brief(&named).unwrap(), "do it");
        let gone = read_brief("@/nowhere/at/all").unwrap_err().to_string();
        assert!(gone.contains("/nowhere/at/all"), "{gone}");
        std::fs::write(&file, vec![b'x'; BRIEF_BYTES_MAX]).unwrap();
        assert_eq!(read_brief(&named).unwrap().len(), BRIEF_BYTES_MAX);
        std::fs::write(&file, vec![b'x'; BRIEF_BYTES_MAX + 1]).unwrap();
        let large = read_brief(&named).unwrap_err().to_string();
        assert!(large.contains("1 MiB"), "{large}");
        std::fs::write(&file, b"\xff").unwrap();
        assert!(read_brief(&named).unwrap_err().to_string().contains("UTF-8"));
    }
}
