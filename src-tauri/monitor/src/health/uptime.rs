//! How much of the time something was in order, from the changes of its health.

use std::time::Duration;

use jiff::Timestamp;

use super::check::{Change, Health};

/// How much of a stretch of time was spent how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uptime {
    /// Time in which it worked, degraded included.
    pub up: Duration,
    /// Time in which it did not.
    pub down: Duration,
    /// Time of which nothing is said: maintenance, pauses, starts, and what nobody looked at.
    pub aside: Duration,
    /// How often it went down.
    pub outages: u32,
}

impl Uptime {
    /// Adds up a stretch of time. `changes` are in their order; the health before the first of them is
    /// what that one changed from, and `health` where there is none.
    #[must_use]
    pub fn over(changes: &[Change], health: Health, from: Timestamp, to: Timestamp) -> Self {
        let mut sum = Self::default();
        let mut at = from;
        let mut now = changes.first().map_or(health, |change| change.from);
        for change in changes.iter().filter(|change| change.at < to) {
            if change.at > at {
                sum.add(now, at, change.at);
                at = change.at;
            }
            if change.to == Health::Down && change.at >= from {
                sum.outages += 1;
            }
            now = change.to;
        }
        sum.add(now, at, to);
        sum
    }

    fn add(&mut self, health: Health, from: Timestamp, to: Timestamp) {
        let span = if to > from { to.duration_since(from).unsigned_abs() } else { Duration::ZERO };
        match health {
            Health::Up | Health::Degraded => self.up += span,
            Health::Down => self.down += span,
            Health::Unknown
            | Health::Starting
            | Health::Maintenance
            | Health::Paused
            | Health::Stale => self.aside += span,
        }
    }

    /// The share of the time of which something is known in which it worked, from 0 to 1; nothing
    /// where nothing is known.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let known = self.up + self.down;
        (!known.is_zero()).then(|| self.up.as_secs_f64() / known.as_secs_f64())
    }

    /// How long an outage lasted on average; nothing where there was none.
    #[must_use]
    pub fn mean_to_repair(&self) -> Option<Duration> {
        (self.outages > 0).then(|| self.down / self.outages)
    }

    /// How long it worked between two outages on average; nothing where there was none.
    #[must_use]
    pub fn mean_between_failures(&self) -> Option<Duration> {
        (self.outages > 0).then(|| self.up / self.outages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + MINUTE * minutes).unwrap()
    }

    fn change(minutes: i64, from: Health, to: Health) -> Change {
        Change { at: at(minutes), from, to, reason: String::new() }
    }

    #[test]
    fn thirty_days_with_three_outages() {
        use Health::{Down, Up};
        let mut changes = Vec::new();
        for (start, length) in [(1_000, 10), (5_000, 20), (40_000, 30)] {
            changes.push(change(start, Up, Down));
            changes.push(change(start + length, Down, Up));
        }
        let sum = Uptime::over(&changes, Up, at(0), at(30 * 24 * 60));
        let share = sum.share().unwrap();
        assert!((share - 0.998_611).abs() < 1e-6, "{share}");
        let minutes = |time: Option<Duration>| time.unwrap().as_secs() / 60;
        let (repair, between) = (sum.mean_to_repair(), sum.mean_between_failures());
        assert_eq!((minutes(repair), minutes(between)), (20, 14_380));
        let (repair, between) = (repair.unwrap().as_secs_f64(), between.unwrap().as_secs_f64());
        assert!((between / (between + repair) - share).abs() < 1e-12);
    }

    #[test]
    fn what_nobody_knows_is_neither_up_nor_down() {
        use Health::{Degraded, Down, Maintenance, Stale, Unknown, Up};
        let changes = [
            change(10, Unknown, Up),
            change(20, Up, Maintenance),
            change(50, Maintenance, Down),
            change(60, Down, Degraded),
            change(70, Degraded, Stale),
        ];
        let sum = Uptime::over(&changes, Unknown, at(0), at(100));
        let minutes = |time: Duration| time.as_secs() / 60;
        assert_eq!((minutes(sum.up), minutes(sum.down), minutes(sum.aside)), (20, 10, 70));
        assert_eq!(sum.share(), Some(2.0 / 3.0));
        let part = Uptime::over(&changes, Unknown, at(55), at(65));
        assert_eq!((minutes(part.up), minutes(part.down), part.outages), (5, 5, 0));
        let nothing = Uptime::over(&[], Unknown, at(0), at(10));
        assert_eq!((nothing.share(), nothing.mean_to_repair()), (None, None));
        assert_eq!(
            Uptime::over(&[], Up, at(10), at(0)),
            Uptime::default(),
            "a range that ends before it begins"
        );
    }
}
