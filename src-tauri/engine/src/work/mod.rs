//! Use cases about the work of attempts and the places it is in: reviews, conflicts, worktrees, the
//! trash, checkpoints and scans.
//!
//! What takes long is done here, beside the orchestrator's loop, and what must not be left half done
//! is carried out by a task of the engine's own: it goes on when the caller goes away.

mod accepting;
mod checkpoints;
mod clean;
mod radar;
mod review;
mod scan;
mod tending;
mod trash;
mod worktrees;

pub use review::PatchQuery;
pub use trash::TrashQuery;
pub use worktrees::WorktreeQuery;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agents::trash::TrashError;
use agents::worktree::{Git, GitError};
use model::attempt::{Attempt, Workplace};
use model::id::MissionId;
use model::mission::Mission;
use model::refusal::{Code, Refusal};
use orchestrator::Input;
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::ledger::StoredAnswer;
use tokio::sync::Semaphore;

use crate::resolve::unreadable;
use crate::{Caller, Engine};

/// How many worktrees are looked at side by side.
const SIDE_BY_SIDE: usize = 4;
/// How many missions may have something done to their work at once.
const TURNS_MAX: usize = 64;
/// How many directories are scanned at once.
const SCANS_MAX: usize = 2;
/// How many callers look at worktrees at once.
const SURVEYS_MAX: usize = 2;

/// What the use cases of this module share.
#[derive(Debug)]
pub(crate) struct Bench {
    turns: Arc<Mutex<Turns>>,
    radar: tokio::sync::Mutex<Option<radar::Seen>>,
    trash: tokio::sync::Mutex<()>,
    scans: Semaphore,
    surveys: Semaphore,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            turns: Arc::default(),
            radar: tokio::sync::Mutex::default(),
            trash: tokio::sync::Mutex::default(),
            scans: Semaphore::new(SCANS_MAX),
            surveys: Semaphore::new(SURVEYS_MAX),
        }
    }
}

type Turns = BTreeMap<MissionId, &'static str>;

/// While it is held, nothing else is done to the work of the mission.
#[derive(Debug)]
struct Turn {
    turns: Arc<Mutex<Turns>>,
    id: MissionId,
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.turns).remove(&self.id);
    }
}

fn lock(turns: &Mutex<Turns>) -> MutexGuard<'_, Turns> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bench {
    /// Takes the mission's turn, to do this to its work.
    ///
    /// # Errors
    /// When something is being done to it.
    fn turn(&self, mission: &Mission, doing: &'static str) -> Result<Turn, Refusal> {
        let mut turns = lock(&self.turns);
        if let Some(other) = turns.get(&mission.id) {
            let message = format!("the work of {} is being {other}", mission.short_id);
            return Err(Refusal::new(Code::Conflict, message)
                .hint("wait until that is done, then look at it again; nothing was changed"));
        }
        if turns.len() >= TURNS_MAX {
            let message = format!("the work of {TURNS_MAX} missions is being changed already");
            return Err(Refusal::new(Code::Busy, message).hint("try again in a few seconds"));
        }
        turns.insert(mission.id, doing);
        Ok(Turn { turns: Arc::clone(&self.turns), id: mission.id })
    }
}

/// A worktree of an attempt and what it belongs to.
#[derive(Debug, Clone)]
struct Place {
    directory: String,
    branch: String,
    base: String,
    repository: String,
}

impl Place {
    /// The worktree of an attempt; nothing where it has none of its own.
    fn of(mission: &Mission, attempt: &Attempt) -> Option<Self> {
        let Workplace { directory, branch, base_commit, .. } = attempt.workplace.clone()?;
        Some(Self {
            directory,
            branch: branch?,
            base: base_commit?,
            repository: mission.repository.clone()?,
        })
    }

    fn dir(&self) -> &Path {
        Path::new(&self.directory)
    }

    fn repo(&self) -> &Path {
        Path::new(&self.repository)
    }

    /// Where git can be asked about its commits: in the repository, which outlives the worktree.
    fn ground(&self) -> &Path {
        if self.repo().is_dir() { self.repo() } else { self.dir() }
    }
}

impl Engine {
    /// Carries something out to its end, whoever goes away meanwhile.
    async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.0.tasks.spawn(work).await.map_err(|error| {
            tracing::error!(%error, "a use case ended early");
            Refusal::new(Code::Internal, "the engine could not finish it")
                .hint("look at what was done, then ask again; see the log in the data directory")
        })?
    }

    /// Hands an input in; the same request again gets this answer.
    async fn tell_answering<T: Serialize>(
        &self,
        caller: &Caller,
        input: Input,
        answer: &T,
    ) -> Result<(), Refusal> {
        let body = serde_json::to_value(answer).map_err(|error| {
            tracing::error!(%error, "an answer could not be written");
            Refusal::new(Code::Internal, "the answer could not be written; nothing was recorded")
        })?;
        let fingerprint = caller.fingerprint;
        let answer = caller.key.clone().map(|key| StoredAnswer { key, fingerprint, body });
        self.hand_in(caller, input, answer).await.map(drop)
    }

    /// What the same request was answered when it came before.
    async fn answered<T: DeserializeOwned>(&self, caller: &Caller) -> Result<Option<T>, Refusal> {
        let Some(key) = &caller.key else {
            return Ok(None);
        };
        let Some(known) = self.0.ledger.answer(key).await.map_err(unreadable)? else {
            return Ok(None);
        };
        let same = known.fingerprint == caller.fingerprint;
        match serde_json::from_value(known.body) {
            Ok(answer) if same => Ok(Some(answer)),
            _ => Err(Refusal::new(
                Code::IdempotencyMismatch,
                "this idempotency key was used before for another request; nothing was changed",
            )),
        }
    }

    /// The missions of these attempts, removed ones included.
    async fn missions_of(
        &self,
        attempts: &[Attempt],
    ) -> Result<BTreeMap<MissionId, Mission>, Refusal> {
        let mut ids: Vec<MissionId> = attempts.iter().map(|attempt| attempt.mission_id).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let found = self.0.ledger.missions_by_id(&ids).await.map_err(unreadable)?;
        Ok(found.into_iter().map(|mission| (mission.id, mission)).collect())
    }
}

/// Git that is ended when a look takes longer than this.
fn quick_git(time: Duration) -> Git {
    Git::with_timeout(time)
}

/// What git could not do, as the caller is told: what is in the way rather than what broke.
pub(crate) fn git_refusal(error: &GitError) -> Refusal {
    let message = format!("failed to {error}");
    match error {
        GitError::TimedOut { .. } => {
            Refusal::new(Code::Busy, message).hint("nothing was changed; try again later")
        }
        GitError::Io { source, .. } => Refusal::new(Code::Internal, format!("{message}: {source}")),
        GitError::NoGit(_) | GitError::Unreadable { .. } => Refusal::new(Code::Internal, message),
        _ => Refusal::new(Code::Conflict, message),
    }
}

/// What the trash could not do, as the caller is told.
fn trash_refusal(error: &TrashError) -> Refusal {
    let message = format!("failed to {error}");
    match error {
        TrashError::Git(error) => git_refusal(error),
        TrashError::Io { source, .. } => {
            Refusal::new(Code::Internal, format!("{message}: {source}"))
        }
        TrashError::Unknown(_) => Refusal::new(Code::NotFound, message),
        _ => Refusal::new(Code::Conflict, message),
    }
}
