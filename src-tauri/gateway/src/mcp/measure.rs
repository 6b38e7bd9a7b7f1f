//! How often, and how much at once, one attempt may use its tools.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::id::AttemptId;
use tokio::time::Instant;

/// The most messages of one attempt within a minute.
const PER_MINUTE: u32 = 600;
/// The most calls of one attempt that wait for the captain at once.
const WAITING_MAX: u32 = 16;
/// Attempts that were quiet for so long are forgotten.
const MINUTE: Duration = Duration::from_secs(60);
/// After so many attempts it is looked for those to forget.
const REMEMBERED: usize = 1_024;

#[derive(Debug)]
struct Count {
    since: Instant,
    messages: u32,
    waiting: u32,
}

/// What attempts have used.
#[derive(Debug, Default)]
pub(super) struct Measure(Mutex<HashMap<AttemptId, Count>>);

/// A call that waits; it is counted until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    measure: Arc<Measure>,
    id: AttemptId,
}

impl Measure {
    fn counts(&self) -> MutexGuard<'_, HashMap<AttemptId, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a message; otherwise says after how many seconds there may be another.
    pub(super) fn count(&self, id: AttemptId) -> Result<(), u32> {
        self.count_at(id, Instant::now())
    }

    fn count_at(&self, id: AttemptId, now: Instant) -> Result<(), u32> {
        let mut counts = self.counts();
        if counts.len() > REMEMBERED {
            counts.retain(|_, it| it.waiting > 0 || now.duration_since(it.since) < MINUTE);
        }
        let count = counts.entry(id).or_insert(Count { since: now, messages: 0, waiting: 0 });
        if now.duration_since(count.since) >= MINUTE {
            (count.since, count.messages) = (now, 0);
        }
        if count.messages >= PER_MINUTE {
            let left = MINUTE.saturating_sub(now.duration_since(count.since)).as_secs() + 1;
            return Err(u32::try_from(left).unwrap_or(u32::MAX));
        }
        count.messages += 1;
        Ok(())
    }

    /// A place to wait for the captain; nothing where too many calls of the attempt wait already.
    pub(super) fn wait(self: &Arc<Self>, id: AttemptId) -> Option<Waiting> {
        let mut counts = self.counts();
        let fresh = Count { since: Instant::now(), messages: 0, waiting: 0 };
        let count = counts.entry(id).or_insert(fresh);
        if count.waiting >= WAITING_MAX {
            return None;
        }
        count.waiting += 1;
        Some(Waiting { measure: Arc::clone(self), id })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(count) = self.measure.counts().get_mut(&self.id) {
            count.waiting = count.waiting.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use model::id::SystemDraw;

    use super::*;

    fn attempt() -> AttemptId {
        AttemptId::draw(model::Timestamp::UNIX_EPOCH, &mut SystemDraw)
    }

    #[test]
    fn one_attempt_that_calls_too_often_is_told_when_to_go_on_and_others_are_not_held_up() {
        let measure = Measure::default();
        let (one, other, now) = (attempt(), attempt(), Instant::now());
        for _ in 0..PER_MINUTE {
            assert_eq!(measure.count_at(one, now), Ok(()));
        }
        let wait_s = measure.count_at(one, now).unwrap_err();
        assert!((1..=61).contains(&wait_s));
        assert_eq!(measure.count_at(other, now), Ok(()));
        assert_eq!(measure.count_at(one, now + MINUTE), Ok(()));
    }

    #[test]
    fn a_place_to_wait_is_free_again_when_the_call_ends() {
        let measure = Arc::new(Measure::default());
        let id = attempt();
        let mut all: Vec<_> = (0..WAITING_MAX).map(|_| measure.wait(id).unwrap()).collect();
        assert!(measure.wait(id).is_none());
        all.pop();
        assert!(measure.wait(id).is_some());
    }
}
