//! How often, and how much at once, one attempt may come to one of its doors.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::id::AttemptId;
use tokio::time::Instant;

/// The most requests of one attempt within a minute.
const PER_MINUTE: u32 = 600;
/// The most requests of one attempt that are under way at once.
const UNDER_WAY_MAX: u32 = 32;
/// The most calls of one attempt that wait for the captain at once.
const WAITING_MAX: u32 = 16;
/// Attempts that were quiet for so long are forgotten.
const MINUTE: Duration = Duration::from_secs(60);
/// After so many attempts it is looked for those to forget.
const REMEMBERED: usize = 1_024;

#[derive(Debug)]
struct Count {
    since: Instant,
    requests: u32,
    under_way: u32,
    waiting: u32,
}

/// What attempts have used of one door.
#[derive(Debug, Default)]
pub(crate) struct Measure(Mutex<HashMap<AttemptId, Count>>);

/// Why a request is not let in, with after how many seconds it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMuch(pub(crate) u32);

/// What is counted as long as it lasts.
#[derive(Debug, Clone, Copy)]
enum Lasting {
    UnderWay,
    Waiting,
}

/// A place that is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    measure: Arc<Measure>,
    id: AttemptId,
    what: Lasting,
}

impl Count {
    const fn new(now: Instant) -> Self {
        Self { since: now, requests: 0, under_way: 0, waiting: 0 }
    }

    const fn of(&mut self, what: Lasting) -> (&mut u32, u32) {
        match what {
            Lasting::UnderWay => (&mut self.under_way, UNDER_WAY_MAX),
            Lasting::Waiting => (&mut self.waiting, WAITING_MAX),
        }
    }
}

impl Measure {
    fn counts(&self) -> MutexGuard<'_, HashMap<AttemptId, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a request of an attempt in, where it has not had too many.
    pub(crate) fn enter(self: &Arc<Self>, id: AttemptId) -> Result<Place, TooMuch> {
        self.count_at(id, Instant::now())?;
        self.place(id, Lasting::UnderWay).ok_or(TooMuch(1))
    }

    fn count_at(&self, id: AttemptId, now: Instant) -> Result<(), TooMuch> {
        let mut counts = self.counts();
        if counts.len() > REMEMBERED {
            counts.retain(|_, it| {
                it.waiting + it.under_way > 0 || now.duration_since(it.since) < MINUTE
            });
        }
        let count = counts.entry(id).or_insert(Count::new(now));
        if now.duration_since(count.since) >= MINUTE {
            (count.since, count.requests) = (now, 0);
        }
        if count.requests >= PER_MINUTE {
            let left = MINUTE.saturating_sub(now.duration_since(count.since)).as_secs() + 1;
            return Err(TooMuch(u32::try_from(left).unwrap_or(u32::MAX)));
        }
        count.requests += 1;
        Ok(())
    }

    /// A place to wait for the captain; nothing where too many calls of the attempt wait already.
    pub(crate) fn wait(self: &Arc<Self>, id: AttemptId) -> Option<Place> {
        self.place(id, Lasting::Waiting)
    }

    fn place(self: &Arc<Self>, id: AttemptId, what: Lasting) -> Option<Place> {
        let mut counts = self.counts();
        let (taken, max) = counts.entry(id).or_insert(Count::new(Instant::now())).of(what);
        if *taken >= max {
            return None;
        }
        *taken += 1;
        Some(Place { measure: Arc::clone(self), id, what })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(count) = self.measure.counts().get_mut(&self.id) {
            let (taken, _) = count.of(self.what);
            *taken = taken.saturating_sub(1);
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
        let TooMuch(wait_s) = measure.count_at(one, now).unwrap_err();
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

    #[test]
    fn one_attempt_cannot_take_every_connection() {
        let measure = Arc::new(Measure::default());
        let (one, other) = (attempt(), attempt());
        let all: Vec<_> = (0..UNDER_WAY_MAX).map(|_| measure.enter(one).unwrap()).collect();
        assert_eq!(measure.enter(one).unwrap_err(), TooMuch(1));
        assert!(measure.enter(other).is_ok());
        drop(all);
        assert!(measure.enter(one).is_ok());
    }
}
