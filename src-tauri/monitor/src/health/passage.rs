//! The passage of time for checks: a clock that is never set, and what happened to the others.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::guard::{Excuse, Guard};
use super::spec::Moment;
use crate::clocks::{Clocks, Jump};

/// How time passed since the last look at it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Passed {
    /// Now.
    pub now: Moment,
    /// The same as a time that only grows.
    pub count: Duration,
    /// When the machine fell asleep, by the clock that is never set, where it did.
    pub slept_from: Option<Timestamp>,
    /// Why nobody is blamed for a while.
    pub excuse: Option<Excuse>,
}

/// Keeps time.
#[derive(Debug)]
pub struct Passage {
    began: Timestamp,
    since: Instant,
    last: Clocks,
    /// Time in which the machine slept, of which [`Instant`] says nothing on Linux.
    asleep: Duration,
    guard: Guard,
}

impl Passage {
    /// Begins at this time on the wall, to be looked at every `interval`; after an excuse, nobody is
    /// blamed for one `pause`.
    #[must_use]
    pub fn new(wall: Timestamp, interval: Duration, pause: Duration) -> Self {
        let since = Instant::now();
        Self {
            began: wall,
            since,
            last: Clocks::read(wall, since),
            asleep: Duration::ZERO,
            guard: Guard::new(interval, pause),
        }
    }

    /// Looks at the clocks; the one on the wall is told by who asks.
    pub fn tick(&mut self, wall: Timestamp) -> Passed {
        let clocks = Clocks::read(wall, self.since);
        let jumps = clocks.since(&self.last);
        self.last = clocks;
        let slept_ms = jumps.iter().find_map(|jump| match jump {
            Jump::Slept(ms) => u64::try_from(*ms).ok(),
            Jump::Set(_) => None,
        });
        self.pass(wall, self.since.elapsed(), slept_ms.map(Duration::from_millis))
    }

    /// The moment now.
    #[must_use]
    pub fn moment(&self, wall: Timestamp) -> Moment {
        Moment { steady: self.steady(self.since.elapsed()), wall }
    }

    fn steady(&self, awake: Duration) -> Timestamp {
        let passed = SignedDuration::try_from(awake.saturating_add(self.asleep));
        self.began.saturating_add(passed.unwrap_or(SignedDuration::MAX)).unwrap_or(self.began)
    }

    fn pass(&mut self, wall: Timestamp, awake: Duration, slept: Option<Duration>) -> Passed {
        let slept_from = slept.map(|_| self.steady(awake));
        self.asleep = self.asleep.saturating_add(slept.unwrap_or_default());
        let count = awake.saturating_add(self.asleep);
        let excuse = match slept {
            Some(_) => Some(self.guard.slept(count)),
            None => self.guard.tick(count),
        };
        Passed { now: Moment { steady: self.steady(awake), wall }, count, slept_from, excuse }
    }

    /// Notes that one of so many has become suspect; gives an excuse where they are too many at once.
    pub fn suspect(&mut self, count: Duration, watched: usize) -> Option<Excuse> {
        self.guard.suspect(count, watched)
    }

    /// Whether nobody is blamed at the moment.
    #[must_use]
    pub fn is_holding(&self, count: Duration) -> bool {
        self.guard.is_holding(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;

    fn wall(s: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + s).unwrap()
    }

    fn passage() -> Passage {
        Passage::new(wall(0), Duration::from_secs(1), Duration::from_secs(2))
    }

    #[test]
    fn a_clock_that_is_set_by_an_hour_moves_nothing_that_is_waited_for() {
        for step in [HOUR, -HOUR] {
            let mut passage = passage();
            passage.pass(wall(0), Duration::ZERO, None);
            let passed = passage.pass(wall(1 + step), Duration::from_secs(1), None);
            assert_eq!(passed.now, Moment { steady: wall(1), wall: wall(1 + step) });
            assert_eq!((passed.excuse, passed.slept_from), (None, None));
        }
    }

    #[test]
    fn a_night_asleep_counts_as_time_and_is_nobodys_fault() {
        let mut passage = passage();
        passage.pass(wall(0), Duration::ZERO, None);
        let night = Duration::from_secs(8 * 3_600);
        let passed = passage.pass(wall(8 * HOUR + 1), Duration::from_secs(1), Some(night));
        assert_eq!(passed.excuse, Some(Excuse::Slept));
        assert_eq!(passed.slept_from, Some(wall(1)));
        assert_eq!(passed.now.steady, wall(8 * HOUR + 1));
        assert!(passage.is_holding(passed.count));
    }

    #[test]
    fn ticks_that_come_late_are_the_engines_own_fault() {
        let mut passage = passage();
        passage.pass(wall(0), Duration::ZERO, None);
        let passed = passage.pass(wall(4), Duration::from_secs(4), None);
        assert_eq!(passed.excuse, Some(Excuse::Late));
    }

    #[test]
    fn the_clocks_of_this_machine_go_on() {
        let mut passage = passage();
        let one = passage.tick(wall(0));
        assert!(passage.moment(wall(0)).steady >= one.now.steady);
        assert_eq!(one.slept_from, None);
    }
}
