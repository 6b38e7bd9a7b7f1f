//! Hooks, and how their runs ended.

use jiff::Timestamp;
use model::hook::Hook;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A hook to make. What is not said is as it usually is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHook {
    /// Its name.
    pub name: String,
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// The kinds of events it runs on.
    pub events: Vec<String>,
    /// How long a run may take, in seconds, 1 to 60; 10 unless given.
    #[serde(default)]
    pub timeout_s: Option<u32>,
    /// How much memory its processes may use together, in bytes; 256 MiB unless given.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// How often it runs in a minute, 1 to 600; 60 unless given.
    #[serde(default)]
    pub per_minute: Option<u32>,
    /// Whether it runs at all; it does unless given.
    #[serde(default)]
    pub enabled: Option<bool>,
}

/// What is to be different about a hook. What is not named stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EditHook {
    /// Its name.
    pub name: Option<String>,
    /// The program and its arguments.
    pub command: Option<Vec<String>>,
    /// The kinds of events it runs on.
    pub events: Option<Vec<String>>,
    /// How long a run may take, in seconds.
    pub timeout_s: Option<u32>,
    /// How much memory its processes may use together, in bytes.
    pub memory_bytes: Option<u64>,
    /// How often it runs in a minute.
    pub per_minute: Option<u32>,
    /// Whether it runs at all. Switched on, its failures are forgotten.
    pub enabled: Option<bool>,
}

/// A hook with how it does in this run of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HookView {
    /// The hook.
    #[serde(flatten)]
    pub hook: Hook,
    /// Whether it runs at this moment.
    pub running: bool,
    /// Events that wait for it.
    pub waiting: u32,
    /// Events it did not run on, because it was busy or had run often enough.
    pub passed_over: u64,
    /// How often it failed in a row; after 5 it is switched off.
    pub failures: u32,
    /// Its last run.
    pub last: Option<HookRun>,
}

/// A run of a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HookRun {
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The place of the event it ran on.
    pub event_seq: u64,
    /// That event's kind.
    #[schema(example = "mission_moved")]
    pub event: String,
    /// Whether somebody tried it out, rather than something having happened.
    pub test: bool,
    /// Whether it did what it was to do.
    pub ok: bool,
    /// Its exit code; nothing where it did not end by itself.
    pub code: Option<i32>,
    /// How it ended, in words that follow its name.
    #[schema(example = "ended with exit code 0")]
    pub how: String,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// The end of what it printed, secrets taken out.
    pub output: String,
    /// The limit it came to, and was ended at.
    pub limit: Option<HookLimit>,
}

/// A limit of a hook's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HookLimit {
    /// It took too long.
    Time,
    /// It used too much memory, or too many processes.
    Use,
}
