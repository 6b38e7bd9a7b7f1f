//! How many files the engine may have open: as many as the system lets it. Most systems begin with 1024,
//! and each agent that is talked to needs [`PER_RUN`].
//!
//! Whoever has all the descriptors it needs but one waits for that one, and holds the others: so no run
//! is begun for which there are not enough, beside some that those that are under way do their work with.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What one run takes while its agent is talked to: its socket, both outputs, and its shim twice.
pub const PER_RUN: u64 = 5;
/// More is never needed, and a table of descriptors takes memory.
const MOST: u64 = 65_536;
/// How many are kept for the work of those that run; less where there are few at all.
const SPARE: u64 = 64;

static USUAL: OnceLock<Option<u64>> = OnceLock::new();
/// What begins now and has not opened its descriptors yet may come to need.
static CLAIMED: AtomicU64 = AtomicU64::new(0);

/// Raises the limit, once.
pub(crate) fn raise() {
    USUAL.get_or_init(|| {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let before = current?;
        let wanted = maximum.map_or(MOST, |maximum| maximum.min(MOST));
        if wanted <= before {
            return None;
        }
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
        raised.is_ok().then_some(before)
    });
}

/// What the limit was before it was raised: what programs expect. Nothing where it is what it was.
pub(crate) fn usual() -> Option<u64> {
    USUAL.get().copied().flatten()
}

/// The descriptors of a run that begins, kept free until this is dropped: by then it has opened them.
#[derive(Debug)]
pub struct Room(());

impl Drop for Room {
    fn drop(&mut self) {
        CLAIMED.fetch_sub(PER_RUN, Ordering::Relaxed);
    }
}

/// There are not enough descriptors for another run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// How many files may be open.
    pub limit: u64,
    /// How many are; nothing where there was none left to look with.
    pub open: Option<u64>,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, open } = *self;
        match open {
            Some(open) => {
                write!(f, "{open} of the {limit} files that Hivekeeper may open are open")?
            }
            None => write!(f, "all of the {limit} files that Hivekeeper may open are open")?,
        }
        write!(f, ", and an agent needs {PER_RUN}: end some agents, or allow more (ulimit -n)")
    }
}

/// Keeps descriptors free for another run.
///
/// # Errors
/// Where there are not enough.
pub fn room() -> Result<Room, Full> {
    // Claimed first: of two that look at the same time, one at least sees the other.
    let claimed = CLAIMED.fetch_add(PER_RUN, Ordering::Relaxed);
    let room = Room(());
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return Ok(room);
    };
    match open() {
        Ok(open) if fits(limit, open, claimed) => Ok(room),
        Ok(open) => Err(Full { limit, open: Some(open) }),
        Err(error) if crate::is_want(&error) => Err(Full { limit, open: None }),
        // Where nobody says how many there are, nobody can tell.
        Err(_) => Ok(room),
    }
}

/// How many files are open.
fn open() -> std::io::Result<u64> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count() as u64)
}

fn fits(limit: u64, open: u64, claimed: u64) -> bool {
    open + claimed + PER_RUN + SPARE.min(limit / 8) <= limit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_it_goes_and_what_it_was_is_known() {
        let before = getrlimit(Resource::Nofile);
        raise();
        let after = getrlimit(Resource::Nofile);
        assert_eq!(after.maximum, before.maximum, "what may be allowed stays");
        let most = before.maximum.map_or(MOST, |maximum| maximum.min(MOST));
        assert_eq!(after.current, before.current.map(|before| before.max(most)));
        match usual() {
            Some(usual) => assert_eq!(Some(usual), before.current),
            None => assert_eq!(after.current, before.current),
        }
    }

    #[test]
    fn a_run_begins_only_where_there_is_room_for_it_beside_the_others_and_their_work() {
        assert!(fits(1024, 100, 0));
        assert!(fits(1024, 1024 - 64 - 5, 0));
        assert!(!fits(1024, 1024 - 64 - 4, 0), "some are kept for those that run");
        assert!(!fits(1024, 1024 - 64 - 5, PER_RUN), "another one begins");
        assert!(fits(256, 200, 0), "where there are few, fewer are kept");
        let some = Full { limit: 256, open: Some(250) };
        assert!(some.to_string().starts_with("250 of the 256 files"), "{some}");
        let held = [room(), room()];
        assert!(held.iter().all(Result::is_ok), "{held:?}");
        drop(held);
    }
}
