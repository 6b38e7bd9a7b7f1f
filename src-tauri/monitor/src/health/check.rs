//! One check as a state machine: results come in, changes of its health come out.

use std::time::Duration;

use jiff::Timestamp;

/// The longest reason that is kept, in characters.
const REASON_CHARS_MAX: usize = 300;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// Nothing is known yet.
    Unknown,
    /// It is starting, and nothing else of it is looked at.
    Starting,
    /// It is in order.
    Up,
    /// It works, but not as it should, or something that it needs does not.
    Degraded,
    /// It does not work.
    Down,
    /// It is being worked on: what is found says nothing.
    Maintenance,
    /// Nobody looks at it.
    Paused,
    /// There was no result for too long.
    Stale,
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// In order.
    Good,
    /// It works, but not as it should, and why.
    Poor(String),
    /// It does not work, and why.
    Bad(String),
}

/// Nothing can be said of something at the moment, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Untold(pub String);

/// How a check judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckSettings {
    /// Time between two looks.
    pub interval: Duration,
    /// How long one look may take.
    pub timeout: Duration,
    /// Bad looks in a row until it is down.
    pub failures: u32,
    /// Good looks in a row until it is up again.
    pub successes: u32,
    /// How long it may take until the first good look; nothing where it must be up at once.
    pub start_within: Option<Duration>,
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            failures: 3,
            successes: 2,
            start_within: None,
        }
    }
}

/// Why a check cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSettings {
    /// A look would still be going on when the next one is due.
    #[error(
        "a look may take {timeout_ms} ms and the next one is due after {interval_ms} ms: make the timeout shorter than the interval"
    )]
    Timeout {
        /// How long a look may take.
        timeout_ms: u128,
        /// Time between two looks.
        interval_ms: u128,
    },
    /// Looks would be made without a pause, or hardly ever.
    #[error("an interval of {interval_ms} ms is not between a second and a year")]
    Interval {
        /// Time between two looks.
        interval_ms: u128,
    },
    /// Nothing would ever change.
    #[error("a threshold must be between 1 and 100 looks")]
    Threshold,
}

/// A change of health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Since when: the first of the looks that came to it, not the one that made it certain.
    pub at: Timestamp,
    /// What it was.
    pub from: Health,
    /// What it is.
    pub to: Health,
    /// Why; empty where it is in order.
    pub reason: String,
}

/// Looks of one kind in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    looks: u32,
    /// When the first of them was.
    since: Option<Timestamp>,
}

impl Row {
    fn take(&mut self, now: Timestamp, goes_on: bool) {
        if !goes_on {
            *self = Self::default();
            return;
        }
        self.looks = self.looks.saturating_add(1);
        self.since.get_or_insert(now);
    }

    /// Since when, where it is that long.
    fn of(&self, looks: u32) -> Option<Timestamp> {
        self.since.filter(|_| self.looks >= looks)
    }
}

/// The rows that are going on.
#[derive(Debug, Clone, Copy, Default)]
struct Streaks {
    good: Row,
    /// Good or poor.
    fair: Row,
    /// Poor or bad.
    amiss: Row,
    bad: Row,
}

impl Streaks {
    fn take(&mut self, now: Timestamp, finding: &Finding) {
        let (good, bad) = (matches!(finding, Finding::Good), matches!(finding, Finding::Bad(_)));
        self.good.take(now, good);
        self.fair.take(now, !bad);
        self.amiss.take(now, !good);
        self.bad.take(now, bad);
    }
}

/// One check.
#[derive(Debug, Clone)]
pub struct Check {
    settings: CheckSettings,
    /// What it is apart from what is laid over it.
    found: Health,
    /// Maintenance or a pause.
    over: Option<Health>,
    streaks: Streaks,
    reason: String,
    /// What is missing of what it needs.
    lacks: Option<String>,
    began: Timestamp,
    since: Timestamp,
    last_look: Option<Timestamp>,
    last_good: Option<Timestamp>,
    /// Until then nothing gets worse: the blame is on whoever looks.
    held_until: Option<Timestamp>,
}

impl CheckSettings {
    /// Whether a check can be made of them.
    ///
    /// # Errors
    /// When a look may take as long as the interval, or something is out of bounds.
    pub fn checked(self) -> Result<Self, BadSettings> {
        const YEAR: Duration = Duration::from_secs(366 * 24 * 3_600);
        let (interval_ms, timeout_ms) = (self.interval.as_millis(), self.timeout.as_millis());
        if self.interval < Duration::from_secs(1) || self.interval > YEAR {
            return Err(BadSettings::Interval { interval_ms });
        }
        if self.timeout >= self.interval || self.timeout.is_zero() {
            return Err(BadSettings::Timeout { timeout_ms, interval_ms });
        }
        let in_bounds = |looks: u32| (1..=100).contains(&looks);
        if !in_bounds(self.failures) || !in_bounds(self.successes) {
            return Err(BadSettings::Threshold);
        }
        Ok(self)
    }
}

impl Check {
    /// Begins to be looked at.
    #[must_use]
    pub fn new(settings: CheckSettings, now: Timestamp) -> Self {
        let found =
            if settings.start_within.is_some() { Health::Starting } else { Health::Unknown };
        Self {
            settings,
            found,
            over: None,
            streaks: Streaks::default(),
            reason: String::new(),
            lacks: None,
            began: now,
            since: now,
            last_look: None,
            last_good: None,
            held_until: None,
        }
    }

    /// How it is. What is down only because something it needs is down is degraded.
    #[must_use]
    pub fn health(&self) -> Health {
        match (self.over, self.found, &self.lacks) {
            (Some(over), _, _) => over,
            (None, Health::Down | Health::Up, Some(_)) => Health::Degraded,
            (None, found, _) => found,
        }
    }

    /// Why; empty where it is in order.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.lacks.as_deref().unwrap_or(&self.reason)
    }

    /// Whether its own looks say that it does not work, whatever is laid over that.
    #[must_use]
    pub const fn is_down(&self) -> bool {
        matches!(self.found, Health::Down)
    }

    /// Whether its last look was bad, be it enough to say so or not.
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        self.streaks.bad.looks > 0 || self.is_down()
    }

    /// What of the things it needs is down.
    #[must_use]
    pub fn lacks(&self) -> Option<&str> {
        self.lacks.as_deref()
    }

    /// What is laid over it.
    #[must_use]
    pub const fn over(&self) -> Option<Over> {
        match self.over {
            Some(Health::Maintenance) => Some(Over::Maintenance),
            Some(_) => Some(Over::Pause),
            None => None,
        }
    }

    /// Notes a look of which nobody knows yet whether it says anything about it.
    pub fn pass_over(&mut self, now: Timestamp) -> Option<Change> {
        self.last_look = Some(now);
        None
    }

    /// How it judges from now on; rows of results begin anew.
    pub fn set(&mut self, settings: CheckSettings) {
        if self.settings != settings {
            self.settings = settings;
            self.streaks = Streaks::default();
        }
    }

    /// Since when it is how it is.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        self.since
    }

    /// When it was last in order.
    #[must_use]
    pub const fn last_good(&self) -> Option<Timestamp> {
        self.last_good
    }

    /// Takes what a look found.
    pub fn look(&mut self, now: Timestamp, finding: Finding) -> Option<Change> {
        if self.over.is_some() {
            return None;
        }
        self.last_look = Some(now);
        let (good, reason) = match &finding {
            Finding::Good => (true, ""),
            Finding::Poor(why) | Finding::Bad(why) => (false, why.as_str()),
        };
        if good {
            self.last_good = Some(now);
        } else if self.is_held(now) {
            return None;
        }
        self.changed(now, |check| {
            check.streaks.take(now, &finding);
            let (found, since) = check.judged(now);
            check.found = found;
            if check.found == Health::Up {
                check.reason.clear();
            } else if !good {
                check.reason = reason.chars().take(REASON_CHARS_MAX).collect();
            }
            since
        })
    }

    /// What it is now, and since when.
    fn judged(&self, now: Timestamp) -> (Health, Timestamp) {
        let (streaks, settings, found) = (&self.streaks, &self.settings, self.found);
        let first_good = streaks.good.looks > 0;
        match found {
            // The first good look is the end of its start, and nothing else counts before.
            Health::Starting | Health::Unknown | Health::Stale if first_good => {
                return (Health::Up, now);
            }
            Health::Starting if self.may_still_start(now) => return (found, now),
            Health::Starting => return (Health::Down, now),
            _ => {}
        }
        let down = found == Health::Down;
        if let Some(since) = streaks.bad.of(settings.failures).filter(|_| !down) {
            (Health::Down, since)
        } else if let Some(since) = streaks.good.of(settings.successes) {
            (Health::Up, since)
        } else if let Some(since) = streaks.amiss.of(settings.failures).filter(|_| !down) {
            (Health::Degraded, since)
        } else if let Some(since) = streaks.fair.of(settings.successes).filter(|_| down) {
            // It answers again, not yet as it should.
            (Health::Degraded, since)
        } else {
            (found, now)
        }
    }

    fn may_still_start(&self, now: Timestamp) -> bool {
        let within = self.settings.start_within.unwrap_or_default();
        now.duration_since(self.began).unsigned_abs() < within || now < self.began
    }

    /// Notices what happens without a look: a start that takes too long, and results that stay away.
    pub fn tick(&mut self, now: Timestamp) -> Option<Change> {
        if self.over.is_some() || self.is_held(now) {
            return None;
        }
        let late = self.late_after();
        let silent = self
            .last_look
            .is_some_and(|last| now > last && now.duration_since(last).unsigned_abs() > late);
        self.changed(now, |check| {
            if check.found == Health::Starting && !check.may_still_start(now) {
                check.found = Health::Down;
                "it did not start in time".clone_into(&mut check.reason);
            } else if silent && !matches!(check.found, Health::Unknown | Health::Starting) {
                check.found = Health::Stale;
                check.streaks = Streaks::default();
                "there was no result for too long".clone_into(&mut check.reason);
            }
            now
        })
    }

    /// Nothing can be said of it at the moment, and why.
    pub fn withdraw(&mut self, now: Timestamp, why: &str) -> Option<Change> {
        if self.over.is_some() {
            return None;
        }
        self.changed(now, |check| {
            check.found = Health::Unknown;
            check.streaks = Streaks::default();
            check.last_look = None;
            check.reason = why.chars().take(REASON_CHARS_MAX).collect();
            now
        })
    }

    /// Nobody looked from then until now, as the machine slept. Where that was for longer than results
    /// may stay away, nothing is known of it since.
    pub fn slept(&mut self, from: Timestamp, now: Timestamp) -> Option<Change> {
        if self.over.is_some() || now.duration_since(from).unsigned_abs() <= self.late_after() {
            return None;
        }
        self.changed(now, |check| {
            if !matches!(check.found, Health::Unknown | Health::Starting) {
                check.found = Health::Stale;
                check.streaks = Streaks::default();
                "nobody looked: the machine slept".clone_into(&mut check.reason);
            }
            from
        })
    }

    /// For how long results may stay away.
    fn late_after(&self) -> Duration {
        self.settings.interval.saturating_mul(2).saturating_add(self.settings.timeout)
    }

    /// Lays maintenance or a pause over it, or takes it away. What was found before counts again then;
    /// rows of results begin anew.
    pub fn lay_over(&mut self, now: Timestamp, over: Option<Over>) -> Option<Change> {
        self.changed(now, |check| {
            check.over = over.map(|over| match over {
                Over::Maintenance => Health::Maintenance,
                Over::Pause => Health::Paused,
            });
            check.streaks = Streaks::default();
            if check.last_look.is_some() {
                check.last_look = Some(now);
            }
            now
        })
    }

    /// Says what of the things it needs is down, or that none is.
    pub fn needs(&mut self, now: Timestamp, lacks: Option<String>) -> Option<Change> {
        self.changed(now, |check| {
            check.lacks = lacks;
            now
        })
    }

    /// Holds it: until then nothing gets worse, and results so far say nothing. For when whoever looks
    /// was too busy, or the machine slept.
    pub fn hold(&mut self, until: Timestamp) {
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
        self.streaks = Streaks::default();
        if self.last_look.is_some() {
            self.last_look = Some(until);
        }
    }

    fn is_held(&self, now: Timestamp) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    /// Does something that says since when it is so.
    fn changed(
        &mut self,
        now: Timestamp,
        what: impl FnOnce(&mut Self) -> Timestamp,
    ) -> Option<Change> {
        let from = self.health();
        let at = what(self);
        let to = self.health();
        if from == to {
            return None;
        }
        // Nothing begins before what was before it.
        self.since = at.max(self.since).min(now.max(self.since));
        let reason = if to == Health::Up { String::new() } else { self.reason().to_owned() };
        Some(Change { at: self.since, from, to, reason })
    }
}

/// What can be laid over what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// It is being worked on.
    Maintenance,
    /// Nobody looks at it.
    Pause,
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
