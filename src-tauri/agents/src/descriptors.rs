//! How many files the engine may have open: as many as the system lets it. Most systems begin with 1024,
//! and each agent that is talked to needs four.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More is never needed, and a table of descriptors takes memory.
const MOST: u64 = 65_536;

static USUAL: OnceLock<Option<u64>> = OnceLock::new();

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
}
