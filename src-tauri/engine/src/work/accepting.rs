//! Accepting work: it must be what was reviewed, and is put onto its target branch first.

use std::time::Duration;

use model::attempt::Attempt;
use model::mission::{MergeHow, Mission};
use model::refusal::{Code, Refusal};
use model::transition::{MissionInput, mission_next};
use orchestrator::{Input, Wish};

use super::{Place, git_refusal, review};
use crate::resolve::unreadable;
use crate::view::{Ask, MergeWish};
use crate::{Caller, Engine};

/// How long each command of git may take that compares a worktree with what was reviewed.
const COMPARING_MAX: Duration = Duration::from_secs(60);

impl Engine {
    /// Accepts the work of a mission. It is carried out to its end: where it was put onto its target
    /// branch and the engine ended before it was accepted, the same request again completes it.
    ///
    /// # Errors
    /// When it is being accepted already, the work is not as it was reviewed (its gates run again
    /// then), or it cannot be merged; nothing is accepted then.
    pub(crate) async fn accept(
        &self,
        caller: &Caller,
        mission: &Mission,
        ask: Ask,
    ) -> Result<(), Refusal> {
        let (engine, caller, id) = (self.clone(), caller.clone(), mission.id);
        let turn = self.0.bench.turn(mission, "merged")?;
        self.to_the_end(async move {
            let _turn = turn;
            let mut wish = Wish::new(MissionInput::Accept);
            // A request that was carried out is answered as it was, and nothing is merged again.
            if !engine.was_answered(&caller).await? {
                // Read again: it may have moved before the turn was taken.
                let known = engine.0.ledger.mission(id).await.map_err(unreadable)?;
                let (mission, _) = known.ok_or_else(|| {
                    Refusal::new(Code::NotFound, "the mission was removed meanwhile")
                })?;
                wish.reviewed = engine.check_as_reviewed(&caller, &mission, &ask).await?;
                if let Some(how) = engine.merge_how(&mission, ask.merge).await? {
                    wish.merge = engine.merge_reviewed(&caller, &mission, &ask, how).await?;
                }
            }
            wish.reviewed = wish.reviewed.or(ask.reviewed);
            wish.note = ask.note;
            engine.tell(&caller, Input::Ask { id, wish }).await.map(drop)
        })
        .await
    }

    /// How accepted work is merged: as the captain says, or else as the settings say where there is
    /// a branch to merge into; nothing where it stays on its own.
    async fn merge_how(
        &self,
        mission: &Mission,
        asked: Option<MergeWish>,
    ) -> Result<Option<MergeHow>, Refusal> {
        if mission.repository.is_none() {
            return Ok(None);
        }
        match asked {
            Some(wish) => Ok(wish.how()),
            None if mission.target.is_none() => Ok(None),
            None => {
                let attempts = self.0.ledger.attempts_of(mission.id).await.map_err(unreadable)?;
                let has_work = attempts.iter().any(|it| it.in_review && it.work.is_some());
                if !has_work {
                    return Ok(None);
                }
                Ok(Some(self.0.ledger.settings().await.map_err(unreadable)?.merge))
            }
        }
    }

    /// Looks whether the worktree still holds what the gates looked at, and gives the commit of it.
    async fn check_as_reviewed(
        &self,
        caller: &Caller,
        mission: &Mission,
        ask: &Ask,
    ) -> Result<Option<String>, Refusal> {
        mission_next(mission.state, MissionInput::Accept)?;
        let attempts = self.0.ledger.attempts_of(mission.id).await.map_err(unreadable)?;
        let Some(attempt) = attempts.iter().rev().find(|attempt| attempt.in_review) else {
            return Ok(None);
        };
        let (Some(work), Some(place)) = (&attempt.work, Place::of(mission, attempt)) else {
            return Ok(None);
        };
        if let Some(reviewed) = ask.reviewed.as_ref().filter(|it| **it != work.head_commit) {
            let message = format!("the work is at {}, not at {reviewed}", work.head_commit);
            return Err(Refusal::new(Code::Conflict, message)
                .hint("look at the review again; nothing was accepted"));
        }
        let difference = match review::seen(&place, COMPARING_MAX).await {
            Ok(seen) => seen.and_then(|seen| review::difference(work, &seen)),
            Err(error) => {
                return Err(git_refusal(&error)
                    .hint("nothing was accepted: what is in its worktree could not be compared"));
            }
        };
        match difference {
            None => Ok(Some(work.head_commit.clone())),
            Some(difference) => Err(self.changed(caller, mission, attempt, &difference).await),
        }
    }

    /// Has the gates look at work that is not as it was reviewed; gives the refusal that says so.
    async fn changed(
        &self,
        caller: &Caller,
        mission: &Mission,
        attempt: &Attempt,
        difference: &str,
    ) -> Refusal {
        let note = format!("the work changed after the review: {difference}");
        let input = Input::Changed { id: mission.id, note: note.clone() };
        match self.tell(&caller.without_key(), input).await {
            Ok(_) => {
                let message = format!("{note}; its gates run again");
                Refusal::new(Code::Conflict, message)
                    .hint("nothing was accepted; review what is there now")
            }
            Err(refusal) => {
                tracing::warn!(attempt = %attempt.id, %refusal, "changed work is not rechecked");
                refusal
            }
        }
    }
}
