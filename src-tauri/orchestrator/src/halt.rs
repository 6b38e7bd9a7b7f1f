//! The switch of the emergency stop: thrown before anything is recorded, so that it works while the
//! ledger refuses writes and while the loop is busy.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agents::Launcher;
use model::clock::SharedClock;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{error, warn};

use crate::entry::HaltReport;

/// How long everything that runs may take to be over.
const WITHIN: Duration = Duration::from_secs(4);
/// How long what was just being started may take.
const WITHIN_AGAIN: Duration = Duration::from_millis(300);
/// How long is waited for the mark on the disk before the processes are ended, and after it.
const MARKING: Duration = Duration::from_millis(100);
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

    /// Ends every process tree that an emergency stop before left.
    pub(crate) async fn sweep(&self) {
        for run in self.launcher.halt(&self.runs, WITHIN).await {
            warn!(run = run.run, ended = run.ended.len(), "the emergency stop is finished now");
        }
    }

    /// Ends every process tree. Says what was found and what could not be ended.
    pub(crate) async fn throw(&self) -> HaltReport {
        let began = self.clock.now();
        self.thrown.store(true, Ordering::SeqCst);
        // Before anything is ended: a crash in between must not let everything go on again.
        let mut marking = self.mark();
        let marked = tokio::time::timeout(MARKING, &mut marking).await.is_ok();
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
        if !marked && tokio::time::timeout(MARKING, marking).await.is_err() {
            warn!("the emergency stop is not marked in the data directory yet: its disk is slow");
        }
        let took = self.clock.now().duration_since(began);
        report.took_ms = u64::try_from(took.as_millis()).unwrap_or(0);
        if !report.survivors.is_empty() {
            error!(survivors = ?report.survivors, "processes outlived the emergency stop");
        }
        report
    }

    /// Leaves a mark that the next start sees. It is written beside everything else: a disk that
    /// hangs must not hold the stop up.
    fn mark(&self) -> JoinHandle<()> {
        let mark = self.mark.clone();
        tokio::task::spawn_blocking(move || {
            let written = std::fs::File::create(&mark).and_then(|mut file| {
                file.write_all(b"everything was stopped by the captain\n")?;
                file.sync_all()
            });
            if let Err(error) = written {
                warn!(%error, "the emergency stop could not be marked in the data directory");
            }
        })
    }

    /// Says that everything is stopped, as it is recorded.
    pub(crate) fn hold(&self) {
        self.thrown.store(true, Ordering::SeqCst);
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
