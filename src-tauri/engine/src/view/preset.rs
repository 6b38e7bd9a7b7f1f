//! Presets: the agents known by name, and what became of trying one.

use agents::runtime::presets::Kind;
use model::process::Supervision;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every preset in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresetList {
    /// Those found on this machine first.
    pub presets: Vec<PresetView>,
    /// Why the captain's own file of presets is not in force, if it is not.
    pub problem: Option<String>,
}

/// An agent known by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresetView {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// How it is driven.
    pub kind: Kind,
    /// Its program; empty where the captain names one.
    pub program: String,
    /// The command line an agent is made with; empty where the captain names one.
    pub command: String,
    /// What one should know about it.
    pub note: String,
    /// How it is installed.
    pub install: String,
    /// Where it is on this machine; nothing when it is not there.
    pub installed: Option<InstalledPreset>,
    /// What it needs and this machine does not have, in words.
    pub missing: Vec<String>,
    /// What can be said about its permissions.
    pub modes: PresetModes,
}

/// Where a preset's program is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstalledPreset {
    /// The program.
    pub path: String,
    /// Its version as it said when it was last tried; nothing before.
    pub version: Option<String>,
}

/// What can be said about a preset's permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresetModes {
    /// Whether it can ask the captain while it works.
    pub ask: bool,
    /// Whether it has a mode in which it asks nothing.
    pub unattended: bool,
}

/// What became of trying a preset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresetTest {
    /// Whether an agent made from it can be expected to start.
    pub ok: bool,
    /// Its version, as it says.
    pub version: Option<String>,
    /// How long it took to answer, in milliseconds; nothing where it did not, or is not spoken
    /// with.
    pub opened_ms: Option<u64>,
    /// What it said, shortened.
    pub said: String,
    /// What is in the way, and what to do about it.
    pub problem: Option<String>,
}

/// How agents' processes are kept together on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SupervisionView {
    /// The surest way that works.
    pub in_force: Supervision,
    /// Every way, the surest first.
    pub available: Vec<SupervisionWay>,
    /// What it means for every agent: plain sentences.
    pub statement: Vec<String>,
    /// What a sandbox protects here and does not, for those agents that were given one.
    pub sandbox: Vec<String>,
}

/// A way of keeping processes together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SupervisionWay {
    /// Which one.
    pub backend: Supervision,
    /// Why it does not work here; nothing where it does.
    pub problem: Option<String>,
}
