//! Cleaning up worktrees: what can go without losing anything is moved to the trash.

use std::time::Duration;

use model::attempt::Attempt;
use model::refusal::{Code, Refusal};
use tokio::time::Instant;

use super::worktrees::Surveyed;
use crate::missions::invalid;
use crate::resolve::{self, unreadable};
use crate::view::{CleanRequest, CleanView, RemovedWorktree};
use crate::{Caller, Engine};

/// The most worktrees that are looked at in one go.
const WORKTREES_MAX: usize = 1_000;
/// How many are read of the ledger at once.
const PAGE: u32 = 500;
/// How long looking at them may take.
const LOOKING_MAX: Duration = Duration::from_secs(12);
/// How long all of it may take; what is not reached by then is kept.
const CLEANING_MAX: Duration = Duration::from_secs(22);

impl Engine {
    /// Says which worktrees can go without losing anything, or moves them to the trash. Kept is what
    /// is live, dirty or unmerged, and what could not be looked at.
    ///
    /// # Errors
    /// When one that is named has no worktree, or the ledger cannot be read.
    pub async fn clean(
        &self,
        caller: &Caller,
        request: CleanRequest,
    ) -> Result<CleanView, Refusal> {
        let begun = Instant::now();
        let (attempts, more) = self.to_clean(request.only.as_deref()).await?;
        let named = request.only.is_some();
        let surveyed = self.surveyed(attempts, begun + LOOKING_MAX).await?;
        if let (true, Some(only)) = (named, &request.only)
            && let Some(gone) =
                only.iter().find(|id| !surveyed.iter().any(|it| it.attempt.id == **id))
        {
            return Err(Refusal::new(
                Code::NotFound,
                format!("the attempt {gone} has no worktree"),
            )
            .hint("nothing was moved; it may be in the trash already"));
        }
        let (removable, kept): (Vec<Surveyed>, Vec<Surveyed>) =
            surveyed.into_iter().partition(|it| it.view.kept_because.is_empty());
        let mut view = CleanView { more, ..CleanView::default() };
        view.kept = kept.into_iter().map(|it| it.view).collect();
        if !request.apply {
            view.would_remove = removable.into_iter().map(|it| it.view).collect();
            view.bytes = view.would_remove.iter().filter_map(|it| it.bytes).sum();
            return Ok(view);
        }
        let (engine, caller) = (self.clone(), caller.without_key());
        self.to_the_end(async move {
            engine.move_all(&caller, removable, &mut view, begun + CLEANING_MAX).await;
            view.bytes = view.removed.iter().filter_map(|it| it.worktree.bytes).sum();
            Ok(view)
        })
        .await
    }

    /// Moves worktrees to the trash, one after the other.
    async fn move_all(
        &self,
        caller: &Caller,
        removable: Vec<Surveyed>,
        view: &mut CleanView,
        until: Instant,
    ) {
        for mut it in removable {
            if Instant::now() >= until || self.0.cancel.is_cancelled() {
                it.view.kept_because.push("there was no time left; clean up again".to_owned());
                view.kept.push(it.view);
                continue;
            }
            let bytes = it.view.bytes.unwrap_or(0);
            match self.put_into_trash(caller, &it.mission, it.attempt.id, bytes).await {
                Ok(item) => {
                    view.removed.push(RemovedWorktree { worktree: it.view, trash_id: item.id });
                }
                Err(refusal) => {
                    it.view.kept_because.push(refusal.message);
                    view.kept.push(it.view);
                }
            }
        }
    }

    /// The attempts whose worktrees are meant, and whether there are more.
    async fn to_clean(
        &self,
        only: Option<&[model::id::AttemptId]>,
    ) -> Result<(Vec<Attempt>, bool), Refusal> {
        let ledger = &self.0.ledger;
        let mut attempts = Vec::new();
        if let Some(only) = only {
            if only.len() > WORKTREES_MAX {
                return Err(invalid(format!("{} worktrees are named", only.len()))
                    .hint(format!("at most {WORKTREES_MAX} at once")));
            }
            for id in only {
                attempts.push(resolve::attempt(ledger, *id).await?);
            }
            return Ok((attempts, false));
        }
        let mut cursor: Option<String> = None;
        loop {
            let page = ledger.worktrees(cursor.as_deref(), PAGE).await.map_err(unreadable)?;
            attempts.extend(page.items);
            cursor = page.next;
            if cursor.is_none() || attempts.len() >= WORKTREES_MAX {
                return Ok((attempts, cursor.is_some()));
            }
        }
    }
}
