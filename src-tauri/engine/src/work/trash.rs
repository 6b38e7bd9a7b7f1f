//! The trash: what is moved there is recorded first, and can be restored until it is due.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agents::trash::{Trash, TrashError, TrashOrder, TrashState, Trashable};
use agents::worktree::Git;
use jiff::{SignedDuration, Timestamp};
use model::id::{AttemptId, MissionId, SystemDraw, TrashId};
use model::mission::Mission;
use model::refusal::{Code, Refusal};
use model::trash::{TrashEnd, TrashItem, TrashKind};
use orchestrator::Input;
use store::ledger::{PAGE_ROWS_DEFAULT, TrashFilter};
use tokio::sync::MutexGuard;

use super::{Place, trash_refusal, worktrees};
use crate::resolve::{self, unreadable};
use crate::view::{Listing, TrashRestored, TrashView};
use crate::{Caller, Engine};

/// How long a caller waits until the trash is free.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most worktrees of one mission that are restored with it.
pub(super) const WORKTREES_MAX: u32 = 500;
/// The directory with a file for each item that is being restored, beside the trash.
const RESTORING: &str = "trash-restoring";

/// Which things in the trash to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrashQuery {
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// How many at most (1 to 500).
    pub limit: Option<u32>,
}

impl Engine {
    /// What is in the trash, newest first.
    ///
    /// # Errors
    /// When the cursor is not one of this list, or the ledger cannot be read.
    pub async fn trash(&self, query: TrashQuery) -> Result<Listing<TrashView>, Refusal> {
        let filter = TrashFilter {
            cursor: query.cursor,
            limit: query.limit.unwrap_or(PAGE_ROWS_DEFAULT),
            ..TrashFilter::default()
        };
        let page = self.0.ledger.trash(filter).await.map_err(unreadable)?;
        let bin = self.bin();
        let items = page.items.into_iter().map(|item| {
            let exists = match item.kind {
                TrashKind::Mission => true,
                TrashKind::Worktree => {
                    matches!(state_of(&bin, &item), TrashState::InTrash | TrashState::Both)
                }
            };
            TrashView { item, exists }
        });
        Ok(Listing { items: items.collect(), next: page.next })
    }

    /// Brings something back from the trash: a worktree to where it was, a mission to the lists
    /// together with the worktrees that went with it.
    ///
    /// # Errors
    /// When it is not in the trash any more, something is where it was, or it is the worktree of
    /// a mission that is in the trash itself.
    pub async fn restore_from_trash(
        &self,
        caller: &Caller,
        id: TrashId,
    ) -> Result<TrashRestored, Refusal> {
        let (engine, caller) = (self.clone(), caller.clone());
        self.to_the_end(async move {
            if let Some(answer) = engine.answered(&caller).await? {
                return Ok(answer);
            }
            let item = engine.trash_item(id).await?;
            match item.kind {
                TrashKind::Mission => engine.restore_mission(&caller, item).await,
                TrashKind::Worktree => {
                    engine.check_mission_is_there(&item).await?;
                    engine.restore_worktree(&caller, &item).await?;
                    Ok(came_back(item))
                }
            }
        })
        .await
    }

    /// Removes something from the trash for good: of a worktree its files and the commit that kept
    /// them, never its branch. A mission stays removed.
    ///
    /// # Errors
    /// When it is not in the trash any more, or the system refuses.
    pub async fn purge_from_trash(&self, caller: &Caller, id: TrashId) -> Result<(), Refusal> {
        let (engine, caller) = (self.clone(), caller.clone());
        self.to_the_end(async move {
            if engine.answered::<()>(&caller).await?.is_some() {
                return Ok(());
            }
            let item = engine.trash_item(id).await?;
            engine.purge(&caller, &item).await
        })
        .await
    }

    /// Moves every worktree of a mission that was removed to the trash, dirty or not: nothing of
    /// them is lost. What cannot be moved stays where it is, and says so in the log.
    pub(crate) async fn trash_worktrees_of(&self, caller: &Caller, id: MissionId) {
        let (engine, caller) = (self.clone(), caller.without_key());
        let moving = async move {
            let ledger = &engine.0.ledger;
            let Some((mission, _)) = ledger.mission_ever(id).await.map_err(unreadable)? else {
                return Ok(());
            };
            if ledger.mission(id).await.map_err(unreadable)?.is_some() {
                // It is back already.
                return Ok(());
            }
            for attempt in ledger.attempts_of(id).await.map_err(unreadable)? {
                let place = Place::of(&mission, &attempt).filter(|place| place.dir().is_dir());
                let Some(place) = place else { continue };
                let bytes = worktrees::bytes_of(&mission, &place).await;
                let put = engine.put_into_trash(&caller, &mission, attempt.id, bytes).await;
                if let Err(refusal) = put {
                    let worktree = place.directory;
                    tracing::warn!(worktree, %refusal, "the worktree of a removed mission stays");
                }
            }
            Ok(())
        };
        if let Err(refusal) = self.to_the_end(moving).await {
            tracing::warn!(mission = %id, %refusal, "worktrees of a removed mission stay");
        }
    }

    /// Moves the worktree of an attempt to the trash. That is recorded before anything is moved, so
    /// that what is interrupted is finished at the next start.
    pub(super) async fn put_into_trash(
        &self,
        caller: &Caller,
        mission: &Mission,
        attempt: AttemptId,
        bytes: u64,
    ) -> Result<TrashItem, Refusal> {
        let _one = self.trash_turn().await?;
        let _turn = self.0.bench.turn(mission, "moved to the trash")?;
        let attempt = resolve::attempt(&self.0.ledger, attempt).await?;
        if !attempt.state.is_final() {
            let message = format!("attempt {} of {} is not over", attempt.n, mission.short_id);
            return Err(Refusal::new(Code::Conflict, message).hint("its worktree stays"));
        }
        let place = Place::of(mission, &attempt).ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("attempt {} has no worktree", attempt.n))
        })?;
        let settings = self.0.ledger.settings().await.map_err(unreadable)?;
        let now = self.0.clock.now();
        let kept = SignedDuration::from_hours(i64::from(settings.trash_days) * 24);
        let item = TrashItem {
            id: TrashId::draw(now, &mut SystemDraw),
            kind: TrashKind::Worktree,
            mission_id: mission.id,
            attempt: Some(attempt.n),
            title: format!("{} {}", mission.short_id, mission.title),
            path: Some(place.directory),
            repository: Some(place.repository),
            branch: Some(place.branch),
            bytes,
            at: now,
            until: now.saturating_add(kept).unwrap_or(Timestamp::MAX),
        };
        self.tell(&caller.without_key(), Input::Trash(item.clone())).await?;
        self.finish_move(caller, &item).await?;
        Ok(item)
    }

    /// Moves what the ledger says is in the trash; what cannot be moved is said to be back.
    pub(super) async fn finish_move(
        &self,
        caller: &Caller,
        item: &TrashItem,
    ) -> Result<(), Refusal> {
        let bin = self.bin();
        let order = TrashOrder {
            item: item.id.to_string(),
            from: path_of(item),
            what: Trashable::Worktree { repository: repository_of(item) },
            at: item.at,
        };
        let Err(error) = bin.put(&order).await else {
            return Ok(());
        };
        let end = match state_of(&bin, item) {
            TrashState::InPlace => TrashEnd::Restored,
            TrashState::Missing => TrashEnd::Purged,
            // It is in the trash, and what failed came after that.
            TrashState::InTrash => {
                tracing::warn!(item = %item.id, %error, "a worktree is in the trash, but");
                return Ok(());
            }
            TrashState::Both => return Err(trash_refusal(&error)),
        };
        self.tell(&caller.without_key(), Input::EmptyTrash { id: item.id, end }).await?;
        Err(trash_refusal(&error))
    }

    async fn restore_mission(
        &self,
        caller: &Caller,
        item: TrashItem,
    ) -> Result<TrashRestored, Refusal> {
        let id = item.mission_id;
        if let Some((mission, _)) = self.0.ledger.mission_ever(id).await.map_err(unreadable)? {
            self.refuse_taken_name(&mission).await?;
        }
        let (input, at) = (Input::RestoreMission { id, trash_id: item.id }, item.at);
        let mut done = came_back(item);
        self.tell_answering(caller, input, &done).await?;
        for worktree in self.worktrees_in_trash(id).await? {
            // What was cleaned up before the mission was removed stays cleaned up.
            if worktree.at < at {
                continue;
            }
            match self.restore_worktree(&caller.without_key(), &worktree).await {
                Ok(()) => done.restored.push(worktree),
                Err(refusal) => done.problems.push(refusal.message),
            }
        }
        Ok(done)
    }

    async fn worktrees_in_trash(&self, id: MissionId) -> Result<Vec<TrashItem>, Refusal> {
        let filter = TrashFilter {
            kind: Some(TrashKind::Worktree),
            mission_id: Some(id),
            cursor: None,
            limit: WORKTREES_MAX,
        };
        Ok(self.0.ledger.trash(filter).await.map_err(unreadable)?.items)
    }

    /// A worktree of a mission that is in the trash comes back with it, and not before.
    async fn check_mission_is_there(&self, item: &TrashItem) -> Result<(), Refusal> {
        let filter = TrashFilter {
            kind: Some(TrashKind::Mission),
            mission_id: Some(item.mission_id),
            cursor: None,
            limit: 1,
        };
        let page = self.0.ledger.trash(filter).await.map_err(unreadable)?;
        match page.items.first() {
            None => Ok(()),
            Some(mission) => {
                let message = format!("its mission is in the trash: {}", mission.title);
                Err(Refusal::new(Code::Conflict, message)
                    .hint("restore the mission; its worktrees come back with it")
                    .allowed(vec![mission.id.to_string()]))
            }
        }
    }

    async fn restore_worktree(&self, caller: &Caller, item: &TrashItem) -> Result<(), Refusal> {
        let _one = self.trash_turn().await?;
        // Whoever restored or purged it meanwhile was first.
        self.trash_item(item.id).await?;
        let mark = self.restoring().join(item.id.to_string());
        write_mark(&mark)?;
        let restored = self.finish_restore(caller, item).await;
        match std::fs::remove_file(&mark) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(item = %item.id, %error, "the mark of a restored item stays");
            }
            _ => {}
        }
        restored
    }

    /// Moves a worktree back to where it was, and says so.
    pub(super) async fn finish_restore(
        &self,
        caller: &Caller,
        item: &TrashItem,
    ) -> Result<(), Refusal> {
        let bin = self.bin();
        match bin.restore(&item.id.to_string()).await {
            Ok(_) => {}
            // An earlier restoring ended before it was recorded.
            Err(TrashError::Unknown(_)) if state_of(&bin, item) == TrashState::InPlace => {}
            Err(error) => return Err(trash_refusal(&error)),
        }
        let input = Input::EmptyTrash { id: item.id, end: TrashEnd::Restored };
        self.tell_answering(caller, input, &came_back(item.clone())).await
    }

    pub(super) async fn purge(&self, caller: &Caller, item: &TrashItem) -> Result<(), Refusal> {
        let _one = self.trash_turn().await?;
        self.trash_item(item.id).await?;
        let mut end = TrashEnd::Purged;
        if item.kind == TrashKind::Worktree {
            let bin = self.bin();
            match bin.purge(&item.id.to_string()).await {
                Ok(()) => {}
                Err(TrashError::Unknown(_)) => match state_of(&bin, item) {
                    TrashState::Missing => {}
                    // It never was in the trash, so nothing is removed.
                    _ => end = TrashEnd::Restored,
                },
                Err(error) => return Err(trash_refusal(&error)),
            }
        }
        self.tell(caller, Input::EmptyTrash { id: item.id, end }).await.map(drop)
    }

    async fn trash_item(&self, id: TrashId) -> Result<TrashItem, Refusal> {
        let found = self.0.ledger.trash_item(id).await.map_err(unreadable)?;
        found.ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("there is nothing '{id}' in the trash"))
                .hint("it was restored, or is gone for good; list the trash to see what is there")
        })
    }

    /// One thing at a time is moved into the trash or out of it.
    pub(super) async fn trash_turn(&self) -> Result<MutexGuard<'_, ()>, Refusal> {
        tokio::time::timeout(PATIENCE, self.0.bench.trash.lock()).await.map_err(|_| {
            Refusal::new(Code::Busy, "something else is being moved into the trash or out of it")
                .hint("try again in a few seconds; nothing was changed")
        })
    }

    pub(super) fn bin(&self) -> Trash {
        Trash::new(self.0.dir.trash(), Git::new())
    }

    pub(super) fn restoring(&self) -> PathBuf {
        self.0.dir.root().join(RESTORING)
    }
}

fn came_back(item: TrashItem) -> TrashRestored {
    TrashRestored { restored: vec![item], problems: Vec::new() }
}

/// Notes that an item is being restored, so that a start after a crash does not take it for one
/// that was on its way into the trash.
fn write_mark(mark: &Path) -> Result<(), Refusal> {
    let made = mark.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| std::fs::write(mark, b"")).map_err(|error| {
        Refusal::new(Code::Internal, format!("failed to note what is being restored: {error}"))
            .hint("it is in the trash still; make room on the disk and try again")
    })
}

pub(super) fn path_of(item: &TrashItem) -> PathBuf {
    PathBuf::from(item.path.clone().unwrap_or_default())
}

fn repository_of(item: &TrashItem) -> PathBuf {
    PathBuf::from(item.repository.clone().unwrap_or_default())
}

/// Where the directory of a worktree's item is. Its id is always a name the trash takes.
pub(super) fn state_of(bin: &Trash, item: &TrashItem) -> TrashState {
    bin.state_of(&item.id.to_string(), &path_of(item)).unwrap_or(TrashState::Missing)
}
