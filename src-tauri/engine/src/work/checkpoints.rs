//! Checkpoints: points an attempt's work can be taken back to.

use agents::Found;
use agents::worktree::{Git, GitError};
use model::attempt::{Attempt, Checkpoint};
use model::id::{CheckpointId, SystemDraw};
use model::mission::{Mission, MissionState, WORDS_CHARS_MAX};
use model::process::file;
use model::refusal::{Code, Refusal};
use orchestrator::Input;

use super::{Place, git_refusal};
use crate::missions::text_line;
use crate::resolve::{self, unreadable};
use crate::view::{Listing, NewCheckpoint, RestoreView};
use crate::{Caller, Engine};

/// What a checkpoint is made for unless the captain says.
const NOTE: &str = "made by the captain";
/// How many older checkpoints are looked at for one that is sound.
const FALLBACKS_MAX: usize = 20;
/// How often a checkpoint is numbered anew when another was made meanwhile.
const NUMBERINGS_MAX: u32 = 3;

impl Engine {
    /// The checkpoints of a mission's attempts, oldest first.
    ///
    /// # Errors
    /// When there is no such mission.
    pub async fn checkpoints(&self, text: &str) -> Result<Listing<Checkpoint>, Refusal> {
        let (mission, _) = resolve::mission(&self.0.ledger, text).await?;
        let items = self.0.ledger.checkpoints_of_mission(mission.id).await.map_err(unreadable)?;
        Ok(Listing { items, next: None })
    }

    /// Keeps everything in the worktree of the mission's latest attempt, which may go on meanwhile:
    /// nothing in it is touched.
    ///
    /// # Errors
    /// When no attempt of it has a worktree, or git cannot read it; nothing is kept then.
    pub async fn make_checkpoint(
        &self,
        caller: &Caller,
        text: &str,
        new: NewCheckpoint,
    ) -> Result<Checkpoint, Refusal> {
        let (mission, _) = resolve::mission(&self.0.ledger, text).await?;
        let note = match new.note.filter(|note| !note.trim().is_empty()) {
            Some(note) => text_line("note", &note, WORDS_CHARS_MAX)?,
            None => NOTE.to_owned(),
        };
        let (engine, caller) = (self.clone(), caller.clone());
        self.to_the_end(async move { engine.keep(&caller, &mission, note).await }).await
    }

    async fn keep(
        &self,
        caller: &Caller,
        mission: &Mission,
        note: String,
    ) -> Result<Checkpoint, Refusal> {
        let attempts = self.0.ledger.attempts_of(mission.id).await.map_err(unreadable)?;
        let latest = attempts.iter().rev().find_map(|attempt| {
            Some((attempt, Place::of(mission, attempt).filter(|place| place.dir().is_dir())?))
        });
        let (attempt, place) = latest.ok_or_else(|| {
            let message = format!("no attempt of {} has a worktree", mission.short_id);
            Refusal::new(Code::Conflict, message)
                .hint("checkpoints are made of worktrees; one in the trash can be restored first")
        })?;
        let again = self.was_answered(caller).await?;
        let mut tried = 0;
        loop {
            tried += 1;
            let known = self.0.ledger.checkpoints_of(attempt.id).await.map_err(unreadable)?;
            let n = known.last().map_or(1, |last| last.n + 1);
            let checkpoint = if again {
                // Answered from what was kept the first time.
                self.draft(attempt, n, note.clone())
            } else {
                self.captured(mission, attempt, &place, n, note.clone()).await?
            };
            let (input, id) = (Input::Checkpointed(checkpoint.clone()), checkpoint.id.as_uuid());
            match self.tell_creation(caller, input, id).await {
                Ok(id) => return self.checkpoint(CheckpointId::from_uuid(id)).await,
                Err(refusal) => {
                    // Another one may have been made of the same attempt at the same time.
                    let now = self.0.ledger.checkpoints_of(attempt.id).await.map_err(unreadable)?;
                    if now.last().is_none_or(|last| last.n < n) || tried >= NUMBERINGS_MAX {
                        return Err(refusal);
                    }
                }
            }
        }
    }

    fn draft(&self, attempt: &Attempt, n: u32, note: String) -> Checkpoint {
        let now = self.0.clock.now();
        let printed = self.0.dir.attempt(attempt.id).join(file::STDOUT);
        Checkpoint {
            id: CheckpointId::draw(now, &mut SystemDraw),
            mission_id: attempt.mission_id,
            attempt_id: attempt.id,
            n,
            commit: String::new(),
            tree: String::new(),
            uncommitted_files: 0,
            output_bytes: std::fs::metadata(printed).map_or(0, |found| found.len()),
            note,
            at: now,
        }
    }

    async fn captured(
        &self,
        mission: &Mission,
        attempt: &Attempt,
        place: &Place,
        n: u32,
        note: String,
    ) -> Result<Checkpoint, Refusal> {
        let name = format!("{}-{}-{n}", mission.short_id, attempt.n);
        let message = format!("hive: checkpoint {n} of {} attempt {}", mission.short_id, attempt.n);
        let kept = Git::new().checkpoint(place.dir(), &name, &message).await;
        let kept = kept.map_err(|error| git_refusal(&error).hint("no checkpoint was made"))?;
        Ok(Checkpoint {
            commit: kept.commit,
            tree: kept.tree,
            uncommitted_files: kept.uncommitted_files,
            ..self.draft(attempt, n, note)
        })
    }

    /// Makes the files of an attempt's worktree what they were at a checkpoint, byte by byte. What
    /// was there is kept first. Work that is under review has its gates run again.
    ///
    /// # Errors
    /// When a process of the attempt lives, its worktree is gone, or the checkpoint is damaged; the
    /// refusal then names the newest older one that is sound, and nothing was changed.
    pub async fn restore_checkpoint(
        &self,
        caller: &Caller,
        id: CheckpointId,
    ) -> Result<RestoreView, Refusal> {
        if let Some(answer) = self.answered(caller).await? {
            return Ok(answer);
        }
        let checkpoint = self.checkpoint(id).await?;
        let (engine, caller) = (self.clone(), caller.clone());
        self.to_the_end(async move { engine.take_back(&caller, checkpoint).await }).await
    }

    async fn take_back(
        &self,
        caller: &Caller,
        checkpoint: Checkpoint,
    ) -> Result<RestoreView, Refusal> {
        let attempt = resolve::attempt(&self.0.ledger, checkpoint.attempt_id).await?;
        let missions = self.missions_of(std::slice::from_ref(&attempt)).await?;
        let mission = missions.get(&attempt.mission_id).ok_or_else(|| {
            Refusal::new(Code::NotFound, "the mission of this checkpoint is not in the ledger")
        })?;
        let _turn = self.0.bench.turn(mission, "taken back to a checkpoint")?;
        // Read again: it may have moved before the turn was taken.
        let attempt = resolve::attempt(&self.0.ledger, attempt.id).await?;
        self.check_nobody_works(mission, &attempt)?;
        let place = Place::of(mission, &attempt).filter(|place| place.dir().is_dir());
        let place = place.ok_or_else(|| {
            let message = format!("the worktree of attempt {} is not there", attempt.n);
            Refusal::new(Code::Conflict, message).hint("restore it from the trash first")
        })?;
        let git = Git::new();
        let restored = git.restore(place.dir(), &checkpoint.commit, &checkpoint.tree).await;
        let restored = match restored {
            Ok(restored) => restored,
            Err(error @ GitError::DamagedCheckpoint { .. }) => {
                return Err(self.with_fallback(&place, &checkpoint, &error).await?);
            }
            Err(error) => return Err(git_refusal(&error)),
        };
        let mut view = RestoreView {
            before: restored.snapshot.commit,
            tree: restored.tree,
            changed_files: restored.changed_files,
            gates_run_again: attempt.in_review,
            restored: checkpoint,
        };
        let told = Input::Restored {
            id: attempt.id,
            checkpoint_id: view.restored.id,
            before: view.before.clone(),
        };
        self.tell_answering(caller, told, &view).await?;
        view.gates_run_again = attempt.in_review && self.recheck(caller, &view.restored).await;
        Ok(view)
    }

    /// Has the gates look at work under review that was taken back.
    async fn recheck(&self, caller: &Caller, checkpoint: &Checkpoint) -> bool {
        let note = format!("it was taken back to checkpoint {}: {}", checkpoint.n, checkpoint.note);
        let changed = Input::Changed { id: checkpoint.mission_id, note };
        match self.tell(&caller.without_key(), changed).await {
            Ok(_) => true,
            Err(refusal) => {
                tracing::warn!(%refusal, "the gates of a restored worktree do not run again");
                false
            }
        }
    }

    fn check_nobody_works(&self, mission: &Mission, attempt: &Attempt) -> Result<(), Refusal> {
        let found = self.0.launcher.look(&self.0.dir.attempt(attempt.id));
        // What cannot be looked at may be alive.
        let alive = matches!(found, Ok(Found::Running(_)) | Err(_));
        if !attempt.occupies_agent() && !alive {
            return Ok(());
        }
        let hint = if attempt.stopping {
            "its processes are being stopped; try again in a moment"
        } else if mission.state == MissionState::Paused {
            "its processes are held; resume it, then pause it without keeping them"
        } else {
            "pause the mission first; its processes are stopped at a checkpoint"
        };
        let message = format!("attempt {} of {} is under way", attempt.n, mission.short_id);
        Err(Refusal::new(Code::Conflict, message).hint(hint))
    }

    /// The refusal of a damaged checkpoint, with the newest sound one before it.
    async fn with_fallback(
        &self,
        place: &Place,
        damaged: &Checkpoint,
        error: &GitError,
    ) -> Result<Refusal, Refusal> {
        let all = self.0.ledger.checkpoints_of(damaged.attempt_id).await.map_err(unreadable)?;
        let older = all.into_iter().rev().filter(|it| it.n < damaged.n).take(FALLBACKS_MAX);
        let git = Git::new();
        let refusal = git_refusal(error);
        for checkpoint in older {
            let (commit, tree) = (&checkpoint.commit, &checkpoint.tree);
            if git.verify_checkpoint(place.dir(), commit, tree).await.is_ok() {
                let hint = format!(
                    "the newest sound one before it is checkpoint {} ({}), made {}",
                    checkpoint.n, checkpoint.note, checkpoint.at
                );
                return Ok(refusal.hint(hint).allowed(vec![checkpoint.id.to_string()]));
            }
        }
        Ok(refusal.hint("no older checkpoint of this attempt is sound; its branch has its commits"))
    }

    async fn checkpoint(&self, id: CheckpointId) -> Result<Checkpoint, Refusal> {
        let found = self.0.ledger.checkpoint(id).await.map_err(unreadable)?;
        found.ok_or_else(|| Refusal::new(Code::NotFound, format!("there is no checkpoint '{id}'")))
    }
}
