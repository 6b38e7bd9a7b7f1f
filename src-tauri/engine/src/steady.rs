//! A time that does not go back while the engine runs, to judge by whether a key has come to its end.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// When the engine began, by the clock on the wall and by one that only counts.
#[derive(Debug)]
pub(crate) struct Steady {
    began: Timestamp,
    since: Instant,
}

impl Steady {
    /// Begins at this time.
    pub(crate) fn new(began: Timestamp) -> Self {
        Self { began, since: Instant::now() }
    }

    /// The time on the wall, or, where that was set back, what it would be if it had not been.
    pub(crate) fn at_least(&self, now: Timestamp) -> Timestamp {
        self.after(self.since.elapsed(), now)
    }

    fn after(&self, elapsed: Duration, now: Timestamp) -> Timestamp {
        let counted = SignedDuration::try_from(elapsed)
            .ok()
            .and_then(|elapsed| self.began.checked_add(elapsed).ok());
        counted.map_or(now, |counted| now.max(counted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_makes_no_key_hold_longer() {
        let began = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24);
        let steady = Steady::new(began);
        let (hour, later) = (Duration::from_secs(3_600), began + SignedDuration::from_hours(1));
        assert_eq!(steady.after(hour, later), later);
        assert_eq!(steady.after(hour, Timestamp::UNIX_EPOCH), later, "set back by a day");
        let slept = began + SignedDuration::from_hours(9);
        assert_eq!(steady.after(hour, slept), slept, "the machine slept meanwhile");
        assert_eq!(steady.after(Duration::MAX, later), later);
    }
}
