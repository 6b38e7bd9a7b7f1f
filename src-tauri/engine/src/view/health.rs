//! Health checks, how things are, and how they were.

use jiff::Timestamp;
use model::health::{
    CheckChange, CheckKind, HealthState, Maintenance, Probe, Recurrence, Report, Reported,
};
pub use monitor::health::{Answer, Vitals};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a check is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A part of the engine.
    Engine,
    /// Something of the captain's own.
    User,
    /// An agent.
    Agent,
}

/// What a check is about, and which one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckSubject {
    /// What it is.
    pub kind: SubjectKind,
    /// The part's name, the agent's id, or the check's own id.
    pub id: String,
}

/// How much of the time something was in order, from 0 to 1, of the time of which it is known; nothing
/// where it is not known at all. Maintenance, pauses and time in which nobody looked are in neither.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UptimeView {
    /// Of the last 24 hours.
    pub day: Option<f64>,
    /// Of the last 7 days.
    pub week: Option<f64>,
    /// Of the last 30 days.
    pub month: Option<f64>,
}

/// What of a check of the captain's own can be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckSettingsView {
    /// What a look does. Whoever may not change checks sees no query of an address, and of a command the
    /// program alone.
    pub probe: Probe,
    /// Time between two looks, in seconds.
    pub interval_s: u32,
    /// How long a look may take, in seconds.
    pub timeout_s: u32,
    /// Bad looks in a row until it has failed.
    pub failures: u32,
    /// Good looks in a row until it is in order again.
    pub successes: u32,
    /// How long it may take until its first good look, in seconds.
    pub start_within_s: Option<u32>,
    /// The checks it needs, by their ids.
    pub needs: Vec<String>,
    /// Whether it is looked at at all.
    pub enabled: bool,
}

/// How something is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckView {
    /// Its id: a UUID, `engine.` and a part's name, or `agent.` and an agent's id.
    #[schema(example = "engine.store")]
    pub id: String,
    /// Its name.
    pub name: String,
    /// What kind of check it is.
    pub kind: CheckKind,
    /// What it is about.
    pub subject: CheckSubject,
    /// How it is.
    pub state: HealthState,
    /// Why; empty where it is in order.
    pub reason: String,
    /// Since when: the first of the looks that came to it.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When it was looked at last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_at: Option<Timestamp>,
    /// When it is looked at next; nothing where it is watched all the time, or switched off.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    /// How long the last look took, in milliseconds; nothing where there was nothing to wait for.
    pub latency_ms: Option<f64>,
    /// Whether it is being looked at at this moment.
    pub running: bool,
    /// How much of the time it was in order.
    pub uptime: UptimeView,
    /// Whether it is under maintenance.
    pub maintenance: bool,
    /// What it looks at, in a few words; empty where its name says that.
    pub target: String,
    /// What of it can be changed; nothing where it is not one of the captain's own.
    pub settings: Option<CheckSettingsView>,
    /// The four questions, where it is an agent.
    pub vitals: Option<Vitals>,
    /// What was reported to it, where it waits for reports.
    pub reported: Option<Reported>,
}

/// A check to make. What is not said is as it usually is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCheck {
    /// Its name.
    pub name: String,
    /// What a look does.
    pub probe: Probe,
    /// Time between two looks, in seconds, 1 to 86400; 30 unless given.
    #[serde(default)]
    pub interval_s: Option<u32>,
    /// How long a look may take, in seconds, 1 to 25 and less than the interval; 5 unless given, or less
    /// where the interval is shorter.
    #[serde(default)]
    pub timeout_s: Option<u32>,
    /// Bad looks in a row until it has failed, 1 to 100; 3 unless given.
    #[serde(default)]
    pub failures: Option<u32>,
    /// Good looks in a row until it is in order again, 1 to 100; 2 unless given.
    #[serde(default)]
    pub successes: Option<u32>,
    /// How long it may take until its first good look, in seconds; it is not judged before.
    #[serde(default)]
    pub start_within_s: Option<u32>,
    /// The checks it needs, by their ids: while one of them has failed, that explains this one.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Whether it is looked at at all; it is unless given.
    #[serde(default)]
    pub enabled: Option<bool>,
}

/// What is to be different about a check. What is not named stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EditCheck {
    /// Its name.
    pub name: Option<String>,
    /// What a look does; what was found before says nothing then.
    pub probe: Option<Probe>,
    /// Time between two looks, in seconds.
    pub interval_s: Option<u32>,
    /// How long a look may take, in seconds.
    pub timeout_s: Option<u32>,
    /// Bad looks in a row until it has failed.
    pub failures: Option<u32>,
    /// Good looks in a row until it is in order again.
    pub successes: Option<u32>,
    /// How long it may take until its first good look, in seconds; 0 where every look counts.
    pub start_within_s: Option<u32>,
    /// The checks it needs, by their ids.
    pub needs: Option<Vec<String>>,
    /// Whether it is looked at at all.
    pub enabled: Option<bool>,
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BeatView {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What it found by itself, whatever that came to with the looks before.
    pub state: HealthState,
    /// How long it took, in milliseconds; nothing where there was nothing to wait for.
    pub latency_ms: Option<f64>,
    /// Why; empty where it was in order.
    pub reason: String,
}

/// How something was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckHistory {
    /// The last looks of this run of the engine, oldest first, at most 240. How long looks took before
    /// that is the signal `health_check_latency_seconds`.
    pub beats: Vec<BeatView>,
    /// How its state changed, oldest first, at most 1,000, the latest.
    pub changes: Vec<CheckChange>,
    /// How much of that time it was in order, from 0 to 1; nothing where that is not known.
    pub uptime: Option<f64>,
    /// How often it failed.
    pub outages: u32,
    /// How long an outage lasted on average, in seconds; nothing where there was none.
    pub mean_to_repair_s: Option<f64>,
    /// How long it worked between two outages on average, in seconds; nothing where there was none.
    pub mean_between_failures_s: Option<f64>,
}

/// What a look found that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckRun {
    /// What it found.
    pub beat: BeatView,
    /// How the check stands with it.
    pub check: CheckView,
}

/// What something that is waited for says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReport {
    /// What it says; that it is alive unless given.
    #[serde(default = "success")]
    pub report: Report,
}

const fn success() -> Report {
    Report::Success
}

impl Default for NewReport {
    fn default() -> Self {
        Self { report: success() }
    }
}

/// A time of maintenance to set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMaintenance {
    /// The checks it is for, by their ids; all of the captain's own where none is named.
    #[serde(default)]
    pub checks: Vec<String>,
    /// When it begins; now unless given.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<Timestamp>,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
    /// How often it recurs; it does not unless given.
    #[serde(default)]
    pub recurs: Option<Recurrence>,
    /// The time zone in which it recurs at the same time of day, an IANA name; UTC unless given.
    #[serde(default)]
    pub zone: Option<String>,
    /// What is done.
    #[serde(default)]
    pub note: String,
}

/// A time of maintenance, and whether it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MaintenanceView {
    /// The time, and what it is for.
    #[serde(flatten)]
    pub maintenance: Maintenance,
    /// Whether it is now.
    pub active: bool,
    /// Until when, where it is now.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub active_until: Option<Timestamp>,
}

/// How many checks are how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthCounts {
    /// In order.
    pub ok: u32,
    /// Not as they should be.
    pub degraded: u32,
    /// Do not work.
    pub failed: u32,
    /// Nothing is known.
    pub unknown: u32,
}
