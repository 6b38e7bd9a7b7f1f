//! The switch of the emergency stop: thrown before anything is recorded, so that it works while the
//! ledger refuses writes and while the loop is busy.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agents::Launcher;
use model::clock::SharedClock;
use tokio::sync::Notify;
use tracing::{error, warn};

use crate::entry::HaltReport;

/// How long everything that runs may take to be over.
const WITHIN: Duration = Duration::from_secs(4);
/// How long what was just being started may take.
const WITHIN_AGAIN: Duration = Duration::from_millis(300);
/// Looks for what was being started while the switch was thrown.
const SWEEPS: usize = 3;
/// The pause between two looks.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);

/// Ends everything, and holds back what would be started.
#[derive(Debug)]
pub(crate) struct HaltSwitch {
    launcher: Launcher,
    runs: PathBuf,
    mark: PathBuf,
    clock: SharedClock,
    thrown: AtomicBool,
    released: Notify,
}

impl HaltSwitch {
    pub(crate) fn new(
        launcher: Launcher,
        runs: PathBuf,
        mark: PathBuf,
        clock: SharedClock,
        thrown: bool,
    ) -> Self {
        let thrown = AtomicBool::new(thrown);
        Self { launcher, runs, mark, clock, thrown, released: Notify::new() }
    }

    pub(crate) fn is_thrown(&self) -> bool {
        self.thrown.load(Ordering::SeqCst)
    }

    /// Waits while everything is stopped.
    pub(crate) async fn pass(&self) {
        loop {
            let released = self.released.notified();
            if !self.is_thrown() {
                return;
            }
            released.await;
        }
    }

    /// Ends every process tree. Says what was found and what could not be ended.
    pub(crate) async fn throw(&self) -> HaltReport {
        let began = self.clock.now();
        self.thrown.store(true, Ordering::SeqCst);
        let mut report = HaltReport::default();
        for sweep in 0..SWEEPS {
            if sweep > 0 {
                // What passed the switch in the last moment has its directory by now.
                tokio::time::sleep(SWEEP_PAUSE).await;
            }
            let within = if sweep == 0 { WITHIN } else { WITHIN_AGAIN };
            let halted = self.launcher.halt(&self.runs, within).await;
            report.survivors.clear();
            for run in halted {
                report.trees += 1;
                report.ended += run.ended.len() as u64;
                report.survivors.extend(
                    run.survivors
                        .into_iter()
                        .map(|survivor| (survivor.process.pid, survivor.program)),
                );
            }
        }
        if let Err(error) = std::fs::write(&self.mark, "everything was stopped by the captain\n") {
            warn!(%error, "the emergency stop could not be marked in the data directory");
        }
        let took = self.clock.now().duration_since(began);
        report.took_ms = u64::try_from(took.as_millis()).unwrap_or(0);
        if !report.survivors.is_empty() {
            error!(survivors = ?report.survivors, "processes outlived the emergency stop");
        }
        report
    }

    /// Lets things be started again.
    pub(crate) fn release(&self) {
        if let Err(error) = std::fs::remove_file(&self.mark)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            error!(%error, path = %self.mark.display(), "remove this file, or the next start is halted");
        }
        self.thrown.store(false, Ordering::SeqCst);
        self.released.notify_waiters();
    }
}
