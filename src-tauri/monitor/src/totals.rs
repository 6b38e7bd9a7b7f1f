//! What agents have used in all their attempts: it only grows, also when a process is replaced.

use std::collections::HashMap;

use model::id::AgentId;

/// What the processes of one agent have used, as far as it was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AgentTotals {
    /// Processor time, in milliseconds.
    pub cpu_ms: u64,
    /// Bytes they had read from disks; nothing where that is not told.
    pub read_bytes: Option<u64>,
    /// Bytes they had written to disks; nothing where that is not told.
    pub written_bytes: Option<u64>,
    /// Bytes the agent has printed.
    pub output_bytes: u64,
}

/// The totals of every agent.
#[derive(Debug, Default)]
pub(crate) struct Totals(HashMap<AgentId, AgentTotals>);

impl Totals {
    /// Begins where the measuring before ended.
    pub(crate) fn resumed(known: HashMap<AgentId, AgentTotals>) -> Self {
        Self(known)
    }

    pub(crate) fn of(&mut self, agent: AgentId) -> &mut AgentTotals {
        self.0.entry(agent).or_default()
    }
}

/// A figure of an attempt that is looked at from time to time and belongs to a total.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Growing {
    seen: Option<u64>,
}

impl Growing {
    /// How much came since the last look. What came before the first look counts only where the
    /// attempt began under these eyes.
    pub(crate) fn more(&mut self, now: u64, from_the_start: bool) -> u64 {
        let before = self.seen.unwrap_or(if from_the_start { 0 } else { now });
        self.seen = Some(now);
        now.saturating_sub(before)
    }

    /// The same where it may not be told.
    pub(crate) fn more_of(&mut self, now: Option<u64>, from_the_start: bool) -> Option<u64> {
        now.map(|now| self.more(now, from_the_start))
    }
}

/// Adds where something is told; a total that was never told stays nothing.
pub(crate) fn add(total: &mut Option<u64>, more: Option<u64>) {
    if let Some(more) = more {
        *total = Some(total.unwrap_or(0).saturating_add(more));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_only_grows_whatever_its_source_does() {
        let mut growing = Growing::default();
        let told = [10, 15, 3, 4, u64::MAX, 0].map(|now| growing.more(now, true));
        assert_eq!(told, [10, 5, 0, 1, u64::MAX - 4, 0]);
        let mut taken_over = Growing::default();
        assert_eq!([500, 600].map(|now| taken_over.more(now, false)), [0, 100]);
    }

    #[test]
    fn what_is_not_told_stays_nothing() {
        let mut total = None;
        add(&mut total, Growing::default().more_of(None, true));
        assert_eq!(total, None);
        add(&mut total, Some(0));
        assert_eq!(total, Some(0));
        add(&mut total, Some(u64::MAX));
        add(&mut total, Some(1));
        assert_eq!(total, Some(u64::MAX));
    }
}
