//! Ending an attempt: its processes, its gates', and what is to be kept of it.

use std::path::Path;

use agents::LaunchError;
use agents::step::{self, Step};
use agents::worktree::Git;
use model::attempt::Checkpoint;
use model::id::{AttemptId, CheckpointId, SystemDraw};
use model::process::{ExitRecord, file};
use tracing::{error, warn};

use super::attached::{CalledOff, lost_after};
use super::{Case, FloorSetup, GATES, Hindrance, PAUSE, directories};
use crate::input::Input;

impl FloorSetup {
    /// Ends every process of an attempt, its gates' included, secures its work, and tells of it.
    pub(super) async fn stop(&self, id: AttemptId) {
        step::reached(Step::StopAsked);
        let Some(case) = self.case_at_last(id).await else {
            return;
        };
        let elsewhere = lost_after(&case).is_some();
        let Some(called_off) = self.call_off(&case).await else {
            return;
        };
        let Some(mut record) = self.end_at_last(&self.run(id)).await else {
            return;
        };
        if elsewhere {
            record = self.stopped_elsewhere();
        }
        self.remove_tokens(id);
        step::reached(Step::TreeEnded);
        let Some(case) = self.case_at_last(id).await else {
            return;
        };
        let mut problem = match called_off {
            CalledOff::Surely => None,
            CalledOff::Unconfirmed(text) => Some(text),
        };
        if let Some(workplace) = &case.attempt.workplace
            && let Err(hindrance) = self.secure(&case, workplace).await
        {
            warn!(attempt = %id, %hindrance, "the work of a stopped attempt is not committed");
            let uncertain = problem.map(|uncertain| format!("{uncertain}; ")).unwrap_or_default();
            problem = Some(format!("{uncertain}{hindrance}"));
        }
        step::reached(Step::StopSecured);
        if let Err(hindrance) = self.checkpoint(&case, "stopped").await {
            warn!(attempt = %id, %hindrance, "no checkpoint of a stopped attempt was made");
        }
        step::reached(Step::Checkpointed);
        self.tell(Input::Stopped { id, record, problem }).await;
        step::reached(Step::Stopped);
    }

    /// Ends the program of a run and of its gates, again and again until none of their processes is
    /// left. Nothing when the engine ends before that.
    pub(super) async fn end_at_last(&self, run: &Path) -> Option<ExitRecord> {
        let mut pause = PAUSE;
        loop {
            match self.end_run(run).await {
                Ok(record) => return Some(record),
                Err(err) => {
                    error!(run = %run.display(), %err, "a run could not be ended; trying again");
                }
            }
            self.rest(&mut pause).await?;
        }
    }

    /// Ends the program of a run and of its gates.
    async fn end_run(&self, run: &Path) -> Result<ExitRecord, LaunchError> {
        for gate in directories(&run.join(GATES)) {
            // A shim may have been started that has not said so.
            if gate.join(file::SPEC).exists() {
                self.launcher.end(&gate).await?;
            }
        }
        self.launcher.end(run).await
    }

    /// Keeps everything that is in the attempt's worktree as a checkpoint.
    pub(super) async fn checkpoint(&self, case: &Case, note: &str) -> Result<(), Hindrance> {
        let Some(workplace) = case.attempt.workplace.as_ref().filter(|it| it.branch.is_some())
        else {
            return Ok(());
        };
        let id = case.attempt.id;
        let n = self.ledger.checkpoints_of(id).await?.len() as u32 + 1;
        let name = format!("{}-{}-{n}", case.mission.short_id, case.attempt.n);
        let message =
            format!("hive: checkpoint {n} of {} attempt {}", case.mission.short_id, case.attempt.n);
        let place = Path::new(&workplace.directory);
        let kept = Git::new().checkpoint(place, &name, &message).await?;
        let now = self.clock.now();
        let checkpoint = Checkpoint {
            id: CheckpointId::draw(now, &mut SystemDraw),
            mission_id: case.mission.id,
            attempt_id: id,
            n,
            commit: kept.commit,
            tree: kept.tree,
            uncommitted_files: kept.uncommitted_files,
            output_bytes: output_bytes(&self.run(id)),
            note: note.to_owned(),
            at: now,
        };
        self.tell(Input::Checkpointed(checkpoint)).await;
        Ok(())
    }
}

/// How much the program of a run has printed; nothing where it never ran.
fn output_bytes(run: &Path) -> u64 {
    std::fs::metadata(run.join(file::STDOUT)).map_or(0, |found| found.len())
}
