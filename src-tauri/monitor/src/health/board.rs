//! All checks together: which is due, what was found, what explains what, and what is told of it.
//!
//! A function of what it is handed and of the time it is handed. Times within are those of a clock that
//! is never set; what is told carries the time on the wall.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::health::{CheckChange, HealthState, Maintenance};

use super::check::{Change, Check, Finding, Health, Over};
use super::spec::{Beat, Looking, Moment, Spec, Standing};
use super::uptime::Uptime;

/// Looks that are remembered of a check.
pub const BEATS_KEPT: usize = 240;
/// Changes of one check that are remembered.
const CHANGES_KEPT: usize = 2_000;
/// For how long changes are remembered: a month, and what was before it.
const KEPT_DAYS: i64 = 31;
/// Changes that wait to be recorded; beyond that the oldest go, counted.
const WAITING_MAX: usize = 20_000;
/// How often an unchanged agent is noted.
const AGENT_BEAT: SignedDuration = SignedDuration::from_secs(60);

#[derive(Debug)]
struct Entry {
    spec: Spec,
    check: Check,
    /// When it is due, on the steady clock.
    next: Timestamp,
    under_way: bool,
    over: Option<Over>,
    over_note: String,
    beats: VecDeque<Beat>,
    changes: VecDeque<CheckChange>,
    told: HealthState,
    since: Timestamp,
    last_at: Option<Timestamp>,
    latency: Option<Duration>,
}

/// All checks.
#[derive(Debug, Default)]
pub struct Board {
    entries: BTreeMap<String, Entry>,
    windows: Vec<Maintenance>,
    waiting: VecDeque<CheckChange>,
    lost: u64,
}

/// How something is, in the words that are told.
const fn state_of(health: Health) -> HealthState {
    match health {
        Health::Up => HealthState::Ok,
        Health::Degraded => HealthState::Degraded,
        Health::Down => HealthState::Failed,
        Health::Unknown
        | Health::Starting
        | Health::Maintenance
        | Health::Paused
        | Health::Stale => HealthState::Unknown,
    }
}

const fn health_of(state: HealthState) -> Health {
    match state {
        HealthState::Ok => Health::Up,
        HealthState::Degraded => Health::Degraded,
        HealthState::Failed => Health::Down,
        HealthState::Unknown => Health::Unknown,
    }
}

impl Entry {
    fn new(spec: Spec, now: Moment) -> Self {
        Self {
            check: Check::new(spec.settings, now.steady),
            spec,
            next: now.steady,
            under_way: false,
            over: None,
            over_note: String::new(),
            beats: VecDeque::new(),
            changes: VecDeque::new(),
            told: HealthState::Unknown,
            since: now.wall,
            last_at: None,
            latency: None,
        }
    }

    /// Why it is how it is.
    fn reason(&self) -> String {
        match self.check.health() {
            Health::Up => String::new(),
            Health::Maintenance => self.over_note.clone(),
            Health::Paused => "it is switched off".to_owned(),
            Health::Starting if self.check.reason().is_empty() => "it is starting".to_owned(),
            Health::Unknown if self.last_at.is_none() && self.check.reason().is_empty() => {
                "it was not looked at yet".to_owned()
            }
            Health::Unknown if self.check.reason().is_empty() => {
                "it was not looked at often enough yet".to_owned()
            }
            _ => self.check.reason().to_owned(),
        }
    }

    /// Makes of a change what is told, where anybody would see a difference.
    fn tell(&mut self, key: &str, change: Option<Change>, now: Moment) -> Option<CheckChange> {
        let change = change?;
        let to = state_of(change.to);
        if to == self.told {
            return None;
        }
        let told = CheckChange {
            check: key.to_owned(),
            // Nothing begins before what was before it, also where the clock was set back.
            at: now.on_the_wall(change.at).max(self.since).min(now.wall.max(self.since)),
            confirmed_at: now.wall,
            from: self.told,
            to,
            reason: self.reason(),
        };
        self.told = to;
        self.since = told.at;
        self.remember(told.clone());
        Some(told)
    }

    fn remember(&mut self, change: CheckChange) {
        let oldest = change.confirmed_at - SignedDuration::from_hours(24 * KEPT_DAYS);
        self.changes.push_back(change);
        while self.changes.len() > CHANGES_KEPT
            || self.changes.front().is_some_and(|first| first.confirmed_at < oldest)
        {
            self.changes.pop_front();
        }
    }

    fn beat(&mut self, beat: Beat) {
        let last = self.beats.back();
        let same = |last: &Beat| {
            (last.state, &last.reason) == (beat.state, &beat.reason)
                && beat.at.duration_since(last.at) < AGENT_BEAT
        };
        if self.spec.looking == Looking::Watched && last.is_some_and(same) {
            return;
        }
        let kept = if self.spec.looking == Looking::Watched { BEATS_KEPT / 8 } else { BEATS_KEPT };
        self.beats.push_back(beat);
        while self.beats.len() > kept {
            self.beats.pop_front();
        }
    }

    /// What explains that something fails which needs this.
    fn explains(&self) -> Option<String> {
        if self.over.is_some() {
            return None;
        }
        if let Some(lacks) = self.check.lacks() {
            return Some(lacks.to_owned());
        }
        self.check.is_down().then(|| format!("'{}' has failed: {}", self.spec.name, self.reason()))
    }
}

impl Board {
    /// Adds a check, or changes one. `anew` says that it looks at something else from now on, so that
    /// what was found before says nothing.
    pub fn put(&mut self, key: &str, spec: Spec, anew: bool, now: Moment) {
        match self.entries.get_mut(key) {
            Some(entry) if !anew => {
                entry.check.set(spec.settings);
                let soon = now.steady.saturating_add(span(spec.settings.interval));
                entry.next = entry.next.min(soon.unwrap_or(entry.next));
                entry.spec = spec;
            }
            Some(entry) => {
                let change = entry.check.withdraw(now.steady, "it looks at something else now");
                let told = entry.tell(key, change, now);
                let over = entry.over;
                entry.check = Check::new(spec.settings, now.steady);
                entry.check.lay_over(now.steady, over);
                (entry.next, entry.spec) = (now.steady, spec);
                self.keep(told);
            }
            None => {
                self.entries.insert(key.to_owned(), Entry::new(spec, now));
            }
        }
    }

    /// Removes a check.
    pub fn remove(&mut self, key: &str) {
        self.entries.remove(key);
    }

    /// Whether there is such a check.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The ids of all checks.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// What is checked under an id.
    #[must_use]
    pub fn spec(&self, key: &str) -> Option<&Spec> {
        self.entries.get(key).map(|entry| &entry.spec)
    }

    /// Remembers how a check changed before, oldest first, before anything of it is told.
    pub fn restore(&mut self, key: &str, changes: Vec<CheckChange>) {
        if let Some(entry) = self.entries.get_mut(key) {
            for change in changes {
                entry.remember(change);
            }
            if let Some(last) = entry.changes.back() {
                entry.since = last.at;
                entry.told = last.to;
            }
        }
    }

    /// Notes that nobody looked at a check since then, as whoever looks was not there.
    pub fn interrupted(&mut self, key: &str, since: Timestamp, why: &str, now: Moment) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.told == HealthState::Unknown {
            return;
        }
        let told = CheckChange {
            check: key.to_owned(),
            at: since.max(entry.since).min(now.wall.max(entry.since)),
            confirmed_at: now.wall,
            from: entry.told,
            to: HealthState::Unknown,
            reason: why.to_owned(),
        };
        (entry.told, entry.since) = (HealthState::Unknown, told.at);
        entry.remember(told.clone());
        self.keep(Some(told));
    }

    /// Sets the times of maintenance.
    pub fn set_windows(&mut self, windows: Vec<Maintenance>) {
        self.windows = windows;
    }

    /// The checks that are to be looked at now. Each is handed out once, until what it found is told,
    /// and at most `most` at a time.
    pub fn due(&mut self, now: Moment, most: usize) -> Vec<String> {
        let due = |entry: &Entry| {
            entry.spec.looking == Looking::Due
                && !entry.under_way
                && entry.over.is_none()
                && entry.next <= now.steady
        };
        let mut keys: Vec<(Timestamp, String)> = self
            .entries
            .iter()
            .filter(|(_, entry)| due(entry))
            .map(|(key, entry)| (entry.next, key.clone()))
            .collect();
        keys.sort();
        keys.truncate(most);
        let due: Vec<String> = keys.into_iter().map(|(_, key)| key).collect();
        for key in &due {
            self.begin(key, now);
        }
        due
    }

    /// Notes that somebody looks at a check now; false where somebody does already, or it is not there.
    pub fn begin(&mut self, key: &str, now: Moment) -> bool {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| !entry.under_way) else {
            return false;
        };
        entry.under_way = true;
        // However late it was: once, not for each time it was missed.
        let next = now.steady.saturating_add(span(entry.spec.settings.interval));
        entry.next = next.unwrap_or(now.steady);
        true
    }

    /// Takes back that somebody looks at a check: nothing was found.
    pub fn give_up(&mut self, key: &str) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.under_way = false;
        }
    }

    /// Takes what a look found. What the look of something it needs has not made certain yet is not
    /// counted against it.
    pub fn look(&mut self, key: &str, finding: Finding, latency: Option<Duration>, now: Moment) {
        let Some(entry) = self.entries.get(key) else { return };
        let needs = entry.spec.needs.clone();
        let bad = matches!(finding, Finding::Bad(_));
        let suspect = bad && needs.iter().any(|need| self.is_suspect(need));
        if bad {
            // Whether it is its own fault is known when those are looked at.
            self.hasten(&needs, now);
        }
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.under_way = false;
        if entry.over.is_some() {
            return;
        }
        let (state, reason) = match &finding {
            Finding::Good => (HealthState::Ok, String::new()),
            Finding::Poor(why) => (HealthState::Degraded, why.clone()),
            Finding::Bad(why) => (HealthState::Failed, why.clone()),
        };
        (entry.last_at, entry.latency) = (Some(now.wall), latency);
        entry.beat(Beat { at: now.wall, state, latency, reason });
        let change = match suspect && !entry.check.is_down() {
            true => entry.check.pass_over(now.steady),
            false => entry.check.look(now.steady, finding),
        };
        let told = entry.tell(key, change, now);
        self.keep(told);
    }

    /// Notes that nothing can be said of a check at the moment, and why.
    pub fn withdraw(&mut self, key: &str, why: &str, now: Moment) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let change = entry.check.withdraw(now.steady, why);
        let told = entry.tell(key, change, now);
        entry.last_at = Some(now.wall);
        entry.beat(Beat {
            at: now.wall,
            state: HealthState::Unknown,
            latency: None,
            reason: why.to_owned(),
        });
        self.keep(told);
    }

    fn is_suspect(&self, key: &str) -> bool {
        let is = |entry: &Entry| entry.check.is_suspect() || entry.check.lacks().is_some();
        self.entries.get(key).is_some_and(|entry| entry.over.is_none() && is(entry))
    }

    /// Has checks looked at at once that were not looked at in this second.
    fn hasten(&mut self, keys: &[String], now: Moment) {
        for key in keys {
            if let Some(entry) = self.entries.get_mut(key)
                && entry.last_at.is_none_or(|at| now.wall.duration_since(at).as_secs() >= 1)
            {
                entry.next = entry.next.min(now.steady);
            }
        }
    }

    /// Nothing gets worse for a while: whoever looks was too busy, or the machine slept.
    pub fn hold(&mut self, until: Timestamp) {
        for entry in self.entries.values_mut() {
            entry.check.hold(until);
        }
    }

    /// Nobody looked from then until now, as the machine slept.
    pub fn slept(&mut self, from: Timestamp, now: Moment) {
        self.each(now, |entry| {
            // Looks that were under way come back; those that were due are due once.
            entry.check.slept(from, now.steady)
        });
    }

    /// Notices what happens without a look: maintenance that begins or ends, results that stay away,
    /// and what explains what.
    pub fn tick(&mut self, now: Moment) {
        let windows = std::mem::take(&mut self.windows);
        for (key, entry) in &mut self.entries {
            let found = windows.iter().find_map(|window| {
                let until = window.active_until(now.wall)?;
                window.is_for(key, entry.spec.own).then_some((window, until))
            });
            (entry.over, entry.over_note) = match found {
                _ if entry.spec.paused => (Some(Over::Pause), String::new()),
                Some((window, until)) => (Some(Over::Maintenance), note_of(window, until)),
                None => (None, String::new()),
            };
        }
        self.windows = windows;
        self.each(now, |entry| {
            let over = entry.over;
            if entry.check.over() == over { None } else { entry.check.lay_over(now.steady, over) }
        });
        self.each(now, |entry| match entry.spec.looking {
            Looking::Due if entry.under_way => None,
            _ => entry.check.tick(now.steady),
        });
        self.explain(now);
    }

    /// Says of each check what of the things it needs has failed, however far away.
    fn explain(&mut self, now: Moment) {
        let needing: Vec<String> = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.spec.needs.is_empty())
            .map(|(key, _)| key.clone())
            .collect();
        // What is explained explains what needs it: as often as there are checks at most.
        for _ in 0..needing.len() {
            let mut moved = false;
            for key in &needing {
                let Some(entry) = self.entries.get(key) else { continue };
                let lacks = entry
                    .spec
                    .needs
                    .iter()
                    .find_map(|need| self.entries.get(need).and_then(Entry::explains));
                let Some(entry) = self.entries.get_mut(key) else { continue };
                if entry.check.lacks() != lacks.as_deref() {
                    moved = true;
                    let change = entry.check.needs(now.steady, lacks);
                    let told = entry.tell(key, change, now);
                    self.keep(told);
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn each(&mut self, now: Moment, mut what: impl FnMut(&mut Entry) -> Option<Change>) {
        let mut told = Vec::new();
        for (key, entry) in &mut self.entries {
            let change = what(entry);
            told.extend(entry.tell(key, change, now));
        }
        told.into_iter().for_each(|change| self.keep(Some(change)));
    }

    fn keep(&mut self, change: Option<CheckChange>) {
        self.waiting.extend(change);
        while self.waiting.len() > WAITING_MAX {
            self.waiting.pop_front();
            self.lost += 1;
        }
    }

    /// The changes that are to be recorded, oldest first, at most so many.
    pub fn take_changes(&mut self, most: usize) -> Vec<CheckChange> {
        let most = most.min(self.waiting.len());
        self.waiting.drain(..most).collect()
    }

    /// Puts changes back that could not be recorded.
    pub fn put_back(&mut self, changes: Vec<CheckChange>) {
        for change in changes.into_iter().rev() {
            self.waiting.push_front(change);
        }
        self.keep(None);
    }

    /// How many changes wait to be recorded, and how many were given up.
    #[must_use]
    pub fn unrecorded(&self) -> (usize, u64) {
        (self.waiting.len(), self.lost)
    }

    /// How a check stands.
    #[must_use]
    pub fn standing(&self, key: &str, now: Moment) -> Option<Standing> {
        let entry = self.entries.get(key)?;
        let due = entry.spec.looking == Looking::Due && entry.over != Some(Over::Pause);
        Some(Standing {
            state: entry.told,
            reason: entry.reason(),
            since: entry.since,
            last_at: entry.last_at,
            next_at: due.then(|| now.on_the_wall(entry.next).max(now.wall)),
            latency: entry.latency,
            maintenance: entry.over == Some(Over::Maintenance),
            under_way: entry.under_way,
        })
    }

    /// The last looks at a check, oldest first.
    pub fn beats(&self, key: &str) -> impl Iterator<Item = &Beat> {
        self.entries.get(key).into_iter().flat_map(|entry| &entry.beats)
    }

    /// How much of the time from then until now a check was in order; nothing where that is not known
    /// of any of it.
    #[must_use]
    pub fn uptime(&self, key: &str, from: Timestamp, now: Moment) -> Option<f64> {
        let entry = self.entries.get(key)?;
        let change = |it: &CheckChange| Change {
            at: it.at,
            from: health_of(it.from),
            to: health_of(it.to),
            reason: String::new(),
        };
        let changes: Vec<Change> = entry.changes.iter().map(change).collect();
        Uptime::over(&changes, health_of(entry.told), from, now.wall).share()
    }

    /// How many checks are how.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<HealthState, usize> {
        let mut counts = BTreeMap::new();
        for entry in self.entries.values() {
            *counts.entry(entry.told).or_default() += 1;
        }
        counts
    }
}

fn span(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn note_of(window: &Maintenance, until: Timestamp) -> String {
    let note = if window.note.is_empty() { String::new() } else { format!(": {}", window.note) };
    format!("under maintenance until {until:.0}{note}")
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
