//! Times of maintenance: when checks say nothing, as somebody works on what they look at.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MAINTENANCE_DAYS_MAX, NAMED_MAX, NOTE_CHARS_MAX};
use crate::id::MaintenanceId;

/// How often something recurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recurrence {
    /// Each day at the same time of day.
    Daily,
    /// Each week on the same day at the same time of day.
    Weekly,
}

impl Recurrence {
    const fn days(self) -> i64 {
        match self {
            Self::Daily => 1,
            Self::Weekly => 7,
        }
    }
}

/// A time in which checks say nothing: somebody works on what they look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Maintenance {
    /// Its identity.
    pub id: MaintenanceId,
    /// The checks it is for, by their ids; all of the captain's own where none is named.
    pub checks: Vec<String>,
    /// When it begins, the first time where it recurs.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// When it ends, the first time where it recurs.
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
    /// How often it recurs; nothing where it does not.
    pub recurs: Option<Recurrence>,
    /// The time zone in which it recurs at the same time of day, an IANA name.
    #[schema(example = "Europe/Berlin")]
    pub zone: String,
    /// What is done, in the captain's words.
    pub note: String,
}

/// A maintenance that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaintenanceFault {
    /// It would end before it begins, or last too long.
    #[error("maintenance ends after it begins, at most {MAINTENANCE_DAYS_MAX} days later")]
    Length,
    /// It would begin again before it ends.
    #[error("maintenance that recurs ends before it begins again")]
    Overlap,
    /// There is no such time zone.
    #[error("'{0}' is no time zone, such as Europe/Berlin or UTC")]
    Zone(String),
    /// It is for too many checks.
    #[error("maintenance names at most {NAMED_MAX} checks")]
    Checks,
    /// The note is too long.
    #[error("a note is at most {NOTE_CHARS_MAX} characters")]
    Note,
}

impl Maintenance {
    /// Checks every field by itself.
    ///
    /// # Errors
    /// Names the first field that cannot be.
    pub fn check(&self) -> Result<(), MaintenanceFault> {
        let length = self.until.duration_since(self.from);
        if !length.is_positive() || length > SignedDuration::from_hours(24 * MAINTENANCE_DAYS_MAX) {
            return Err(MaintenanceFault::Length);
        }
        // An hour less: on the day the clocks are set forward there are 23 of them.
        let apart = self.recurs.map(|recurs| SignedDuration::from_hours(24 * recurs.days() - 1));
        if apart.is_some_and(|apart| length > apart) {
            return Err(MaintenanceFault::Overlap);
        }
        if TimeZone::get(&self.zone).is_err() {
            return Err(MaintenanceFault::Zone(self.zone.chars().take(60).collect()));
        }
        if self.checks.len() > NAMED_MAX {
            return Err(MaintenanceFault::Checks);
        }
        let note = self.note.chars().count() <= NOTE_CHARS_MAX;
        if note { Ok(()) } else { Err(MaintenanceFault::Note) }
    }

    /// Until when it lasts at a moment; nothing where it is not then. It begins inclusively and ends
    /// exclusively. One that recurs keeps its time of day when the clocks of its zone are changed.
    #[must_use]
    pub fn active_until(&self, now: Timestamp) -> Option<Timestamp> {
        let length = self.until.duration_since(self.from);
        let within = |from: Timestamp| {
            let until = from.checked_add(length).ok()?;
            (from <= now && now < until).then_some(until)
        };
        let Some(recurs) = self.recurs else {
            return within(self.from);
        };
        let zone = TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC);
        let first = self.from.to_zoned(zone);
        let passed_days = now.duration_since(self.from).as_hours() / 24;
        let turn = passed_days.div_euclid(recurs.days());
        // The hours of a day differ twice a year, so its neighbours are looked at as well.
        (turn - 1..=turn + 1).filter(|turn| *turn >= 0).find_map(|turn| {
            let days = turn.checked_mul(recurs.days())?;
            let begins = first.checked_add(Span::new().try_days(days).ok()?).ok()?;
            within(begins.timestamp())
        })
    }

    /// Whether it is over for good.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.recurs.is_none() && now >= self.until
    }

    /// Whether it is for a check; `own` says that the check is one of the captain's own.
    #[must_use]
    pub fn is_for(&self, check: &str, own: bool) -> bool {
        if self.checks.is_empty() { own } else { self.checks.iter().any(|it| it == check) }
    }
}
