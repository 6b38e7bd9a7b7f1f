//! What a reviewer sees: the changed files, their patches, what merging would do, and whose work
//! touches the same.

use std::path::Path;
use std::time::Duration;

use agents::review::{Changes, PatchOrder, Seen};
use agents::worktree::GitError;
use model::attempt::{Attempt, DiffStat, Work};
use model::id::AttemptId;
use model::mission::Mission;
use model::refusal::{Code, Refusal};

use super::{Place, git_refusal, quick_git};
use crate::Engine;
use crate::missions::{invalid, names};
use crate::resolve::{self, unreadable};
use crate::view::{AttemptView, MergeView, PatchView, RadarConflict, RadarPlace, ReviewView};

/// How long each command of git may take, so that the answer comes in time.
const LOOKING_MAX: Duration = Duration::from_secs(8);
/// How long each part of a review may take; all are looked at side by side.
const PART_MAX: Duration = Duration::from_secs(20);
/// The most of one patch, in bytes.
const PATCH_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// How much of a commit's hash a person needs.
const HASH_SHOWN: usize = 10;

/// Which patch of an attempt's work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchQuery {
    /// The file or directory; nothing for all files.
    pub path: Option<String>,
    /// Where the file was before, for a rename or a copy.
    pub old_path: Option<String>,
    /// Unchanged lines around each change; three unless given.
    pub context: Option<u32>,
}

impl Engine {
    /// Everything a reviewer needs to see of a mission's work. What cannot be looked at is named as
    /// a problem; the rest is there all the same.
    ///
    /// # Errors
    /// When there is no such mission, it has had no attempt yet, or the ledger cannot be read.
    pub async fn review(&self, text: &str) -> Result<ReviewView, Refusal> {
        let ledger = &self.0.ledger;
        let (mission, _) = resolve::mission(ledger, text).await?;
        let attempts = ledger.attempts_of(mission.id).await.map_err(unreadable)?;
        let Some(attempt) = under_review(&attempts) else {
            let message = format!("{} has had no attempt yet", mission.short_id);
            return Err(Refusal::new(Code::Conflict, message)
                .hint("there is something to review once an agent has worked on it"));
        };
        let names = names(&ledger.agents().await.map_err(unreadable)?);
        let views = self.attempt_views(vec![attempt.clone()], &names).await?;
        let view = views
            .into_iter()
            .next()
            .ok_or_else(|| Refusal::new(Code::Internal, "the attempt could not be read"))?;
        let Some(place) = Place::of(&mission, attempt) else {
            return Ok(bare(view));
        };
        self.review_of(&mission, view, &place).await
    }

    async fn review_of(
        &self,
        mission: &Mission,
        attempt: AttemptView,
        place: &Place,
    ) -> Result<ReviewView, Refusal> {
        let work = attempt.attempt.work.as_ref();
        let mut problems = Vec::new();
        let ((seen, radar), (changes, merge)) = tokio::join!(
            async { tokio::join!(in_time(seen(place, LOOKING_MAX)), self.radar_of(mission)) },
            async {
                // Before its program has ended, what is checked out is what there is to see.
                let commit = match work {
                    Some(work) => Some(work.head_commit.clone()),
                    None => checked_out(place).await,
                };
                let Some(commit) = commit else { return (None, None) };
                let git = quick_git(LOOKING_MAX);
                let (changes, merge) = tokio::join!(
                    in_time(git.changed(place.ground(), &place.base, &commit)),
                    self.merge_view(mission, place, &commit),
                );
                (Some((commit, changes)), merge)
            }
        );
        let mut view = bare(attempt);
        let problem = |error: Trouble| format!("failed to {error}");
        match seen {
            Ok(Some(seen)) => {
                view.changed_since =
                    view.attempt.attempt.work.as_ref().and_then(|work| difference(work, &seen))
            }
            Ok(None) => {}
            Err(error) => problems.push(problem(error)),
        }
        match radar {
            Ok((radar, order)) => (view.radar, view.order) = (radar, order),
            Err(refusal) => problems.push(refusal.message),
        }
        if let Some((commit, changes)) = changes {
            view.commit = Some(commit);
            match changes {
                Ok(changes) => show(&mut view, changes),
                Err(error) => problems.push(problem(error)),
            }
        }
        view.merge = merge;
        view.problems = problems;
        Ok(view)
    }

    async fn merge_view(
        &self,
        mission: &Mission,
        place: &Place,
        commit: &str,
    ) -> Option<MergeView> {
        let target = mission.target.clone()?;
        let how = self.0.ledger.settings().await.map(|settings| settings.merge);
        let git = quick_git(LOOKING_MAX);
        let preview = git.merge_preview(place.repo(), &target, &place.base, commit);
        let (preview, problem) = match in_time(preview).await {
            Ok(preview) => (Some(preview), None),
            Err(error) => (None, Some(format!("failed to {error}"))),
        };
        Some(MergeView { target, how: how.unwrap_or_default(), preview, problem })
    }

    /// What the radar shows of this mission, and the order of its repository's attempts.
    async fn radar_of(
        &self,
        mission: &Mission,
    ) -> Result<(Vec<RadarConflict>, Vec<RadarPlace>), Refusal> {
        let radar = self.radar_seen().await?;
        let its = |conflict: &&RadarConflict| {
            conflict.between.iter().any(|party| party.mission_id == mission.id)
        };
        let order =
            radar.order.iter().filter(|it| Some(&it.repository) == mission.repository.as_ref());
        Ok((radar.conflicts.iter().filter(its).cloned().collect(), order.cloned().collect()))
    }

    /// The patch of an attempt's work, or of one file of it.
    ///
    /// # Errors
    /// When there is no such attempt, it has no work in a repository, or the path is not in it.
    pub async fn patch(&self, id: AttemptId, query: PatchQuery) -> Result<PatchView, Refusal> {
        let attempt = resolve::attempt(&self.0.ledger, id).await?;
        for path in [&query.path, &query.old_path].into_iter().flatten() {
            check_inside(path)?;
        }
        let missions = self.missions_of(std::slice::from_ref(&attempt)).await?;
        let mission = missions.get(&attempt.mission_id);
        let nothing = || {
            Refusal::new(Code::Conflict, "the attempt has no work in a repository")
                .hint("what it printed is its transcript")
        };
        let place = mission.and_then(|mission| Place::of(mission, &attempt)).ok_or_else(nothing)?;
        let commit = match &attempt.work {
            Some(work) => Some(work.head_commit.clone()),
            None => checked_out(&place).await,
        };
        let order = PatchOrder {
            base: place.base.clone(),
            commit: commit.ok_or_else(nothing)?,
            path: query.path,
            old_path: query.old_path,
            context_lines: query.context,
            bytes_max: PATCH_BYTES_MAX,
        };
        let patch = in_time(quick_git(LOOKING_MAX).patch(place.ground(), &order)).await;
        let patch = patch.map_err(Trouble::refusal)?;
        Ok(PatchView {
            attempt_id: id,
            base: order.base,
            commit: order.commit,
            path: order.path,
            binary: is_binary(&patch.text),
            text: patch.text,
            truncated: patch.truncated,
        })
    }
}

/// The attempt whose work is under review, or else the latest with work, or else the latest.
fn under_review(attempts: &[Attempt]) -> Option<&Attempt> {
    let latest = |wanted: fn(&Attempt) -> bool| attempts.iter().rev().find(|it| wanted(it));
    latest(|it| it.in_review)
        .or_else(|| latest(|it| !it.state.is_final()))
        .or_else(|| latest(|it| it.work.is_some()))
        .or_else(|| attempts.last())
}

/// What is known without looking at a repository.
fn bare(attempt: AttemptView) -> ReviewView {
    let work = attempt.attempt.work.as_ref();
    let reviewed_commit = work.map(|work| work.head_commit.clone());
    ReviewView {
        commit: reviewed_commit.clone(),
        reviewed_commit,
        base: None,
        changed_since: None,
        files: Vec::new(),
        files_truncated: false,
        diff: work.map(|work| work.diff.clone()).unwrap_or_default(),
        merge: None,
        radar: Vec::new(),
        order: Vec::new(),
        problems: Vec::new(),
        attempt,
    }
}

fn show(view: &mut ReviewView, changes: Changes) {
    let sum = |of: fn(&agents::review::ChangedFile) -> Option<u64>| {
        changes.files.iter().filter_map(of).sum()
    };
    if view.reviewed_commit.is_none() {
        view.diff = DiffStat {
            files: changes.files.len() as u64,
            insertions: sum(|file| file.insertions),
            deletions: sum(|file| file.deletions),
        };
    }
    view.base = Some(changes.base);
    view.files = changes.files;
    view.files_truncated = changes.truncated;
}

/// What the worktree holds now; nothing where it is gone.
pub(super) async fn seen(place: &Place, time: Duration) -> Result<Option<Seen>, GitError> {
    if !place.dir().is_dir() {
        return Ok(None);
    }
    quick_git(time).seen(place.dir()).await.map(Some)
}

/// The commit that is checked out in the worktree; nothing where that cannot be told.
async fn checked_out(place: &Place) -> Option<String> {
    match quick_git(LOOKING_MAX).inspect(place.dir()).await {
        Ok(found) => Some(found.head_commit),
        Err(error) => {
            tracing::debug!(worktree = place.directory, %error, "its commit cannot be told");
            None
        }
    }
}

/// How what the worktree holds differs from what the gates looked at; nothing where it does not.
pub(super) fn difference(work: &Work, seen: &Seen) -> Option<String> {
    let short = |hash: &str| hash.get(..HASH_SHOWN).unwrap_or(hash).to_owned();
    let mut said = Vec::new();
    if seen.head_commit != work.head_commit {
        let (then, now) = (short(&work.head_commit), short(&seen.head_commit));
        said.push(format!("it was at the commit {then} and is at {now}"));
    }
    let known = work.tree.as_ref();
    if seen.dirty_files > 0 && known != Some(&seen.tree) {
        let files = if seen.dirty_files == 1 { "file" } else { "files" };
        said.push(format!("uncommitted in its worktree: {} {files}", seen.dirty_files));
    } else if said.is_empty() && known.is_some_and(|tree| *tree != seen.tree) {
        said.push("its files are others".to_owned());
    }
    (!said.is_empty()).then(|| said.join("; "))
}

/// Refuses a path that is not one of a file in the repository.
fn check_inside(path: &str) -> Result<(), Refusal> {
    use std::path::Component;
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if plain && !path.is_empty() && !path.contains('\0') {
        return Ok(());
    }
    Err(invalid(format!("'{path}' is not the path of a file in the repository"))
        .hint("write it as the review lists it, relative to the repository"))
}

/// Whether a patch says of a file that its content is not shown. Lines of files begin otherwise.
fn is_binary(patch: &str) -> bool {
    patch.lines().any(|line| line.starts_with("Binary files ") && line.ends_with(" differ"))
}

/// What keeps a part of a review from being shown.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error("look at the work in time: {} s were not enough", PART_MAX.as_secs())]
    Late,
}

impl Trouble {
    fn refusal(self) -> Refusal {
        match self {
            Self::Git(error) => git_refusal(&error),
            Self::Late => Refusal::new(Code::Busy, format!("failed to {self}"))
                .hint("ask for one file, or try again when the machine is less busy"),
        }
    }
}

async fn in_time<T>(look: impl Future<Output = Result<T, GitError>>) -> Result<T, Trouble> {
    match tokio::time::timeout(PART_MAX, look).await {
        Ok(found) => found.map_err(Trouble::Git),
        Err(_) => Err(Trouble::Late),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_difference_says_what_differs_and_the_same_work_says_nothing() {
        let work = |tree: Option<&str>| Work {
            head_commit: "a".repeat(40),
            commits: Vec::new(),
            tree: tree.map(str::to_owned),
            diff: DiffStat::default(),
            rescued_files: 0,
        };
        let seen = |head: &str, tree: &str, dirty_files| Seen {
            head_commit: head.repeat(40),
            tree: tree.to_owned(),
            dirty_files,
        };
        let check = |tree: Option<&str>, seen: Seen, said: Option<&str>| {
            assert_eq!(difference(&work(tree), &seen).as_deref(), said, "{seen:?}");
        };
        check(Some("t"), seen("a", "t", 0), None);
        check(None, seen("a", "t", 0), None);
        check(Some("t"), seen("a", "u", 1), Some("uncommitted in its worktree: 1 file"));
        check(None, seen("a", "u", 2), Some("uncommitted in its worktree: 2 files"));
        let moved = "it was at the commit aaaaaaaaaa and is at bbbbbbbbbb";
        check(Some("t"), seen("b", "u", 0), Some(moved));
        check(Some("t"), seen("b", "t", 0), Some(moved));
    }

    #[test]
    fn only_a_path_inside_of_the_repository_is_asked_of_git() {
        for good in ["a", "a/b.rs", ".github/x", "a b", "-x"] {
            assert!(check_inside(good).is_ok(), "{good}");
        }
        for bad in ["", "/etc/passwd", "../a", "a/../../b", "a\0b", "."] {
            assert!(check_inside(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_path_that_is_taken_stays_inside(path: String) {
            if check_inside(&path).is_ok() {
                prop_assert!(!Path::new("/repo").join(&path).components().any(
                    |part| part == std::path::Component::ParentDir
                ));
                prop_assert!(Path::new("/repo").join(&path).starts_with("/repo"));
            }
        }
    }
}
