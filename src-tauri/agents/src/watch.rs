//! Waits for the end of a run, whoever started it, and reads how it ended.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use model::process::{ExitRecord, ProcessIdentity, ProcessRef};
use shim::proc;
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};

use crate::launcher::LaunchError;
use crate::run_files::read_exit;
use crate::survey;

/// How often a process is looked at where the system does not tell when it ends.
const LOOK: Duration = Duration::from_millis(500);
/// How often a record that is there and cannot be read is tried, a second apart.
const READ_TRIES: u32 = 60;

/// Waits for the end of the run; nothing when its shim went without a record that can be read.
pub(crate) async fn over(
    run: &Path,
    identity: &ProcessIdentity,
) -> Result<Option<ExitRecord>, LaunchError> {
    // One that cannot be read says nothing: while its shim is there, the run is not over.
    if let Ok(Some(record)) = read_exit(run) {
        return Ok(Some(record));
    }
    if survey::this_boot(identity) {
        gone(identity.shim).await;
    }
    let mut tries = 1;
    loop {
        match read_exit(run) {
            Err(error) if error.is_damage() => {
                tracing::error!(run = %run.display(), %error, "how a run ended cannot be read");
                return Ok(None);
            }
            // There will be descriptors again, and nothing of it changes meanwhile.
            Err(error) if error.is_want() => {}
            Err(_) if tries < READ_TRIES => tries += 1,
            read => return read,
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Waits for the end of a process that need not be a child of this one.
async fn gone(process: ProcessRef) {
    let held = proc::hold(process).and_then(watchable);
    loop {
        match (proc::life(process), &held) {
            (proc::Life::Gone, _) => return,
            (proc::Life::Alive, Some(held)) => {
                // Looked at again now and then, in case the notice gets lost.
                let _ = timeout(LOOK * 10, held.readable()).await;
            }
            // What cannot be looked at has not ended.
            (proc::Life::Alive | proc::Life::Unknown, _) => sleep(LOOK / 5).await,
        }
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for types that lie about their descriptor; an OwnedFd does not"
)]
fn watchable(held: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::new(held).ok()
}
