//! Counts measurements, and those that were due and did not happen.

use std::time::Duration;

use tokio::time::Instant;

/// The rhythm of the measurements.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    last_due: Instant,
    ticks: u64,
    missed: u64,
}

impl Pace {
    /// Starts with the measurement taken at `first`.
    pub(crate) const fn new(first: Instant, interval: Duration) -> Self {
        Self { interval, last_due: first, ticks: 1, missed: 0 }
    }

    /// Notes the measurement that was due at `due`; whole intervals since the one before are misses.
    pub(crate) fn measured(&mut self, due: Instant) {
        let since = due.saturating_duration_since(self.last_due);
        // Half an interval of slack: the first one is due a little after the interval began.
        let intervals =
            (since.as_nanos() + self.interval.as_nanos() / 2) / self.interval.as_nanos().max(1);
        self.missed += u64::try_from(intervals.saturating_sub(1)).unwrap_or(u64::MAX);
        self.ticks += 1;
        self.last_due = due;
    }

    /// Notes that the measurement that was due gave nothing.
    pub(crate) const fn lost(&mut self) {
        self.missed += 1;
    }

    /// Measurements begun, the first one included.
    pub(crate) const fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Measurements that were due and gave nothing.
    pub(crate) const fn missed(&self) -> u64 {
        self.missed
    }

    /// From now on measurements are due this often.
    pub(crate) const fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// Time between two measurements.
    pub(crate) const fn interval(&self) -> Duration {
        self.interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_that_were_due_and_did_not_happen_are_counted() {
        let check = |due_ms: &[u64], missed: u64| {
            let start = Instant::now();
            let mut pace = Pace::new(start, Duration::from_secs(1));
            for ms in due_ms {
                pace.measured(start + Duration::from_millis(*ms));
            }
            assert_eq!(pace.missed(), missed, "{due_ms:?}");
            assert_eq!(pace.ticks(), due_ms.len() as u64 + 1);
        };
        check(&[], 0);
        check(&[1_000, 2_000, 3_000], 0);
        check(&[1_040, 2_010, 3_000], 0);
        check(&[1_000, 4_000], 2);
        check(&[1_000, 4_000, 5_000, 9_000], 5);
        check(&[100], 0);
    }

    #[test]
    fn a_measurement_that_gave_nothing_is_a_miss_and_not_a_zero() {
        let start = Instant::now();
        let mut pace = Pace::new(start, Duration::from_secs(1));
        pace.measured(start + Duration::from_secs(1));
        pace.lost();
        assert_eq!((pace.ticks(), pace.missed()), (2, 1));
    }
}
