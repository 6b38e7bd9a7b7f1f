//! The house: checks, the demo, templates, topics, recovery.

use model::id::{AgentId, AttemptId, MissionId, ShortId};
use model::settings::Template;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One thing `doctor` looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub grade: CheckGrade,
    /// What was found.
    pub found: String,
    /// What to do about it; nothing when nothing needs doing.
    pub fix: Option<String>,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckGrade {
    /// As it should be.
    Ok,
    /// Works, with less than there could be.
    Degraded,
    /// Does not work.
    Failed,
}

/// The demo swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DemoView {
    /// Its agents.
    pub agents: Vec<AgentId>,
    /// Its missions.
    pub missions: Vec<MissionId>,
    /// The scratch repository they work in.
    pub repository: String,
}

/// A template with the places to be filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemplateView {
    /// The template.
    #[serde(flatten)]
    pub template: Template,
    /// Its places, each name once.
    pub placeholders: Vec<PlaceView>,
}

/// A place in a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlaceView {
    /// Its name.
    pub name: String,
    /// What goes in when no value is given; nothing means that a value must be given.
    pub default: Option<String>,
}

/// What a recovery control really changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecoveryReport {
    /// What was changed.
    pub changed: Vec<Recovered>,
    /// What could not be changed.
    pub refused: Vec<NotRecovered>,
}

/// A mission that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Recovered {
    /// The mission.
    pub mission_id: MissionId,
    /// Its readable id.
    pub short_id: ShortId,
    /// Its title.
    pub title: String,
    /// What became of it.
    pub what: String,
}

/// A mission that could not be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotRecovered {
    /// Its readable id.
    pub short_id: ShortId,
    /// Why.
    pub why: String,
}

/// What comparing the engine's own picture with the ledger found and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReconciledView {
    /// Attempts that are not over.
    pub attempts: u64,
    /// Whether the engine's own picture was different from the ledger.
    pub differed: bool,
    /// Attempts nobody was working on, which were taken up again.
    pub taken_up: Vec<TakenUp>,
}

/// An attempt that was taken up again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TakenUp {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// Which attempt of its mission.
    pub n: u32,
    /// The mission's readable id.
    pub short_id: Option<ShortId>,
}
