//! Whether it is the one who looks that is ill: nobody is blamed for what a busy or sleeping machine
//! did not see.

use std::time::Duration;

/// A tick is late when it took this many times as long as it should.
const LATE_TIMES: u32 = 2;
/// From this share of all that are watched on, in percent, they do not fail by themselves.
const SUSPECTS_PERCENT: usize = 30;
/// So few do not make a crowd.
const WATCHED_MIN: usize = 4;
/// Suspects count together within this time.
const TOGETHER: Duration = Duration::from_secs(1);

/// Why nobody is blamed for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excuse {
    /// The machine slept.
    Slept,
    /// The engine's own ticks come late.
    Late,
    /// Too many became suspect in the same second.
    Crowd,
}

/// Watches whoever watches. Times count from anywhere, as long as they only grow.
#[derive(Debug, Clone)]
pub struct Guard {
    interval: Duration,
    pause: Duration,
    last_tick: Option<Duration>,
    suspects: Vec<Duration>,
    held_until: Option<Duration>,
}

impl Guard {
    /// Ticks should come every `interval`; after an excuse, everything is held for one `pause`.
    #[must_use]
    pub const fn new(interval: Duration, pause: Duration) -> Self {
        Self { interval, pause, last_tick: None, suspects: Vec::new(), held_until: None }
    }

    /// Notes a tick; gives an excuse where it comes too late.
    pub fn tick(&mut self, now: Duration) -> Option<Excuse> {
        let last = self.last_tick.replace(now);
        let late = last.is_some_and(|last| now.saturating_sub(last) > self.interval * LATE_TIMES);
        late.then(|| self.hold(now, Excuse::Late))
    }

    /// Notes that the machine slept.
    pub fn slept(&mut self, now: Duration) -> Excuse {
        self.last_tick = Some(now);
        self.hold(now, Excuse::Slept)
    }

    /// Notes that one of so many has become suspect; gives an excuse where they are too many at once.
    pub fn suspect(&mut self, now: Duration, watched: usize) -> Option<Excuse> {
        self.suspects.retain(|at| now.saturating_sub(*at) < TOGETHER);
        // More than that are not needed to tell.
        if self.suspects.len() <= watched {
            self.suspects.push(now);
        }
        let many = self.suspects.len() * 100 > watched * SUSPECTS_PERCENT;
        (watched >= WATCHED_MIN && many).then(|| self.hold(now, Excuse::Crowd))
    }

    fn hold(&mut self, now: Duration, why: Excuse) -> Excuse {
        let until = now.saturating_add(self.pause);
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
        self.suspects.clear();
        why
    }

    /// Whether nobody is blamed at the moment.
    #[must_use]
    pub fn is_holding(&self, now: Duration) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard::new(Duration::from_secs(1), Duration::from_secs(2))
    }

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn ticks_that_come_late_hold_every_verdict_for_a_pause() {
        let mut guard = guard();
        assert_eq!([0.0, 1.0, 2.9, 4.9].map(|at| guard.tick(s(at))), [None; 4]);
        assert_eq!(guard.tick(s(7.0)), Some(Excuse::Late));
        assert!(guard.is_holding(s(8.9)) && !guard.is_holding(s(9.0)));
    }

    #[test]
    fn a_crowd_that_falls_ill_in_the_same_second_is_not_ill() {
        let mut guard = guard();
        let found: Vec<_> = (0..4).map(|n| guard.suspect(s(f64::from(n) * 0.1), 10)).collect();
        assert_eq!(found, [None, None, None, Some(Excuse::Crowd)]);
        assert!(guard.is_holding(s(1.0)));
        // One a second is no crowd, nor are two of three.
        assert_eq!([10.0, 11.0, 12.0, 13.0, 14.0].map(|at| guard.suspect(s(at), 10)), [None; 5]);
        assert_eq!([20.0, 20.1].map(|at| guard.suspect(s(at), 3)), [None; 2]);
    }

    #[test]
    fn after_a_sleep_nobody_is_blamed_and_the_next_tick_is_not_late() {
        let mut guard = guard();
        guard.tick(s(0.0));
        let morning = 8.0 * 3_600.0;
        assert_eq!(guard.slept(s(morning)), Excuse::Slept);
        assert!(guard.is_holding(s(morning + 1.0)));
        assert_eq!(guard.tick(s(morning + 1.0)), None);
        assert!(!guard.is_holding(s(morning + 2.0)));
    }
}
