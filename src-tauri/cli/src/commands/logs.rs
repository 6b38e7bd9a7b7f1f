//! `hivekeeper logs`: what an attempt printed, or what passed between it and its agent.

use std::time::Duration;

use engine::view::{AgentView, AttemptView, MissionDetail, TranscriptChunk};

use crate::args::Logs;
use crate::commands::{conversation, mission};
use crate::failure::Failure;
use crate::out::{Out, Sanitizer};
use crate::remote::{Place, Remote};

/// Bytes read at once.
const CHUNK_BYTES: u32 = 256 * 1024;
/// How long the engine waits for more output before it answers, in milliseconds.
const WAIT_MS: u32 = 10_000;
/// How often to look whether a mission has its first attempt.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Carries it out.
pub(crate) async fn run(args: &Logs, place: &Place, out: &mut Out) -> Result<(), Failure> {
    let id = &args.which.mission;
    let operation = format!("read the output of {id}");
    let remote = Remote::find(place, &operation)?;
    let attempt = find(id, args.attempt, args.follow, &remote, &operation).await?;
    if !args.raw && !args.stderr && is_talked_with(&attempt, &remote, &operation).await? {
        let talk = conversation::Talk { id: attempt.attempt.id, mission: id, follow: args.follow };
        return talk.print(&remote, &operation, out).await;
    }
    let attempt = attempt.attempt.id;
    let stream = if args.stderr { "stderr" } else { "stdout" };
    let wait_ms = if args.follow { WAIT_MS } else { 0 };
    let mut offset = 0;
    let mut terminal = Sanitizer::default();
    loop {
        let path = format!(
            "/api/v1/attempts/{attempt}/transcript?stream={stream}&offset={offset}\
             &max_bytes={CHUNK_BYTES}&wait_ms={wait_ms}"
        );
        let chunk: TranscriptChunk = remote.get(&operation, &path).await?;
        if !chunk.text.is_empty() {
            if out.is_json() {
                out.value(&chunk)?;
                out.flush()?;
            } else {
                out.transcript(&chunk.text, &mut terminal)?;
            }
        }
        let more = chunk.next_offset < chunk.size && chunk.next_offset > offset;
        offset = chunk.next_offset;
        if !more && (!args.follow || chunk.ended) {
            return Ok(());
        }
    }
}

/// Whether an attempt's agent is talked with, so that its output is a protocol.
async fn is_talked_with(
    attempt: &AttemptView,
    remote: &Remote,
    operation: &str,
) -> Result<bool, Failure> {
    if attempt.agent.is_none() {
        // The agent was removed: what its conversation holds tells.
        return conversation::has_words(attempt.attempt.id, remote, operation).await;
    }
    let path = format!("/api/v1/agents/{}", attempt.attempt.agent_id);
    let agent: AgentView = remote.get(operation, &path).await?;
    Ok(agent.agent.runtime.kind() != "command")
}

/// The attempt that is meant; with `follow`, waits until there is one.
pub(crate) async fn find(
    mission: &str,
    n: Option<u32>,
    follow: bool,
    remote: &Remote,
    operation: &str,
) -> Result<AttemptView, Failure> {
    loop {
        let detail: MissionDetail = remote.get(operation, &mission::path(mission)).await?;
        let over = detail.view.mission.state.is_final();
        let found = match n {
            None => detail.attempts.into_iter().next(),
            Some(n) => detail.attempts.into_iter().find(|view| view.attempt.n == n),
        };
        match found {
            Some(attempt) => return Ok(attempt),
            None if follow && !over => tokio::time::sleep(LOOK_EVERY).await,
            None => {
                return Err(Failure::new(operation)
                    .since("it has no such attempt yet")
                    .hint("wait for it with -f"));
            }
        }
    }
}
