//! The worktrees of attempts: how large and how old they are, and what of them is nowhere else.

use std::time::Duration;

use agents::tidying::{Keep, Space, removable};
use agents::worktree::GitError;
use futures::StreamExt as _;
use jiff::Timestamp;
use model::attempt::Attempt;
use model::mission::Mission;
use model::refusal::{Code, Refusal};
use store::ledger::PAGE_ROWS_DEFAULT;
use tokio::time::{Instant, timeout_at};

use super::{Place, SIDE_BY_SIDE, quick_git};
use crate::Engine;
use crate::resolve::unreadable;
use crate::view::{WorktreeView, Worktrees};

/// How long each command of git may take.
const COMMAND_MAX: Duration = Duration::from_secs(10);
/// How long looking at a page of worktrees may take.
const LOOKING_MAX: Duration = Duration::from_secs(20);

/// Which worktrees to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorktreeQuery {
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many at most (1 to 500).
    pub limit: Option<u32>,
}

/// A worktree that was looked at.
#[derive(Debug, Clone)]
pub(super) struct Surveyed {
    pub(super) mission: Mission,
    pub(super) attempt: Attempt,
    pub(super) view: WorktreeView,
}

impl Engine {
    /// Lists the worktrees there are, those of the newest attempts first, with what keeps each from
    /// being cleaned up. Those that could not be looked at in time say so.
    ///
    /// # Errors
    /// When the ledger cannot be read, or too many callers look at worktrees.
    pub async fn worktrees(&self, query: WorktreeQuery) -> Result<Worktrees, Refusal> {
        let limit = query.limit.unwrap_or(PAGE_ROWS_DEFAULT);
        let page = self.0.ledger.worktrees(query.cursor.as_deref(), limit).await;
        let page = page.map_err(unreadable)?;
        let until = Instant::now() + LOOKING_MAX;
        let items: Vec<WorktreeView> =
            self.surveyed(page.items, until).await?.into_iter().map(|it| it.view).collect();
        let bytes = items.iter().filter_map(|it| it.bytes).sum();
        Ok(Worktrees { items, bytes, next: page.next })
    }

    /// Looks at the worktrees of these attempts, some side by side; those that are gone are left out.
    pub(super) async fn surveyed(
        &self,
        attempts: Vec<Attempt>,
        until: Instant,
    ) -> Result<Vec<Surveyed>, Refusal> {
        let busy = || {
            Refusal::new(Code::Busy, "worktrees are being looked at already")
                .hint("try again in a few seconds")
        };
        let _turn = match timeout_at(until, self.0.bench.surveys.acquire()).await {
            Ok(Ok(turn)) => turn,
            _ => return Err(busy()),
        };
        let missions = self.missions_of(&attempts).await?;
        let now = self.0.clock.now();
        let there = attempts.into_iter().filter_map(|attempt| {
            let mission = missions.get(&attempt.mission_id)?.clone();
            let place = Place::of(&mission, &attempt)?;
            place.dir().is_dir().then_some((mission, attempt, place))
        });
        Ok(futures::stream::iter(there)
            .map(async |(mission, attempt, place)| {
                let looked = timeout_at(until, space(&mission, &place)).await;
                let looked = looked.unwrap_or(Err(NotSeen::Late));
                let view = view_of(&mission, &attempt, &place, looked, now);
                Surveyed { mission, attempt, view }
            })
            .buffered(SIDE_BY_SIDE)
            .collect()
            .await)
    }
}

/// Why it is not known what is in a worktree.
#[derive(Debug, thiserror::Error)]
enum NotSeen {
    #[error("failed to {0}")]
    Git(#[from] GitError),
    #[error("there was no time left to look at it")]
    Late,
}

/// What is in a worktree, and what of it is nowhere else.
async fn space(mission: &Mission, place: &Place) -> Result<Space, NotSeen> {
    let target = mission.target.as_ref().map(|branch| format!("refs/heads/{branch}"));
    let (dir, repo) = (place.dir(), place.repo());
    let git = quick_git(COMMAND_MAX);
    Ok(git.survey(dir, repo, &place.branch, &place.base, target.as_deref()).await?)
}

/// How large a worktree is; nothing where it cannot be told soon.
pub(super) async fn bytes_of(mission: &Mission, place: &Place) -> u64 {
    match tokio::time::timeout(COMMAND_MAX, space(mission, place)).await {
        Ok(Ok(space)) => space.bytes,
        _ => 0,
    }
}

fn view_of(
    mission: &Mission,
    attempt: &Attempt,
    place: &Place,
    looked: Result<Space, NotSeen>,
    now: Timestamp,
) -> WorktreeView {
    let live = !attempt.state.is_final();
    let kept_because = match &looked {
        Ok(space) => reasons(removable(space, live), attempt.in_review),
        // What is not known is kept.
        Err(problem) => vec![problem.to_string()],
    };
    let problem = looked.as_ref().err().map(ToString::to_string);
    let space = looked.ok();
    let age_s = now.duration_since(attempt.leased_at).as_secs();
    let of = |get: fn(&Space) -> u64| space.as_ref().map(get);
    WorktreeView {
        mission_id: mission.id,
        short_id: mission.short_id.clone(),
        title: mission.title.clone(),
        attempt: attempt.n,
        attempt_id: attempt.id,
        path: place.directory.clone(),
        repository: place.repository.clone(),
        branch: place.branch.clone(),
        bytes: of(|space| space.bytes),
        files: of(|space| space.files),
        age_s: u64::try_from(age_s).unwrap_or(0),
        modified_at: space.as_ref().and_then(|space| space.modified_at),
        dirty_files: of(|space| space.dirty_files),
        ignored_bytes: of(|space| space.ignored_bytes),
        unmerged_commits: of(|space| space.unmerged_commits),
        live,
        kept_because,
        problem,
    }
}

fn reasons(removable: Result<(), Vec<Keep>>, in_review: bool) -> Vec<String> {
    let said = |keep: &Keep| match keep {
        Keep::LiveAttempt if in_review => "its work is under review".to_owned(),
        keep => keep.to_string(),
    };
    removable.err().iter().flatten().map(said).collect()
}
