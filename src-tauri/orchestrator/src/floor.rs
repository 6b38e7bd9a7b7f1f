//! Where effects are carried out: starts, stops and verifications, one at a time per attempt.
//!
//! What happened is told to the loop, and acted on only once the loop has recorded it. Every effect
//! may be carried out again after a crash: starting adopts what runs, stopping what is stopped gives
//! its record, and a gate that was started is waited for.

mod attached;
mod follow;
mod launch;
mod opening;
mod pack;
mod review;
mod starts;
mod stop;
mod talk;
mod verify;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agents::brief::BriefError;
use agents::runtime::presets::Presets;
use agents::runtime::prices::Prices;
use agents::runtime::sheet::Live;
use agents::vault::{Vault, VaultError};
use agents::worktree::GitError;
use agents::{LaunchError, Launcher};
use model::agent::Agent;
use model::attempt::Attempt;
use model::clock::SharedClock;
use model::effect::Effect;
use model::id::AttemptId;
use model::mission::Mission;
use model::process::{Exit, ExitRecord, ProcessIdentity, Supervision};
use model::refusal::{Code, Refusal};
use store::ledger::{Ledger, ReadError};
use store::transcripts::Transcripts;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::field::Empty;
use tracing::{Instrument as _, Span, error, info, info_span, warn};

use crate::attached::Attached;
use crate::entry::{Command, Orchestrator};
use crate::halt::HaltSwitch;
use crate::input::Input;

pub use attached::FirstWords;
pub(crate) use starts::Starts;
pub use talk::NotReached;
pub(crate) use talk::{Board, Poke};

/// The first pause before something is told or tried again; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// The directory of a run in which its gates run.
const GATES: &str = "gates";

/// Why an attempt cannot go on; the words end up with the mission.
#[derive(Debug, thiserror::Error)]
enum Hindrance {
    #[error("failed to {0}")]
    Read(#[from] ReadError),
    #[error("{0} is not in the ledger")]
    Unknown(&'static str),
    #[error("the agent was removed")]
    NoAgent,
    #[error("the agent runs elsewhere; it cannot be started here")]
    Elsewhere,
    #[error("{0}")]
    NotStarted(String),
    #[error("{0}")]
    NoRoom(agents::descriptors::Full),
    #[error("failed to {0}")]
    Launch(LaunchError),
    #[error("failed to {0}")]
    Brief(#[from] BriefError),
    #[error("failed to {0}")]
    Git(#[from] GitError),
    #[error("failed to make a directory for it: {0}")]
    Directory(std::io::Error),
    #[error("it could not be reviewed: {0}")]
    Review(&'static str),
    #[error("failed to {0}")]
    Files(agents::pack::LayError),
    #[error("its conversation cannot be read: {0}")]
    Conversation(std::io::Error),
    #[error("what it is told cannot be kept: {0}; nothing was started")]
    Opening(std::io::Error),
    #[error("its conversation cannot be taken up again: {0}")]
    Snapshot(String),
    #[error("failed to {0}")]
    Secret(#[from] VaultError),
    #[error("there is no preset '{0}' any more that says how the agent is talked to")]
    Preset(String),
    #[error("its directory {} does not exist", .0.display())]
    NoDirectory(PathBuf),
    #[error("its work is kept in {} but not committed: failed to {source}", place.display())]
    Secure { place: PathBuf, source: GitError },
    #[error(
        "the agent removed its worktree {}; what was committed before is on the branch {branch}",
        place.display()
    )]
    Removed { place: PathBuf, branch: String },
}

/// What the floor needs.
pub(crate) struct FloorSetup {
    pub(crate) ledger: Ledger,
    pub(crate) clock: SharedClock,
    pub(crate) launcher: Launcher,
    pub(crate) runs: PathBuf,
    pub(crate) worktrees: PathBuf,
    pub(crate) url: watch::Receiver<Option<String>>,
    pub(crate) orchestrator: Orchestrator,
    pub(crate) switch: Arc<HaltSwitch>,
    pub(crate) agents: PathBuf,
    pub(crate) supervision: Option<Supervision>,
    pub(crate) transcripts: Transcripts,
    pub(crate) presets: Arc<Live<Presets>>,
    pub(crate) prices: Arc<Live<Prices>>,
    pub(crate) vault: Vault,
    /// What conversations are doing.
    pub(crate) board: Arc<Board>,
    /// Agents that run elsewhere.
    pub(crate) attached: Arc<Attached>,
    /// Which agents are starting.
    pub(crate) starts: Starts,
    /// Held while processes are being held or let go.
    pub(crate) freezing: tokio::sync::Mutex<()>,
    pub(crate) tasks: TaskTracker,
    pub(crate) cancel: CancellationToken,
}

/// The attempts that are being worked on.
pub(crate) struct Floor {
    hands: Arc<FloorSetup>,
    slots: Mutex<HashMap<AttemptId, Slot>>,
}

struct Slot {
    /// Ends what is under way, and what it waits for.
    cancels: Vec<CancellationToken>,
    task: JoinHandle<()>,
    /// Whether another agent reviews the work in it.
    review: bool,
}

impl Slot {
    fn cancel(&self) {
        self.cancels.iter().for_each(CancellationToken::cancel);
    }
}

impl Floor {
    pub(crate) fn new(setup: FloorSetup) -> Self {
        Self { hands: Arc::new(setup), slots: Mutex::new(HashMap::new()) }
    }

    /// Carries out an effect, after what is under way for the same attempt.
    pub(crate) fn carry_out(&self, effect: Effect) {
        let attempt_id = effect.attempt_id();
        if matches!(effect, Effect::Freeze { .. }) {
            self.beside_what_is_under_way(attempt_id);
            return;
        }
        if let Some(slot) = self.slots().get(&attempt_id)
            && (matches!(effect, Effect::Stop { .. })
                || matches!(effect, Effect::Verify { .. }) && slot.review)
        {
            slot.cancel();
        }
        if matches!(effect, Effect::Verify { .. }) {
            // Its agent reported its end; where that runs elsewhere, it is waited for no more.
            self.hands.attached.leave(attempt_id);
        }
        let review = matches!(effect, Effect::Review { .. });
        self.after_what_is_under_way(attempt_id, review, move |hands, cancel| async move {
            // Each on the heap by itself: what is under way for hours must not hold the room of all.
            match effect {
                Effect::Start { .. } => Box::pin(hands.start(attempt_id, &cancel)).await,
                Effect::Stop { .. } => Box::pin(hands.stop(attempt_id)).await,
                Effect::Verify { .. } => Box::pin(hands.verify(attempt_id, &cancel)).await,
                Effect::Review { index, agent_id, .. } => {
                    Box::pin(hands.review(attempt_id, index, agent_id, &cancel)).await;
                }
                Effect::Freeze { .. } => {}
            }
        });
    }

    /// Holds processes that are being watched, or lets them go on.
    fn beside_what_is_under_way(&self, attempt_id: AttemptId) {
        let (hands, closing) = (Arc::clone(&self.hands), self.hands.cancel.clone());
        self.hands.tasks.spawn(async move {
            closing.run_until_cancelled(hands.freeze(attempt_id)).await;
        });
    }

    /// Whether nothing is under way for an attempt.
    pub(crate) fn is_idle(&self, attempt_id: AttemptId) -> bool {
        self.slots().get(&attempt_id).is_none_or(|slot| slot.task.is_finished())
    }

    /// Takes over an attempt whose program was started by an earlier run of the engine.
    pub(crate) fn take_over(&self, attempt_id: AttemptId) {
        self.after_what_is_under_way(attempt_id, false, move |hands, cancel| async move {
            Box::pin(hands.take_over(attempt_id, &cancel)).await;
        });
    }

    /// Has a conversation look whether there is something to be said; all of them where it is not
    /// known which.
    pub(crate) fn poke_all(&self, attempt_id: Option<AttemptId>) {
        self.hands.board.news(attempt_id);
        self.hands.attached.news(attempt_id);
    }

    /// Forgets an attempt that is over; a review of it that still runs is ended.
    pub(crate) fn forget(&self, attempt_id: AttemptId) {
        self.hands.attached.leave(attempt_id);
        if let Some(slot) = self.slots().remove(&attempt_id) {
            slot.cancel();
        }
    }

    fn after_what_is_under_way<F, W>(&self, attempt_id: AttemptId, review: bool, work: W)
    where
        W: FnOnce(Arc<FloorSetup>, CancellationToken) -> F + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        let mut slots = self.slots();
        let before = slots.remove(&attempt_id);
        let cancel = CancellationToken::new();
        let (hands, token) = (Arc::clone(&self.hands), cancel.clone());
        let unfinished = before.iter().filter(|slot| !slot.task.is_finished());
        let mut cancels: Vec<_> = unfinished.flat_map(|slot| slot.cancels.clone()).collect();
        cancels.push(cancel);
        let closing = self.hands.cancel.clone();
        let work = async move {
            if let Some(before) = before
                && before.task.await.is_err()
            {
                error!(attempt = %attempt_id, "work on an attempt broke off");
            }
            work(hands, token).await;
        };
        // When the engine ends, programs and gates go on under their shims and are taken up again.
        // Every line of the log on the way names the attempt; its mission and agent, once they are read.
        let span = info_span!(
            "attempt",
            correlation_id = %attempt_id,
            attempt = %attempt_id,
            mission = Empty,
            agent = Empty,
        );
        let work = async move {
            closing.run_until_cancelled(work).await;
        };
        let task = self.hands.tasks.spawn(work.instrument(span));
        slots.insert(attempt_id, Slot { cancels, task, review });
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<AttemptId, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything one attempt is about.
struct Case {
    mission: Mission,
    brief: String,
    attempt: Attempt,
    agent: Option<Agent>,
}

impl FloorSetup {
    fn run(&self, id: AttemptId) -> PathBuf {
        self.runs.join(id.to_string())
    }

    async fn case(&self, id: AttemptId) -> Result<Case, Hindrance> {
        let attempt = self.ledger.attempt(id).await?;
        let attempt = attempt.ok_or(Hindrance::Unknown("the attempt"))?;
        let mission = self.ledger.mission(attempt.mission_id).await?;
        let (mission, brief) = mission.ok_or(Hindrance::Unknown("its mission"))?;
        let agent = self.ledger.agent(attempt.agent_id).await?;
        let span = Span::current();
        span.record("mission", mission.short_id.as_str());
        if let Some(agent) = &agent {
            span.record("agent", agent.name.as_str());
        }
        Ok(Case { mission, brief, attempt, agent })
    }

    /// Reads everything about an attempt, again and again until it can be read.
    async fn case_at_last(&self, id: AttemptId) -> Option<Case> {
        let mut pause = PAUSE;
        loop {
            match self.case(id).await {
                Ok(case) => return Some(case),
                Err(err) => warn!(attempt = %id, %err, "an attempt could not be read"),
            }
            self.rest(&mut pause).await?;
        }
    }

    /// Reads something beside a run; again and again as long as there is no descriptor to read with.
    async fn read_at_last<T>(
        &self,
        read: impl Fn() -> std::io::Result<T> + Send,
    ) -> std::io::Result<T> {
        let mut pause = PAUSE;
        loop {
            match read() {
                Err(err) if agents::is_want(&err) => {
                    warn!(%err, "something beside a run cannot be read yet");
                    if self.rest(&mut pause).await.is_none() {
                        return Err(err);
                    }
                }
                read => return read,
            }
        }
    }

    /// Pauses, longer each time; nothing when the engine ends.
    async fn rest(&self, pause: &mut Duration) -> Option<()> {
        tokio::select! {
            () = self.cancel.cancelled() => None,
            () = sleep(*pause) => {
                *pause = (*pause * 2).min(PAUSE_MAX);
                Some(())
            }
        }
    }

    /// Tells the loop what happened, until it is recorded or refused for good.
    ///
    /// Gives whether it was recorded.
    async fn tell(&self, input: Input) -> bool {
        let mut pause = PAUSE;
        loop {
            match self.orchestrator.tell(Command::own(input.clone())).await {
                Ok(_) => return true,
                Err(Refusal { code: Code::Busy | Code::Internal, message, .. }) => {
                    warn!(message, "what happened to an attempt could not be recorded yet");
                }
                Err(refusal) => {
                    info!(%refusal, "what happened to an attempt no longer matters");
                    return false;
                }
            }
            if self.rest(&mut pause).await.is_none() {
                return false;
            }
        }
    }

    /// Ends a run, again and again until none of its processes is left. Nothing when the engine ends
    /// before that.
    async fn end(&self, run: &Path, process: &ProcessIdentity) -> Option<ExitRecord> {
        let mut pause = PAUSE;
        loop {
            match self.launcher.stop(run, process).await {
                Ok(record) => return Some(record),
                Err(err) => {
                    error!(run = %run.display(), %err, "a run could not be ended; trying again");
                }
            }
            self.rest(&mut pause).await?;
        }
    }

    /// A record of a program that left none.
    fn record(&self, exit: Exit) -> ExitRecord {
        ExitRecord::bare(exit, self.clock.now())
    }
}

/// Says where the work is that could not be committed: only what is there is kept there.
fn not_secured(place: PathBuf, branch: &str, source: GitError) -> Hindrance {
    if place.is_dir() {
        Hindrance::Secure { place, source }
    } else {
        Hindrance::Removed { place, branch: branch.to_owned() }
    }
}

/// The directories in a directory; none when it is not there.
fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_said_to_be_kept_only_where_its_directory_is() {
        let dir = tempfile::tempdir().unwrap();
        let said = |place: &Path| {
            let source = GitError::Missing(place.to_owned());
            not_secured(place.to_owned(), "hive/M-1/1", source).to_string()
        };
        let (kept, gone) = (said(dir.path()), said(&dir.path().join("gone")));
        assert!(kept.contains("its work is kept in"), "{kept}");
        assert!(gone.contains("the agent removed its worktree"), "{gone}");
        assert!(gone.ends_with("what was committed before is on the branch hive/M-1/1"), "{gone}");
    }
}
