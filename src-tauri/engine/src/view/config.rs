//! The configuration: how the settings were changed, and what an import comes to.

use jiff::Timestamp;
use model::config::Configuration;
use model::event::Actor;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One change of the settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SettingsChange {
    /// The place of its event in the log, by which it is gone back to.
    pub seq: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub changes: Vec<SettingChange>,
}

/// One field with its value before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SettingChange {
    /// Its name.
    pub key: String,
    /// What it was.
    pub old: Value,
    /// What it is.
    pub new: Value,
}

/// Which settings to go back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    /// The number of a change in the history: the settings become what they were right after it; 0
    /// is the time before the first change.
    pub seq: u64,
}

/// A configuration to take over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportConfig {
    /// The configuration, as it was exported.
    pub config: Configuration,
    /// Whether to say only what would change.
    #[serde(default)]
    pub dry_run: bool,
}

/// What an import changed, or would change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// Whether it was applied.
    pub applied: bool,
    /// What is different, each thing once.
    pub changes: Vec<ConfigChange>,
}

/// A thing that an import adds or changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConfigChange {
    /// What it is.
    pub part: ConfigPart,
    /// Its name.
    pub name: String,
    /// Whether it was there before.
    pub how: HowChanged,
    /// Its fields that are different; none where it is new.
    pub changes: Vec<SettingChange>,
}

/// A part of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfigPart {
    /// The settings.
    Settings,
    /// A policy.
    Policy,
    /// A template.
    Template,
    /// A permission rule.
    Rule,
    /// A hook.
    Hook,
}

/// What becomes of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HowChanged {
    /// It was not there.
    Added,
    /// It was there, and otherwise.
    Changed,
}
