//! Settings of a workspace: what the captain decides once for all missions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::mission::MergeHow;
use crate::policy;

/// What holds for every mission of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How many attempts may run at once; nothing means what the engine was started with.
    pub running_max: Option<u32>,
    /// How many attempts are started in one go of the scheduler.
    pub starts_per_cycle: u32,
    /// Nothing is started while less memory than this is free, in percent; 0 switches it off.
    pub memory_free_min_percent: u8,
    /// The policy of missions that name none and have no label with one.
    pub policy: String,
    /// Policies by label; the first that a mission has decides.
    pub policy_of_label: Vec<LabelPolicy>,
    /// How reviewed work is merged unless the captain says otherwise.
    pub merge: MergeHow,
    /// How long what was removed can be restored, in days.
    pub trash_days: u32,
    /// Where traces of missions are sent by OpenTelemetry (OTLP over HTTP), such as
    /// `http://127.0.0.1:4318/v1/traces`; nothing sends none.
    pub traces_to: Option<String>,
}

/// The policy of missions with a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LabelPolicy {
    /// The label.
    pub label: String,
    /// The policy's name.
    pub policy: String,
}

/// How many attempts are started in one go unless the captain says otherwise.
pub const STARTS_PER_CYCLE_DEFAULT: u32 = 50;
/// The most that may be started in one go; each is two events of one transaction.
pub const STARTS_PER_CYCLE_MAX: u32 = 200;

impl Default for Settings {
    fn default() -> Self {
        Self {
            running_max: None,
            starts_per_cycle: STARTS_PER_CYCLE_DEFAULT,
            memory_free_min_percent: 5,
            policy: policy::STANDARD.to_owned(),
            policy_of_label: Vec::new(),
            merge: MergeHow::Merge,
            trash_days: 30,
            traces_to: None,
        }
    }
}

impl Settings {
    /// The policy of a mission with these labels that names none itself.
    #[must_use]
    pub fn policy_for(&self, labels: &[String]) -> &str {
        let by_label = self.policy_of_label.iter().find(|choice| labels.contains(&choice.label));
        by_label.map_or(&self.policy, |choice| &choice.policy)
    }
}

/// A mission to make missions from, with `{{placeholders}}` in its texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Template {
    /// Its name: small letters, digits and `-`.
    pub name: String,
    /// What it is for, in one line.
    pub about: String,
    /// The title.
    pub title: String,
    /// What is to be done.
    pub brief: String,
    /// Gates, one line each.
    #[serde(default)]
    pub gates: Vec<String>,
    /// Labels.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Skills the agent must have.
    #[serde(default)]
    pub skills: Vec<String>,
    /// The policy's name.
    #[serde(default)]
    pub policy: Option<String>,
    /// A git repository, by its directory.
    #[serde(default)]
    pub repository: Option<String>,
}
