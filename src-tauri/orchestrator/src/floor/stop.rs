//! Ending an attempt: its processes, its gates', and what is to be kept of it.

use std::path::Path;

use agents::worktree::Git;
use agents::{Found, LaunchError};
use model::attempt::Checkpoint;
use model::id::{AttemptId, CheckpointId, SystemDraw};
use model::process::{ExitRecord, file};
use tracing::{error, warn};

use super::{Case, FloorSetup, GATES, Hindrance, PAUSE, directories};
use crate::input::Input;

impl FloorSetup {
    /// Ends every process of an attempt, its gates' included, secures its work, and tells of it.
    pub(super) async fn stop(&self, id: AttemptId) {
        let run = self.run(id);
        let mut pause = PAUSE;
        let record = loop {
            match self.end_run(&run).await {
                Ok(record) => break record,
                Err(err) => {
                    error!(attempt = %id, %err, "an attempt could not be stopped; trying again");
                }
            }
            if self.rest(&mut pause).await.is_none() {
                return;
            }
        };
        let Some(case) = self.case_at_last(id).await else {
            return;
        };
        let mut problem = None;
        if let Some(workplace) = &case.attempt.workplace
            && let Err(hindrance) = self.secure(&case, workplace).await
        {
            warn!(attempt = %id, %hindrance, "the work of a stopped attempt is not committed");
            problem = Some(hindrance.to_string());
        }
        if let Err(hindrance) = self.checkpoint(&case, "stopped").await {
            warn!(attempt = %id, %hindrance, "no checkpoint of a stopped attempt was made");
        }
        self.tell(Input::Stopped { id, record, problem }).await;
    }

    /// Ends the program of a run and of its gates.
    async fn end_run(&self, run: &Path) -> Result<ExitRecord, LaunchError> {
        for gate in directories(&run.join(GATES)) {
            if let Found::Running(process) | Found::Gone { identity: process, .. } =
                self.launcher.look(&gate)
            {
                self.launcher.stop(&gate, &process).await?;
            }
        }
        match self.launcher.look(run) {
            // A shim may have been started that has not said so: it is kept from starting anything.
            Found::NotStarted => self.launcher.forestall(run).await,
            Found::Ended(record) => Ok(record),
            Found::Running(process) | Found::Gone { identity: process, .. } => {
                self.launcher.stop(run, &process).await
            }
        }
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
