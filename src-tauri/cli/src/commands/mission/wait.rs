//! Waiting for a mission.

use std::process::ExitCode;
use std::time::Duration;

use engine::live::{Frame, LiveTopic, Payload};
use engine::view::{MissionDetail, MissionView};
use futures::{Stream, StreamExt as _};
use gateway::ClientError;
use model::id::MissionId;
use model::mission::MissionState;

use super::{brief, path, said};
use crate::args::Wait;
use crate::failure::Failure;
use crate::out::Out;
use crate::remote::{Place, Remote};

/// How long to wait before listening again after the stream broke.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);

/// How a wait ended.
enum Waited {
    Reached(MissionView),
    Final(MissionView),
}

/// Carries it out.
pub(super) async fn run(args: &Wait, place: &Place, out: &mut Out) -> Result<ExitCode, Failure> {
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
            told(&view, out)?;
            Ok(ExitCode::SUCCESS)
        }
        Waited::Final(view) => missed(&view, &operation, "nothing more happens by itself", out),
    }
}

fn told(view: &MissionView, out: &mut Out) -> Result<(), Failure> {
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
    told(view, out)?;
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
        let mut frames = match remote.client().live(None, &[LiveTopic::Events]).await {
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
            Payload::Events { events } => {
                events.iter().any(|event| event.subject.mission_id == Some(id))
            }
            // What came before was either looked at already or is told by now.
            Payload::CaughtUp { .. } => true,
            _ => false,
        };
        if news {
            return true;
        }
    }
    false
}
