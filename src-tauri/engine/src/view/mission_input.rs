//! What missions are made from, and what is asked of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::gate::Grade;
use model::mission::{MergeHow, Priority};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// What a mission is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewMission {
    /// One line of text; may be left out where a template gives it.
    pub title: String,
    /// What is to be done, at most 1 MiB; may be left out where a template gives it.
    pub brief: String,
    /// The agent's id or name; nothing means any that is free.
    pub agent: Option<String>,
    /// A git repository, by its directory.
    pub repository: Option<String>,
    /// Gates, one line each: `command: cargo test`, `file: out.txt`. They follow the policy's.
    pub gates: Vec<String>,
    /// How urgent it is.
    pub priority: Priority,
    /// The policy's name; nothing means that of its labels, or else that of the settings.
    pub policy: Option<String>,
    /// How much proof *done* needs; nothing means what the policy asks for.
    pub proof: Option<Grade>,
    /// How often a failed attempt is followed by another one (0 to 20); nothing means what the
    /// policy says.
    pub retries: Option<u32>,
    /// The pause before the first retry, in seconds (0 to 300); nothing means what the policy says.
    pub backoff_s: Option<u32>,
    /// Whether a retry goes to another agent; nothing means what the policy says.
    pub hand_over: Option<bool>,
    /// Words it can be found and compared by.
    pub labels: Vec<String>,
    /// Skills its agent must have.
    pub skills: Vec<String>,
    /// Missions that must be done first, by their ids.
    pub depends_on: Vec<String>,
    /// When it should be done.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deadline: Option<Timestamp>,
    /// How long it is expected to take, in minutes; nothing means what similar missions took.
    pub estimate_min: Option<u32>,
    /// What the work must do, a line each.
    pub criteria: Vec<String>,
    /// Whether it goes on by itself after the machine was restarted.
    pub unattended: bool,
    /// Ignored directories of the checkout that each worktree gets a link to.
    pub links: Vec<String>,
    /// Its name where it comes from.
    pub external_id: Option<String>,
    /// Keep it as a draft instead of queueing it.
    pub draft: bool,
    /// A template it is made from; what is given beside it goes before what the template says.
    pub template: Option<Filling>,
    /// What to do when a mission says nearly the same.
    pub if_similar: IfSimilar,
}

/// A template with what goes into its places.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Filling {
    /// The template's name.
    pub name: String,
    /// What goes into its places, by their names.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

/// What to do when a mission says nearly the same as the new one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IfSimilar {
    /// Create it, and say so.
    #[default]
    Create,
    /// Refuse, and name the other one.
    Ask,
}

/// What is to be changed of a mission; what is not named stays as it is, and `null` empties what
/// can be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EditMission {
    /// One line of text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is to be done, at most 1 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brief: Option<String>,
    /// The agent's id or name; `null` means any that is free.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub agent: Option<Option<String>>,
    /// A git repository, by its directory.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub repository: Option<Option<String>>,
    /// Every gate it is to have beside those of its policy, one line each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gates: Option<Vec<String>>,
    /// How urgent it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// The policy's name; its gates take the place of those of the policy before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// How much proof *done* needs; `null` means what the policy asks for.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Grade>)]
    pub proof: Option<Option<Grade>>,
    /// How often a failed attempt is followed by another one (0 to 20).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// The pause before the first retry, in seconds (0 to 300).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_s: Option<u32>,
    /// Whether a retry goes to another agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hand_over: Option<bool>,
    /// Words it can be found and compared by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Skills its agent must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skills: Option<Vec<String>>,
    /// Missions that must be done first, by their ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Vec<String>>,
    /// When it should be done.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deadline: Option<Option<Timestamp>>,
    /// How long it is expected to take, in minutes.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub estimate_min: Option<Option<u32>>,
    /// What the work must do, a line each; those that are there already keep their mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub criteria: Option<Vec<String>>,
    /// Whether it goes on by itself after the machine was restarted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unattended: Option<bool>,
    /// Ignored directories of the checkout that each worktree gets a link to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub links: Option<Vec<String>>,
    /// Its name where it comes from.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub external_id: Option<Option<String>>,
}

/// Tells `null` from a field that is not there.
pub(super) fn given<'de, D, T>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(from).map(Some)
}

/// What the captain asks of a mission.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ask {
    /// Why, in the captain's words; kept with the mission. Sending work back needs it: the agent
    /// gets exactly this text.
    pub note: Option<String>,
    /// A pause holds the processes where they are instead of stopping them at a checkpoint.
    pub keep_processes: bool,
    /// A retry starts anew instead of going on from the work of the attempt before.
    pub fresh: bool,
    /// Accepted work is put onto its target branch first, in this way; as the settings say where
    /// nothing is said and the mission has such a branch.
    pub merge: Option<MergeWish>,
    /// The commit that was reviewed; other work is not accepted.
    pub reviewed: Option<String>,
}

/// Whether and how accepted work is put onto its target branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeWish {
    /// A merge commit, or a fast-forward where the target did not move.
    Merge,
    /// One commit.
    Squash,
    /// The commits one by one on top of the target.
    Rebase,
    /// It stays on its own branch.
    None,
}

impl MergeWish {
    /// How to merge; nothing when the work stays where it is.
    #[must_use]
    pub const fn how(self) -> Option<MergeHow> {
        match self {
            Self::Merge => Some(MergeHow::Merge),
            Self::Squash => Some(MergeHow::Squash),
            Self::Rebase => Some(MergeHow::Rebase),
            Self::None => None,
        }
    }
}

/// Which agent is to work on a mission.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    /// The agent's id or name; nothing means any that is free.
    pub agent: Option<String>,
}

/// How far the work is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProgress {
    /// From 0 to 100.
    #[serde(default)]
    pub percent: Option<u8>,
    /// In one line.
    pub text: String,
    /// Criteria that are met, or no longer.
    #[serde(default)]
    pub criteria: Vec<CriterionMark>,
}

/// Whether a criterion is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CriterionMark {
    /// Its place among the mission's criteria, from 0.
    pub place: u32,
    /// Whether it is met.
    pub met: bool,
}

/// What a build server found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CiResult {
    /// The name of the check; a gate `ci: NAME` of the mission waits for it.
    pub name: String,
    /// What was found.
    pub status: CiStatus,
    /// The commit that was looked at, in full or at least 7 characters of it.
    pub commit: String,
    /// Where a person reads more, beginning with http:// or https://.
    #[serde(default)]
    pub url: Option<String>,
    /// The end of what it printed.
    #[serde(default)]
    pub output: Option<String>,
}

/// What a build server found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CiStatus {
    /// Everything holds.
    Passed,
    /// Something does not.
    Failed,
}

/// A document to make missions from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// How it is written.
    pub format: ImportFormat,
    /// The document itself, at most 5 MiB.
    pub text: String,
    /// The repository of missions that name none.
    #[serde(default)]
    pub repository: Option<String>,
    /// The policy of missions that name none.
    #[serde(default)]
    pub policy: Option<String>,
    /// Labels every mission of the document gets.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The agent of missions that name none.
    #[serde(default)]
    pub agent: Option<String>,
    /// Offer new missions to the agents at once instead of keeping them as drafts.
    #[serde(default)]
    pub queue: bool,
    /// Make the missions; without it, say only what would be made.
    pub apply: bool,
}

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportFormat {
    /// Headings or check-boxes.
    Markdown,
    /// A list of objects.
    Json,
    /// A header row and a mission a line.
    Csv,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_in_a_change_is_told_from_what_is_emptied() {
        let read = |text: &str| serde_json::from_str::<EditMission>(text).unwrap();
        assert_eq!(read("{}"), EditMission::default());
        assert_eq!(read(r#"{"agent":null}"#).agent, Some(None));
        assert_eq!(read(r#"{"agent":"ann"}"#).agent, Some(Some("ann".into())));
        assert!(serde_json::from_str::<EditMission>(r#"{"draft":true}"#).is_err());
        let written = serde_json::to_string(&read(r#"{"deadline":null}"#)).unwrap();
        assert_eq!(written, r#"{"deadline":null}"#);
    }
}
