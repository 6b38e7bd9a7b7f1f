//! Looks whether the processes of a run are the ones it was started with.

use std::sync::OnceLock;

use model::process::{ProcessIdentity, ProcessRef};
use shim::proc;

/// Whether the program of this run, or the shim that tidies up after it, is running.
///
/// A process of the same number that was started at another time, or in another boot, is a stranger.
#[must_use]
pub fn alive(identity: &ProcessIdentity) -> bool {
    this_boot(identity) && (proc::is_alive(identity.program) || proc::is_alive(identity.shim))
}

/// Whether the run belongs to the present boot of this machine.
pub(crate) fn this_boot(identity: &ProcessIdentity) -> bool {
    boot() == Some(identity.boot_id.as_str())
}

/// Whether the machine was restarted since: nothing of the run can be running. Where the system does
/// not say which boot this is, nobody knows.
pub(crate) fn rebooted(identity: &ProcessIdentity) -> bool {
    boot().is_some_and(|boot| boot != identity.boot_id)
}

/// Which boot this is; asked again as long as the system did not say: there may have been no
/// descriptor to ask with.
pub(crate) fn boot() -> Option<&'static str> {
    static BOOT: OnceLock<String> = OnceLock::new();
    if BOOT.get().is_none()
        && let Ok(boot) = proc::boot_id()
    {
        // Somebody else may have been faster, with the same answer.
        let _ = BOOT.set(boot);
    }
    BOOT.get().map(String::as_str)
}

/// What is left of a run whose shim is gone: its program, what carries its marker, and their
/// descendants.
#[must_use]
pub(crate) fn left(identity: &ProcessIdentity) -> Vec<ProcessRef> {
    use shim::tree::Tree;
    orphans(identity, Vec::new()).living().living
}

/// The same, and what else is `known` to belong to it, as a tree that can be ended.
pub(crate) fn orphans(
    identity: &ProcessIdentity,
    known: Vec<ProcessRef>,
) -> shim::tree::Orphans<'_> {
    let program = this_boot(identity).then_some(identity.program);
    shim::tree::Orphans::new(&identity.marker, program.into_iter().chain(known))
}

/// Whether there is any process of this number, whoever it is.
#[must_use]
pub fn exists(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
    // Only "no such process" says that it is gone; a foreign one may not be asked.
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

#[cfg(test)]
mod exists_tests {
    use super::exists;

    #[test]
    fn this_process_exists_and_an_impossible_one_does_not() {
        assert!(exists(std::process::id()));
        assert!(!exists(0));
        assert!(!exists(u32::MAX));
        assert!(!exists(0x3fff_ffff), "beyond the largest number Linux gives");
    }
}
