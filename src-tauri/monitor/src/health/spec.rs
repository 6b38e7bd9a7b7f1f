//! What is checked and how it stands, and the time by which that is judged and told.

use std::time::Duration;

use jiff::Timestamp;
use model::health::HealthState;

use super::check::CheckSettings;

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// On one that is never set and goes on while the machine sleeps.
    pub steady: Timestamp,
    /// On the wall.
    pub wall: Timestamp,
}

impl Moment {
    /// What the clock on the wall says now of a moment on the other.
    pub(super) fn on_the_wall(&self, at: Timestamp) -> Timestamp {
        self.wall.checked_sub(self.steady.duration_since(at)).unwrap_or(self.wall)
    }
}

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looking {
    /// It is looked at when it is due.
    Due,
    /// Somebody else says how it is; what is found each time is remembered.
    Told,
    /// The same, and only what is different is remembered: there may be thousands.
    Watched,
}

/// What is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// How it is judged.
    pub settings: CheckSettings,
    /// The ids of what it needs.
    pub needs: Vec<String>,
    /// Whether nobody looks at it.
    pub paused: bool,
    /// Who looks.
    pub looking: Looking,
    /// Whether it is one of the captain's own.
    pub own: bool,
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// When.
    pub at: Timestamp,
    /// What it found by itself.
    pub state: HealthState,
    /// How long it took; nothing where nobody had to wait.
    pub latency: Option<Duration>,
    /// Why; empty where it was in order.
    pub reason: String,
}

/// How something stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// How it is.
    pub state: HealthState,
    /// Why; empty where it is in order.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When it was looked at last.
    pub last_at: Option<Timestamp>,
    /// When it is looked at next; nothing where nobody is going to by themselves.
    pub next_at: Option<Timestamp>,
    /// How long the last look took.
    pub latency: Option<Duration>,
    /// Whether it is under maintenance.
    pub maintenance: bool,
    /// Whether it is being looked at.
    pub under_way: bool,
}
