//! Putting reviewed work onto its target branch, before it is accepted.

use std::path::Path;

use agents::merge::{How, MergeError, MergeOrder};
use agents::worktree::{Git, GitError};
use model::attempt::Attempt;
use model::mission::{Merge, MergeHow, Mission, MissionState};
use model::refusal::{Code, Refusal};
use model::transition::{MissionInput, mission_next};
use orchestrator::{Input, judge};

use crate::resolve::unreadable;
use crate::view::Ask;
use crate::{Caller, Engine};

impl Engine {
    /// Merges exactly the commit that was reviewed. Nothing is merged unless it can be accepted.
    ///
    /// # Errors
    /// When the mission cannot be accepted, the target conflicts, or the work is not as it was
    /// reviewed; its gates run again then.
    pub(crate) async fn merge_reviewed(
        &self,
        caller: &Caller,
        mission: &Mission,
        ask: &Ask,
        how: MergeHow,
    ) -> Result<Option<Merge>, Refusal> {
        mission_next(mission.state, MissionInput::Accept)?;
        let attempt = self.attempt_to_accept(mission).await?;
        let order = order_of(mission, &attempt, ask, how)?;
        let repository = mission.repository.clone().unwrap_or_default();
        match Git::new().merge(Path::new(&repository), &order).await {
            Ok(merged) => Ok(Some(Merge {
                attempt: attempt.n,
                reviewed: order.commit,
                target: merged.target_branch,
                commit: merged.after,
                how,
                at: self.0.clock.now(),
            })),
            Err(GitError::Merge(err @ MergeError::ChangedAfterReview { .. })) => {
                let note = err.to_string();
                let changed = Input::Changed { id: mission.id, note: note.clone() };
                self.tell(&caller.without_key(), changed).await?;
                Err(Refusal::new(Code::Conflict, note)
                    .hint("its gates run again on what is there now; review that"))
            }
            Err(GitError::Merge(err)) => Err(Refusal::new(Code::Conflict, err.to_string())
                .hint("the mission is still in review; nothing was merged")),
            Err(err) => Err(crate::work::git_refusal(&err)
                .hint("the mission is still in review; nothing was merged")),
        }
    }

    /// The attempt whose work can be accepted: nothing red and nothing unanswered.
    async fn attempt_to_accept(&self, mission: &Mission) -> Result<Attempt, Refusal> {
        let ledger = &self.0.ledger;
        let attempts = ledger.attempts_of(mission.id).await.map_err(unreadable)?;
        let attempt = attempts.into_iter().rev().find(|attempt| attempt.in_review);
        let attempt =
            attempt.filter(|_| mission.state == MissionState::InReview).ok_or_else(|| {
                let message = format!("{} has no work under review", mission.short_id);
                Refusal::new(Code::Conflict, message).hint("accept it without merging")
            })?;
        let results = ledger.gate_results(attempt.id).await.map_err(unreadable)?;
        let results = results.into_iter().map(|result| (result.index, result)).collect();
        let reasons = judge::in_the_way(mission, &attempt, &results);
        if reasons.is_empty() {
            return Ok(attempt);
        }
        let message = format!("{} cannot be accepted: {}", mission.short_id, reasons.join("; "));
        Err(Refusal::new(Code::Conflict, message)
            .hint("nothing was merged; wait for the answer, or send the work back"))
    }
}

fn order_of(
    mission: &Mission,
    attempt: &Attempt,
    ask: &Ask,
    how: MergeHow,
) -> Result<MergeOrder, Refusal> {
    let none = |what: &str| {
        let message = format!("{} {what}", mission.short_id);
        Refusal::new(Code::Conflict, message).hint("accept it without merging")
    };
    let work = attempt.work.as_ref().ok_or_else(|| none("has left no work in a repository"))?;
    let place = attempt.workplace.as_ref().ok_or_else(|| none("has no worktree"))?;
    let base = place.base_commit.clone().ok_or_else(|| none("has no commit it started from"))?;
    let target = mission.target.clone().ok_or_else(|| none("has no branch to merge into"))?;
    if let Some(reviewed) = ask.reviewed.as_ref().filter(|it| **it != work.head_commit) {
        let message = format!("the work is at {}, not at {reviewed}", work.head_commit);
        return Err(Refusal::new(Code::Conflict, message)
            .hint("look at the review again; nothing was accepted"));
    }
    Ok(MergeOrder {
        target_branch: target,
        expected_target: None,
        base,
        commit: work.head_commit.clone(),
        branch: place.branch.clone(),
        worktree: Some(place.directory.clone()),
        how: match how {
            MergeHow::Merge => How::Merge,
            MergeHow::Squash => How::Squash,
            MergeHow::Rebase => How::Rebase,
        },
        message: format!("{}: {}", mission.short_id, mission.title),
    })
}
