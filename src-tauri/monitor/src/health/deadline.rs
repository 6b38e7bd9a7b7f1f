//! A dead man's switch: something reports from time to time, and its silence is what is told.

use jiff::{SignedDuration, Timestamp};

/// When something has to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// How often it reports.
    pub period: SignedDuration,
    /// How much later than that is still in order; also how long it may take from its start to its
    /// success.
    pub grace: SignedDuration,
}

/// What something has reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reports {
    /// Its last success.
    pub last: Option<Timestamp>,
    /// When it said that it begins, where no success came since.
    pub started: Option<Timestamp>,
    /// Whether it last said that it failed.
    pub failed: bool,
}

/// How something stands that has to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has never reported.
    New,
    /// It has begun and is not done.
    Started,
    /// It reported in time.
    Up,
    /// It is late, and that is still in order.
    Grace,
    /// It is too late, or said that it failed.
    Down,
}

impl Deadline {
    /// How something stands at a moment. At the very end of its grace it is too late.
    #[must_use]
    pub fn standing(&self, reports: &Reports, now: Timestamp) -> Standing {
        let past = |from: Timestamp, wait: SignedDuration| {
            // A moment beyond the end of time does not come.
            from.checked_add(wait).is_ok_and(|end| now >= end)
        };
        if reports.failed || reports.started.is_some_and(|started| past(started, self.grace)) {
            return Standing::Down;
        }
        let Some(last) = reports.last else {
            return if reports.started.is_some() { Standing::Started } else { Standing::New };
        };
        let whole = self.period.checked_add(self.grace).unwrap_or(SignedDuration::MAX);
        if past(last, whole) {
            Standing::Down
        } else if reports.started.is_some() {
            Standing::Started
        } else if past(last, self.period) {
            Standing::Grace
        } else {
            Standing::Up
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + 60 * minutes).unwrap()
    }

    /// A day with an hour of grace, as in Healthchecks' tests of a check's status (BSD-3-Clause).
    const DAILY: Deadline =
        Deadline { period: SignedDuration::from_hours(24), grace: SignedDuration::from_hours(1) };

    #[test]
    fn silence_is_in_order_for_the_period_late_for_the_grace_and_then_down() {
        let reports = Reports { last: Some(at(0)), ..Reports::default() };
        let check = |minutes, expected| {
            assert_eq!(DAILY.standing(&reports, at(minutes)), expected, "{minutes}");
        };
        check(0, Standing::Up);
        check(24 * 60 - 1, Standing::Up);
        check(24 * 60, Standing::Grace);
        check(25 * 60 - 1, Standing::Grace);
        check(25 * 60, Standing::Down);
        check(-5, Standing::Up);
    }

    #[test]
    fn what_has_begun_must_be_done_within_the_grace() {
        let began = Reports { last: Some(at(0)), started: Some(at(10)), failed: false };
        let check = |reports: &Reports, minutes, expected| {
            assert_eq!(DAILY.standing(reports, at(minutes)), expected, "{minutes}");
        };
        check(&began, 10, Standing::Started);
        check(&began, 69, Standing::Started);
        check(&began, 70, Standing::Down);
        let first = Reports { last: None, ..began };
        check(&first, 69, Standing::Started);
        check(&first, 70, Standing::Down);
        check(&Reports::default(), 1_000_000, Standing::New);
        check(&Reports { failed: true, ..Reports::default() }, 0, Standing::Down);
        // It began again although its period is over: that is what is late.
        let late = Reports { started: Some(at(25 * 60 - 1)), ..began };
        check(&late, 25 * 60, Standing::Down);
    }

    #[test]
    fn no_period_is_too_long_for_the_calendar() {
        let never = Deadline { period: SignedDuration::MAX, grace: SignedDuration::MAX };
        let reports = Reports { last: Some(at(0)), started: Some(at(0)), failed: false };
        assert_eq!(never.standing(&reports, Timestamp::MAX), Standing::Started);
    }
}
