//! Looking after the trash: what a crash interrupted is finished at start, and what is due is removed.

use std::time::Duration;

use agents::trash::TrashState;
use model::event::Actor;
use model::id::{CorrelationId, SystemDraw};
use model::refusal::Refusal;
use model::trash::{TrashEnd, TrashItem, TrashKind};
use orchestrator::Input;
use store::ledger::TrashFilter;
use tokio::time::sleep;

use super::trash::state_of;
use crate::resolve::unreadable;
use crate::{Caller, Engine};

/// How often it is looked for what is due.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// How much is removed for good at once; the rest follows.
const DUE_MAX: u32 = 500;
/// How many things are read of the ledger at once.
const PAGE: u32 = 500;

impl Engine {
    /// Finishes what was interrupted, then removes what is due, again and again until the engine ends.
    pub(crate) async fn tend_the_trash(self) {
        let cancel = self.0.cancel.clone();
        let tending = async {
            if let Err(refusal) = self.finish_interrupted().await {
                tracing::warn!(%refusal, "what was on its way to the trash is left where it is");
            }
            loop {
                match self.purge_due().await {
                    Ok(0) => {}
                    Ok(count) => tracing::info!(count, "what was due was removed from the trash"),
                    Err(refusal) => tracing::warn!(%refusal, "the trash could not be looked at"),
                }
                sleep(EVERY).await;
            }
        };
        cancel.run_until_cancelled(tending).await;
    }

    /// Compares what the ledger says is in the trash with the disk, and finishes what a crash left
    /// between the two.
    async fn finish_interrupted(&self) -> Result<(), Refusal> {
        let caller = self.own_caller();
        let mut cursor = None;
        loop {
            let filter = TrashFilter { cursor, limit: PAGE, ..TrashFilter::default() };
            let page = self.0.ledger.trash(filter).await.map_err(unreadable)?;
            for item in &page.items {
                let finished = match item.kind {
                    TrashKind::Worktree => self.finish_item(&caller, item).await,
                    TrashKind::Mission => {
                        // Its worktrees are moved after it was removed.
                        self.trash_worktrees_of(&caller, item.mission_id).await;
                        Ok(())
                    }
                };
                if let Err(refusal) = finished {
                    tracing::warn!(item = %item.id, %refusal, "it is left as it is");
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        // What is marked and no longer in the trash was restored and recorded.
        match std::fs::remove_dir_all(self.restoring()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, "marks of restored items stay");
            }
            _ => {}
        }
        Ok(())
    }

    async fn finish_item(&self, caller: &Caller, item: &TrashItem) -> Result<(), Refusal> {
        let _one = self.trash_turn().await?;
        if self.0.ledger.trash_item(item.id).await.map_err(unreadable)?.is_none() {
            return Ok(());
        }
        let state = state_of(&self.bin(), item);
        if self.restoring().join(item.id.to_string()).exists() {
            tracing::info!(item = %item.id, "restoring it was interrupted and is finished");
            return self.finish_restore(caller, item).await;
        }
        match state {
            TrashState::InTrash => Ok(()),
            TrashState::InPlace => {
                tracing::info!(item = %item.id, "moving it to the trash was interrupted");
                self.finish_move(caller, item).await
            }
            TrashState::Missing => {
                tracing::warn!(item = %item.id, "it is neither in the trash nor where it was");
                let end = TrashEnd::Purged;
                self.tell(caller, Input::EmptyTrash { id: item.id, end }).await.map(drop)
            }
            TrashState::Both => {
                tracing::warn!(item = %item.id, "it is in the trash, and something is where it was");
                Ok(())
            }
        }
    }

    /// Removes what is due for good; gives how much that was.
    pub(super) async fn purge_due(&self) -> Result<usize, Refusal> {
        let caller = self.own_caller();
        let due = self.0.ledger.trash_due(self.0.clock.now(), DUE_MAX).await.map_err(unreadable)?;
        let mut count = 0;
        for item in due {
            match self.purge(&caller, &item).await {
                Ok(()) => count += 1,
                Err(refusal) => {
                    tracing::warn!(item = %item.id, %refusal, "it stays in the trash");
                }
            }
        }
        Ok(count)
    }

    pub(crate) fn own_caller(&self) -> Caller {
        Caller {
            actor: Actor::Engine,
            correlation_id: CorrelationId::draw(self.0.clock.now(), &mut SystemDraw),
            key: None,
            fingerprint: [0; 32],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::SignedDuration;
    use model::clock::{Clock as _, ManualClock};

    use crate::open::Config;
    use crate::view::NewMission;
    use crate::{Engine, TrashQuery};

    #[tokio::test]
    async fn what_is_due_is_removed_for_good_and_nothing_before() {
        let place = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new("2030-01-01T00:00:00Z".parse().unwrap()));
        let config = Config::new(place.path().join("data"), "0.0.0-test");
        let engine = Engine::open_with(config, clock.clone()).await.unwrap();
        let caller = engine.own_caller();
        let new = |title: &str| NewMission {
            title: title.into(),
            brief: "x".into(),
            draft: true,
            ..NewMission::default()
        };
        let trashed = async || {
            let items = engine.trash(TrashQuery::default()).await.unwrap().items;
            items.into_iter().map(|it| it.item.title).collect::<Vec<_>>()
        };
        for title in ["early", "late"] {
            let made = engine.add_mission(&caller, new(title)).await.unwrap();
            let id = made.view.mission.id.to_string();
            engine.remove_mission(&caller, &id).await.unwrap();
            clock.advance(SignedDuration::from_hours(24));
        }
        assert_eq!(trashed().await.len(), 2);
        clock.advance(SignedDuration::from_hours(28 * 24) - SignedDuration::from_secs(1));
        assert_eq!(engine.purge_due().await.unwrap(), 0, "{}", clock.now());
        clock.advance(SignedDuration::from_secs(1));
        assert_eq!(engine.purge_due().await.unwrap(), 1);
        let left = trashed().await;
        assert!(left.len() == 1 && left[0].ends_with("late"), "{left:?}");
        engine.shutdown().await;
    }
}
