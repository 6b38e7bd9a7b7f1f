//! Which agents are on somebody's screen, and are therefore looked at more often.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::id::AgentId;

/// The most agents that are looked at more often, for all screens together.
pub const SHOWN_MAX: usize = 64;

/// Who is looked at, by whom; clones are the same list.
#[derive(Debug, Clone, Default)]
pub struct Interest(Arc<Mutex<Screens>>);

#[derive(Debug, Default)]
struct Screens {
    next: u64,
    shown: BTreeMap<u64, Vec<AgentId>>,
}

/// A screen on which agents are; they are looked at more often until it is dropped.
#[derive(Debug)]
pub struct Screen {
    of: Interest,
    number: u64,
}

impl Interest {
    fn screens(&self) -> MutexGuard<'_, Screens> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a screen that shows nobody yet.
    #[must_use]
    pub fn screen(&self) -> Screen {
        let mut screens = self.screens();
        screens.next += 1;
        let number = screens.next;
        screens.shown.insert(number, Vec::new());
        drop(screens);
        Screen { of: self.clone(), number }
    }

    /// The agents on all screens, each once.
    #[must_use]
    pub fn agents(&self) -> Vec<AgentId> {
        let screens = self.screens();
        let mut agents: Vec<_> = screens.shown.values().flatten().copied().collect();
        drop(screens);
        agents.sort_unstable();
        agents.dedup();
        agents
    }
}

impl Screen {
    /// Shows these agents instead of those before; gives how many of them are looked at more often.
    /// With what other screens show, they are at most [`SHOWN_MAX`]; the first ones are taken.
    pub fn show(&self, agents: &[AgentId]) -> usize {
        let mut screens = self.of.screens();
        screens.shown.remove(&self.number);
        let mut seen: Vec<AgentId> = screens.shown.values().flatten().copied().collect();
        let mut taken = Vec::new();
        for agent in agents {
            let known = seen.contains(agent);
            if !known && seen.len() >= SHOWN_MAX {
                break;
            }
            if !known {
                seen.push(*agent);
            }
            if !taken.contains(agent) {
                taken.push(*agent);
            }
        }
        let count = taken.len();
        screens.shown.insert(self.number, taken);
        count
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.of.screens().shown.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents(from: u32, to: u32) -> Vec<AgentId> {
        let id = |n: u32| format!("0198c0de-0000-7000-8000-{n:012x}").parse().unwrap();
        (from..to).map(id).collect()
    }

    #[test]
    fn what_is_on_a_screen_is_looked_at_until_it_is_closed() {
        let interest = Interest::default();
        let (one, two) = (interest.screen(), interest.screen());
        assert_eq!(one.show(&agents(0, 3)), 3);
        assert_eq!(two.show(&agents(2, 4)), 2);
        assert_eq!(interest.agents(), agents(0, 4));
        assert_eq!(one.show(&agents(1, 2)), 1);
        assert_eq!(interest.agents(), agents(1, 4));
        drop(two);
        assert_eq!(interest.agents(), agents(1, 2));
        drop(one);
        assert_eq!(interest.agents(), []);
    }

    #[test]
    fn screens_together_ask_for_no_more_than_there_is_time_for() {
        let interest = Interest::default();
        let (one, two) = (interest.screen(), interest.screen());
        let most = u32::try_from(SHOWN_MAX).unwrap();
        assert_eq!(one.show(&agents(0, 5_000)), SHOWN_MAX);
        // What another screen shows already costs nothing more.
        assert_eq!(two.show(&agents(most - 4, most + 4)), 4);
        assert_eq!(interest.agents().len(), SHOWN_MAX);
    }
}
